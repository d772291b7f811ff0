/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/pipeline.h"

static void set_add(struct item_set *set, uint32_t item)
{
    uint32_t at = pipeline_spread(item) & set->mask;
    while (set->slot[at] != 0 && set->slot[at] != item + 1)
        at = (at + 1) & set->mask;
    set->slot[at] = item + 1;
}

static bool set_has(const struct item_set *set, uint32_t item)
{
    uint32_t at = pipeline_spread(item) & set->mask;
    while (set->slot[at] != 0) {
        if (set->slot[at] == item + 1)
            return true;
        at = (at + 1) & set->mask;
    }
    return false;
}

static bool set_create(struct item_set *set, struct arena *arena, uint32_t count_max)
{
    uint32_t places = 16;
    while (places < 2 * count_max)
        places *= 2;
    set->slot = ARENA_NEW(arena, uint32_t, places);
    if (set->slot == NULL)
        return false;
    memset(set->slot, 0, places * sizeof set->slot[0]);
    set->mask = places - 1;
    return true;
}

static bool among(const uint32_t *number, uint32_t count, uint32_t wanted)
{
    for (uint32_t i = 0; i < count; i++) {
        if (number[i] == wanted)
            return true;
    }
    return false;
}

/* The history has an item once, however often somebody looked at it: so have these. */
static bool resolve_seeds(struct pipeline *p)
{
    const struct text_list *seeds = &p->request->seeds;
    uint32_t *seed = ARENA_NEW(p->arena, uint32_t, seeds->count);
    if (seed == NULL)
        return false;
    for (uint32_t i = 0; i < seeds->count; i++) {
        uint32_t item = store_item_find(p->env->store, seeds->ptr[i]);
        if (item != IDMAP_NONE && !among(seed, p->seed_count, item))
            seed[p->seed_count++] = item;
    }
    p->seed = seed;
    return true;
}

static bool resolve_cart(struct pipeline *p)
{
    uint32_t *cart = ARENA_NEW(p->arena, uint32_t, p->request->cart_count);
    if (cart == NULL)
        return false;
    for (uint32_t i = 0; i < p->request->cart_count; i++) {
        uint32_t item = store_item_find(p->env->store, p->request->cart[i].id);
        if (item != IDMAP_NONE && !among(cart, p->cart_count, item))
            cart[p->cart_count++] = item;
    }
    p->cart = cart;
    return true;
}

static bool resolve_blocked(struct pipeline *p)
{
    const struct text_list *exclude = &p->request->exclude;
    const uint8_t bought = p->slot->bought == BOUGHT_EXCLUDE ? 1u << EVENT_CLASS_PURCHASE : 0;
    const uint8_t out = (uint8_t)(bought | 1u << EVENT_CLASS_DISLIKE);
    if (!set_create(&p->blocked, p->arena,
                    exclude->count + p->seed_count + p->cart_count + p->history.count))
        return false;
    for (uint32_t i = 0; i < exclude->count; i++) {
        uint32_t item = store_item_find(p->env->store, exclude->ptr[i]);
        if (item != IDMAP_NONE)
            set_add(&p->blocked, item);
    }
    for (uint32_t i = 0; i < p->seed_count; i++)
        set_add(&p->blocked, p->seed[i]);
    for (uint32_t i = 0; i < p->cart_count; i++)
        set_add(&p->blocked, p->cart[i]);
    for (uint32_t i = 0; i < p->history.count; i++) {
        if ((p->history.classes[i] & out) != 0)
            set_add(&p->blocked, p->history.item[i]);
    }
    return true;
}

typedef uint32_t (*find_fn)(const struct store *store, struct text name);

static bool resolve_names(struct pipeline *p, const struct text_list *names, find_fn find,
                          const uint32_t **ret_numbers, uint32_t *ret_count)
{
    uint32_t *number = ARENA_NEW(p->arena, uint32_t, names->count);
    if (number == NULL)
        return false;
    *ret_count = 0;
    for (uint32_t i = 0; i < names->count; i++) {
        uint32_t found = find(p->env->store, names->ptr[i]);
        if (found != IDMAP_NONE)
            number[(*ret_count)++] = found;
    }
    *ret_numbers = number;
    return true;
}

