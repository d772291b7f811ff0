/* SPDX-License-Identifier: Apache-2.0 */
/* Applies a slot's rules to one decision: filters exclude items of any origin, boosts change the
 * candidates' scores, and pins and the limits per category and brand take effect when items are put
 * into the answer. */
#include <math.h>
#include <string.h>

#include "featurestore/store_kind.h"
#include "server/decide/pipeline.h"

enum rule_state {
    RULE_OFF,   /* not in force now */
    RULE_HOLDS, /* whatever the item is */
    RULE_FAILS,
    RULE_ASKS /* the item */
};

struct placed {
    uint32_t place, item;
    const char *label;
};

struct rules {
    struct policy_asked asked;
    struct expr_env env;
    uint8_t *filter, *boost; /* states */
    struct placed *pin;      /* those that hold, by place */
    uint32_t pin_count, pin_next;
    uint32_t *category, *brand; /* of what is in the answer; NULL where there is no limit */
};

static enum rule_state state_of(const struct rules *rules, const struct policy_rule *rule,
                                int64_t wall_ms)
{
    if (wall_ms < rule->from_ms || wall_ms >= rule->until_ms)
        return RULE_OFF;
    if (rule->when == NULL)
        return RULE_HOLDS;
    if ((expr_scopes(rule->when) & (POLICY_SCOPE_ITEM | POLICY_SCOPE_SCORE)) != 0)
        return RULE_ASKS;
    return expr_test(rule->when, &rules->env) == EXPR_TRUE ? RULE_HOLDS : RULE_FAILS;
}

/* Moves the evaluation context to the item. */
static bool holds(const struct rules *rules, const struct policy_rule *rule, uint8_t state)
{
    return state == RULE_HOLDS ||
           (state == RULE_ASKS && expr_test(rule->when, &rules->env) == EXPR_TRUE);
}

/* ---- at the beginning ------------------------------------------------------------------------ */

static bool has_rules(const struct policy_slot *slot)
{
    for (uint32_t s = 0; s < slot->source_count; s++) {
        if (slot->source[s].interval != NULL)
            return true;
    }
    return slot->filter_count + slot->boost_count + slot->pin_count > 0 ||
           slot->freshness.boost > 0.0f || slot->seen.within_s > 0 || slot->mmr.lambda < 1.0f ||
           slot->has_quotas || slot->per_category + slot->per_brand > 0;
}

static bool make_room(struct pipeline *p, struct rules *rules)
{
    const struct policy_slot *slot = p->slot;
    uint32_t steady = rules->asked.fields->steady_count;
    rules->env.steady = ARENA_NEW(p->arena, struct expr_steady, steady);
    if (rules->env.steady == NULL)
        return false;
    memset(rules->env.steady, 0, steady * sizeof *rules->env.steady);
    rules->filter = ARENA_NEW(p->arena, uint8_t, slot->filter_count);
    rules->boost = ARENA_NEW(p->arena, uint8_t, slot->boost_count);
    rules->pin = ARENA_NEW(p->arena, struct placed, slot->pin_count);
    if (slot->per_category > 0)
        rules->category = ARENA_NEW(p->arena, uint32_t, p->wanted);
    if (slot->per_brand > 0)
        rules->brand = ARENA_NEW(p->arena, uint32_t, p->wanted);
    return rules->filter != NULL && rules->boost != NULL && rules->pin != NULL &&
           (slot->per_category == 0 || rules->category != NULL) &&
           (slot->per_brand == 0 || rules->brand != NULL);
}

/* Pinned items are subject to filters like all others. */
static void find_pins(struct pipeline *p, struct rules *rules)
{
    for (uint32_t i = 0; i < p->slot->pin_count; i++) {
        const struct policy_pin *pin = &p->slot->pin[i];
        uint8_t state = (uint8_t)state_of(rules, &pin->rule, p->env->wall_ms);
        uint32_t item = store_item_find(p->env->store, pin->item);
        if (item == IDMAP_NONE || pin->place > p->wanted)
            continue;
        policy_asked_item(&rules->asked, item);
        if (holds(rules, &pin->rule, state) && eligible(p, item))
            rules->pin[rules->pin_count++] = (struct placed){pin->place, item, pin->rule.label};
    }
}

bool rules_begin(struct pipeline *p)
{
    if (!has_rules(p->slot) && !p->goes_on)
        return true;
    struct rules *rules = ARENA_NEW(p->arena, struct rules, 1);
    if (rules == NULL)
        return false;
    *rules = (struct rules){.asked = {.fields = &p->env->snapshot->policies->fields,
                                      .store = p->env->store,
                                      .request = p->request,
                                      .is_hidden = p->is_hidden}};
    policy_asked_begin(&rules->asked, p->env->wall_ms);
    rules->env = (struct expr_env){.read = policy_field_read, .ctx = &rules->asked};
    if (!make_room(p, rules))
        return false;
    if ((p->slot->scopes & POLICY_SCOPE_FEATURE) != 0) {
        rules->asked.reader = ARENA_NEW(p->arena, struct feature_reader, 1);
        if (rules->asked.reader == NULL)
            return false;
        pipeline_read_features(p, rules->asked.reader);
    }
    for (uint32_t i = 0; i < p->slot->filter_count; i++)
        rules->filter[i] = (uint8_t)state_of(rules, &p->slot->filter[i], p->env->wall_ms);
    for (uint32_t i = 0; i < p->slot->boost_count; i++)
        rules->boost[i] = (uint8_t)state_of(rules, &p->slot->boost[i].rule, p->env->wall_ms);
    p->rules = rules;
    find_pins(p, rules);
    return true;
}

const char *rules_refusing(const struct pipeline *p, uint32_t item)
{
    struct rules *rules = p->rules;
    if (rules == NULL || p->slot->filter_count == 0)
        return NULL;
    policy_asked_item(&rules->asked, item);
    for (uint32_t i = 0; i < p->slot->filter_count; i++) {
        if (rules->filter[i] != RULE_OFF && !holds(rules, &p->slot->filter[i], rules->filter[i]))
            return p->slot->filter[i].label;
    }
    return NULL;
}

typedef uint32_t (*find_fn)(const struct store *store, struct text name);

/* The known names, as numbers, of the first filter that requires some. */
static void need_names(const struct pipeline *p, enum policy_field_kind kind, find_fn find,
                       struct rules_names *names)
{
    const struct rules *rules = p->rules;
    uint32_t field = 0, texts = 0;
    struct text text[RULES_NAMES_MAX];
    if (!policy_field_of(rules->asked.fields, kind, &field))
        return;
    for (uint32_t i = 0; i < p->slot->filter_count && texts == 0; i++) {
        if (rules->filter[i] == RULE_ASKS)
            texts = expr_texts_needed(p->slot->filter[i].when, field, text, RULES_NAMES_MAX);
    }
    names->is_needed = texts > 0;
    for (uint32_t i = 0; i < texts; i++) {
        uint32_t number = find(p->env->store, text[i]);
        if (number != IDMAP_NONE)
            names->number[names->count++] = number;
    }
}

static void need_range(const struct pipeline *p, enum policy_field_kind kind,
                       struct rules_range *range)
{
    const struct rules *rules = p->rules;
    uint32_t field = 0;
    if (!policy_field_of(rules->asked.fields, kind, &field))
        return;
    for (uint32_t i = 0; i < p->slot->filter_count; i++) {
        if (rules->filter[i] == RULE_ASKS &&
            expr_range_needed(p->slot->filter[i].when, field, &range->min, &range->max))
            range->is_needed = true;
    }
}

void rules_need(const struct pipeline *p, struct rules_needed *ret_needed)
{
    const struct rules_range any = {.min = INT64_MIN, .max = INT64_MAX};
    *ret_needed = (struct rules_needed){.price = any, .stock = any};
    if (p->rules == NULL)
        return;
    need_names(p, FIELD_ITEM_CATEGORY, store_category_find, &ret_needed->category);
    need_names(p, FIELD_ITEM_BRAND, store_brand_find, &ret_needed->brand);
    need_range(p, FIELD_ITEM_PRICE, &ret_needed->price);
    need_range(p, FIELD_ITEM_STOCK, &ret_needed->stock);
}

bool rules_number(const struct pipeline *p, const struct expr *expr, uint32_t item,
                  double *ret_number)
{
    struct rules *rules = p->rules;
    if (rules == NULL || expr == NULL)
        return false;
    policy_asked_item(&rules->asked, item);
    return expr_number(expr, &rules->env, ret_number);
}

bool rules_seen(const struct pipeline *p, uint32_t item)
{
    double since_s = 0.0;
    return p->slot->seen.within_s > 0 && rules_number(p, p->slot->seen.since, item, &since_s) &&
           since_s < (double)p->slot->seen.within_s;
}

/* ---- boosts ---------------------------------------------------------------------------------- */

/* A factor above 1 raises and below 1 lowers the score, negative scores included. */
static double multiplied(double score, double amount)
{
    if (!(amount > 0.0))
        return score;
    return score >= 0.0 ? score * amount : score / amount;
}