static bool resolve_filters(struct pipeline *p)
{
    const struct request_filters *asked = &p->request->filters;
    struct filters *filters = &p->filters;
    filters->any_category = asked->categories.count == 0;
    filters->any_brand = asked->brands.count == 0;
    filters->min_price_minor = asked->min_price_minor;
    filters->max_price_minor = asked->max_price_minor;
    bool priced = asked->min_price_minor != INT64_MIN || asked->max_price_minor != INT64_MAX;
    filters->present = !filters->any_category || !filters->any_brand || priced;
    filters->min_stock = p->slot->min_stock == 0 && asked->in_stock ? 1 : p->slot->min_stock;
    filters->needs_record = filters->present || p->slot->catalogue_only;
    filters->by_marks = !filters->present && filters->min_stock <= 1 &&
                        p->slot->filter_count == 0 && p->slot->seen.within_s == 0;
    return resolve_names(p, &asked->categories, store_category_find, &filters->category,
                         &filters->category_count) &&
           resolve_names(p, &asked->brands, store_brand_find, &filters->brand,
                         &filters->brand_count);
}

bool subject_resolve(struct pipeline *p)
{
    const struct request *request = p->request;
    if (request->user.ptr != NULL || request->anon.ptr != NULL)
        p->is_hidden = (store_consent(p->env->store, request->user, request->anon) &
                        CONSENT_BIT(personalize)) == 0;
    if (!p->is_hidden)
        (void)store_history(p->env->store, request->user, request->anon, &p->history);
    return resolve_seeds(p) && resolve_cart(p) && resolve_blocked(p) && resolve_filters(p);
}

static bool passes(const struct filters *filters, const struct item *record)
{
    if (!filters->any_category &&
        !among(filters->category, filters->category_count, record->category))
        return false;
    if (!filters->any_brand && !among(filters->brand, filters->brand_count, record->brand))
        return false;
    if (filters->min_price_minor == INT64_MIN && filters->max_price_minor == INT64_MAX)
        return true;
    return record->price_minor != EVENT_ABSENT && record->price_minor >= filters->min_price_minor &&
           record->price_minor <= filters->max_price_minor;
}

bool subject_blocks(const struct pipeline *p, uint32_t item)
{
    return set_has(&p->blocked, item);
}

enum standing standing_of(const struct pipeline *p, uint32_t item)
{
    if (set_has(&p->blocked, item))
        return STANDING_BLOCKED;
    const struct item *record = store_item(p->env->store, item);
    if (record == NULL && p->filters.needs_record)
        return STANDING_NO_RECORD;
    if (record != NULL) {
        if (record->deleted)
            return STANDING_DELETED;
        if (record->stock != STORE_STOCK_UNKNOWN && record->stock < p->filters.min_stock)
            return STANDING_STOCK;
        if (p->filters.present && !passes(&p->filters, record))
            return STANDING_ASKED_FILTER;
    }
    if (rules_seen(p, item))
        return STANDING_SEEN;
    return rules_refusing(p, item) == NULL ? STANDING_ELIGIBLE : STANDING_FILTER;
}

bool eligible(const struct pipeline *p, uint32_t item)
{
    const struct store *store = p->env->store;
    if (!p->filters.by_marks)
        return standing_of(p, item) == STANDING_ELIGIBLE;
    return !set_has(&p->blocked, item) &&
           !store_item_is(store, item, p->filters.min_stock > 0 ? STORE_SOLD_OUT : STORE_DELETED) &&
           (!p->filters.needs_record || store_item_is(store, item, STORE_RECORDED));
}

static uint32_t category_of(const struct pipeline *p, uint32_t item)
{
    const struct item *record = store_item(p->env->store, item);
    return record != NULL ? record->category : IDMAP_NONE;
}

uint32_t subject_category(const struct pipeline *p)
{
    if (p->seed_count > 0 && !p->is_hidden)
        return category_of(p, p->seed[0]);
    return p->history.count > 0 ? category_of(p, p->history.item[0]) : IDMAP_NONE;
}

uint32_t subject_position(const struct pipeline *p, uint32_t item)
{
    for (uint32_t i = 0; i < p->history.count; i++) {
        if (p->history.item[i] == item)
            return i + 1;
    }
    return 0;
}

void subject_note_positions(const struct pipeline *p)
{
    for (uint32_t i = p->history.count; i > 0; i--)
        p->scratch->upper[p->history.item[i - 1]] = (float)i;
}

uint32_t subject_noted_position(const struct pipeline *p, uint32_t item)
{
    return (uint32_t)p->scratch->upper[item];
}

void subject_forget_positions(const struct pipeline *p)
{
    for (uint32_t i = 0; i < p->history.count; i++)
        p->scratch->upper[p->history.item[i]] = 0.0f;
}

void pipeline_read_features(const struct pipeline *p, struct feature_reader *reader)
{
    const struct text nobody = {NULL, 0};
    const struct feature_asker asker = {.user = p->is_hidden ? nobody : p->request->user,
                                        .anon = p->is_hidden ? nobody : p->request->anon,
                                        .query = p->request->query,
                                        .slot = text_of(p->slot->name),
                                        .history = &p->history,
                                        .set = p->env->snapshot->features};
    feature_reader_begin(reader, p->env->store, &asker);
}