/* The freshness factor of the item; 1 if its age is unknown. */
static double freshness(const struct pipeline *p, const struct item *record)
{
    const struct policy_freshness *freshness = &p->slot->freshness;
    if (freshness->boost == 0.0f || record == NULL || record->added_s == 0)
        return 1.0;
    int64_t age_s = store_watermark_ms(p->env->store) / 1000 - record->added_s;
    double halvings = age_s > 0 ? (double)age_s / freshness->half_life_s : 0.0;
    return 1.0 + (double)freshness->boost * exp2(-halvings);
}

static double boosted(struct pipeline *p, uint32_t item, double score,
                      void (*tell)(void *ctx, const char *label, double difference), void *ctx)
{
    struct rules *rules = p->rules;
    policy_asked_item(&rules->asked, item);
    for (uint32_t i = 0; i < p->slot->boost_count; i++) {
        const struct policy_boost *boost = &p->slot->boost[i];
        double amount = 0.0;
        rules->asked.score = score;
        if (!holds(rules, &boost->rule, rules->boost[i]) ||
            !expr_number(boost->amount, &rules->env, &amount))
            continue;
        double next = boost->adds ? score + amount : multiplied(score, amount);
        if (tell != NULL)
            tell(ctx, boost->rule.label, next - score);
        score = next;
    }
    rules->asked.score = (double)NAN;
    double freshened = multiplied(score, freshness(p, rules->asked.record));
    if (tell != NULL && freshened != score)
        tell(ctx, "freshness", freshened - score);
    return freshened;
}

bool rules_boost(const struct pipeline *p)
{
    return p->rules != NULL && (p->slot->boost_count > 0 || p->slot->freshness.boost > 0.0f);
}

float rules_boosted(struct pipeline *p, uint32_t item, float score)
{
    return rules_boost(p) ? finite_score(boosted(p, item, (double)score, NULL, NULL)) : score;
}

struct telling {
    struct decision_why *why;
    uint32_t count;
};

static void note(void *ctx, const char *label, double difference)
{
    struct telling *telling = ctx;
    telling->why[telling->count++] = (struct decision_why){label, finite_score(difference)};
}

uint32_t rules_explain(struct pipeline *p, uint32_t item, float score, struct decision_why *ret_why)
{
    struct telling telling = {.why = ret_why};
    if (rules_boost(p))
        (void)boosted(p, item, (double)score, note, &telling);
    return telling.count;
}

/* ---- putting items into the answer ----------------------------------------------------------- */

static uint32_t count_of(const uint32_t *number, uint32_t count, uint32_t wanted)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++)
        found += number[i] == wanted;
    return found;
}

/* Items without a category or brand are not limited by it. */
static bool is_full(const uint32_t *number, uint32_t count, uint32_t wanted, uint32_t limit)
{
    return number != NULL && wanted != IDMAP_NONE && count_of(number, count, wanted) >= limit;
}

bool rules_have_room(const struct pipeline *p, uint32_t item)
{
    const struct rules *rules = p->rules;
    if (rules == NULL || item == IDMAP_NONE)
        return true;
    struct store_kind kind = store_item_kind(p->env->store, item);
    return !is_full(rules->category, p->out->count, kind.category, p->slot->per_category) &&
           !is_full(rules->brand, p->out->count, kind.brand, p->slot->per_brand);
}

void rules_note(const struct pipeline *p, uint32_t place, uint32_t item)
{
    const struct rules *rules = p->rules;
    struct store_kind kind = {IDMAP_NONE, IDMAP_NONE};
    if (rules != NULL && item != IDMAP_NONE)
        kind = store_item_kind(p->env->store, item);
    if (rules != NULL && rules->category != NULL)
        rules->category[place] = kind.category;
    if (rules != NULL && rules->brand != NULL)
        rules->brand[place] = kind.brand;
}

bool rules_next_pin(const struct pipeline *p, bool at_the_end, uint32_t *ret_item,
                    const char **ret_label)
{
    struct rules *rules = p->rules;
    if (rules == NULL || rules->pin_next == rules->pin_count)
        return false;
    const struct placed *pin = &rules->pin[rules->pin_next];
    if (pin->place > p->out->count + 1 && !at_the_end)
        return false;
    rules->pin_next++;
    *ret_item = pin->item;
    *ret_label = pin->label;
    return true;
}

void rules_take_over(struct pipeline *p, const struct pipeline *from)
{
    if (p->rules == NULL)
        return;
    p->rules->pin_count = 0;
    if (from->rules != NULL) {
        p->rules->pin = from->rules->pin;
        p->rules->pin_count = from->rules->pin_count;
        p->rules->pin_next = from->rules->pin_next;
    }
    for (uint32_t i = 0; i < p->out->count; i++)
        rules_note(p, i, p->out->items[i].item);
}

void rules_begin_again(const struct pipeline *p)
{
    if (p->rules != NULL)
        p->rules->pin_next = 0;
}
