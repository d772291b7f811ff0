/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/policy_sources.h"

#include <string.h>

#include "base/file.h"
#include "server/decide/policy_rules.h"

#define COUNT_DEFAULT   300
#define HISTORY_DEFAULT 50
#define YEAR_S          (366u * 86400)

static const char *const source_names[] = {
#define X(name) #name,
    DECISION_SOURCES(X)
#undef X
        NULL};
static const char *const window_names[] = {"1h", "1d", "7d", "14d", "30d", NULL};

const char *policy_source_name(enum policy_source_kind kind)
{
    return kind < SOURCE_KIND_COUNT ? source_names[kind] : "none";
}

enum err_code policy_parse_model(const struct json_at *object, const char *key,
                                 char ret_model[MODEL_NAME_BYTES], struct err *err)
{
    struct json_at at = json_member(object, key);
    const char *value = NULL;
    if (at.value == NULL)
        return ERR_OK;
    enum err_code rc = json_string(&at, &value, err);
    if (rc != ERR_OK)
        return rc;
    if (strcmp(value, "*") != 0 && !file_is_plain_name(value))
        return err_set(
            err, ERR_BAD_INPUT,
            "%s: expected a model name of 1..64 letters, digits, '.', '_' or '-', or '*', "
            "got '%.64s'",
            at.path, value);
    memcpy(ret_model, value, strlen(value) + 1);
    return ERR_OK;
}

enum err_code policy_parse_window(const struct json_at *object, const char *key,
                                  enum store_window *ret_window, struct err *err)
{
    struct json_at at = json_member(object, key);
    uint32_t index = *ret_window;
    enum err_code rc = at.value == NULL ? ERR_OK : json_name(&at, window_names, &index, err);
    if (rc == ERR_OK)
        *ret_window = (enum store_window)index;
    return rc;
}

/* ---- sources --------------------------------------------------------------------------------- */

/* Kinds as bits. */
#define KIND(name) (1u << SOURCE_##name)
#define WITH_MODEL \
    (KIND(neighbors) | KIND(factors) | KIND(model_popular) | KIND(cart) | KIND(embeddings))
#define WITH_HISTORY (KIND(neighbors) | KIND(content) | KIND(embeddings))
#define TRENDING     KIND(trending)

/* Keys that some kinds alone take; those of the others were always passed over where they say
 * nothing. */
static const struct {
    const char *key;
    uint32_t kinds;
    const char *whose;
} special[] = {
    {"history", WITH_HISTORY, "neighbors, content or embeddings"},
    {"half_life", WITH_HISTORY, "neighbors, content or embeddings"},
    {"list", KIND(list), "list"},
    {"baseline", TRENDING, "trending"},
    {"by", TRENDING, "trending"},
    {"attribute", TRENDING, "trending"},
    {"max_age", KIND(new), "new"},
    {"interval", KIND(repeat), "repeat"},
    {"since", KIND(repeat), "repeat"},
};

struct source_parser {
    struct policy_set *set;
    struct policy_slot *slot;
};

static enum err_code check_special(const struct json_at *at, uint32_t kind, struct err *err)
{
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
        struct json_at member = json_member(at, special[i].key);
        if (member.value != NULL && (special[i].kinds & 1u << kind) == 0)
            return err_set(err, ERR_BAD_INPUT, "%s: only the source %s takes it", member.path,
                           special[i].whose);
    }
    return ERR_OK;
}

static enum err_code parse_uint(const struct json_at *object, const char *key, int64_t max,
                                uint32_t *ret_value, struct err *err)
{
    struct json_at at = json_member(object, key);
    int64_t value = *ret_value;
    enum err_code rc = at.value == NULL ? ERR_OK : json_int(&at, 1, max, &value, err);
    *ret_value = (uint32_t)value;
    return rc;
}

static enum err_code parse_source_model(const struct json_at *at, struct policy_source *source,
                                        struct err *err)
{
    bool needs_model = (WITH_MODEL & 1u << source->kind) != 0;
    enum err_code rc = policy_parse_model(at, "model", source->model, err);
    if (rc == ERR_OK && needs_model && source->model[0] == '\0')
        memcpy(source->model, "*", 2);
    struct json_at member = json_member(at, "model");
    if (rc == ERR_OK && !needs_model && source->model[0] != '\0')
        rc = err_set(err, ERR_BAD_INPUT, "%s: the source '%s' uses no model", member.path,
                     source_names[source->kind]);
    return rc;
}

static enum err_code parse_repeat(const struct json_at *at, const struct source_parser *p,
                                  struct policy_source *source, struct err *err)
{
    struct json_at interval = json_member(at, "interval"), since = json_member(at, "since");
    enum err_code rc = ERR_OK;
    if (interval.value != NULL)
        rc = policy_compile_number(&interval, &p->set->fields, p->slot, &source->interval, err);
    if (rc == ERR_OK && since.value != NULL)
        rc = policy_compile_number(&since, &p->set->fields, p->slot, &source->since, err);
    if (rc == ERR_OK && since.value != NULL && interval.value == NULL)
        rc = err_set(err, ERR_BAD_INPUT, "%s: 'since' says nothing without 'interval'", at->path);
    return rc;
}

static enum err_code parse_source(const struct json_at *at, const struct source_parser *p,
                                  struct policy_source *source, struct err *err)
{
    static const char *const known[] = {
        "source",    "model", "weight",   "count",   "window",    "history",
        "half_life", "list",  "baseline", "by",      "attribute", "max_age",
        "interval",  "since", "at_least", "at_most", NULL};
    uint32_t kind = 0;
    double weight = 1.0;
    *source = (struct policy_source){
        .window = STORE_WINDOW_14D, .count = COUNT_DEFAULT, .history = HISTORY_DEFAULT};
    enum err_code rc = json_only(at, known, err);
    struct json_at member = json_member(at, "source");
    if (rc == ERR_OK)
        rc = json_name(&member, source_names, &kind, err);
    source->kind = (enum policy_source_kind)kind;
    text_copy(text_of(policy_source_name(source->kind)), source->label, sizeof source->label);
    member = json_member(at, "weight");
    if (rc == ERR_OK && member.value != NULL)
        rc = json_real(&member, 0, 1000, &weight, err);
    source->weight = (float)weight;
    if (rc == ERR_OK)
        rc = check_special(at, kind, err);
    if (rc == ERR_OK)
        rc = parse_uint(at, "count", POLICY_COUNT_MAX, &source->count, err);
    if (rc == ERR_OK)
        rc = parse_uint(at, "history", POLICY_HISTORY_MAX, &source->history, err);
    if (rc == ERR_OK)
        rc = parse_uint(at, "at_least", POLICY_PLACE_MAX, &source->at_least, err);
    if (rc == ERR_OK)
        rc = parse_uint(at, "at_most", POLICY_PLACE_MAX, &source->at_most, err);
    if (rc == ERR_OK && source->at_most != 0 && source->at_least > source->at_most)
        rc = err_set(err, ERR_BAD_INPUT, "%s: 'at_least' is more than 'at_most'", at->path);
    p->slot->has_quotas = p->slot->has_quotas || source->at_least + source->at_most > 0;
    member = json_member(at, "half_life");
    if (rc == ERR_OK)
        rc = json_duration(&member, 60, YEAR_S, &source->half_life_s, err);
    if (rc == ERR_OK)
        rc = policy_parse_window(at, "window", &source->window, err);
    if (rc == ERR_OK)
        rc = parse_source_model(at, source, err);
    if (rc == ERR_OK && kind == SOURCE_repeat)
        rc = parse_repeat(at, p, source, err);
    return rc == ERR_OK ? policy_parse_list_of(at, p->set, source, err) : rc;
}

enum err_code policy_parse_sources(const struct json_at *slot_at, struct policy_set *set,
                                   struct policy_slot *slot, struct err *err)
{
    const struct source_parser p = {.set = set, .slot = slot};
    struct json_at at = json_member(slot_at, "sources");
    int count = 0;
    enum err_code rc = json_array(&at, &count, err);
    if (rc == ERR_OK && (count < 1 || count > POLICY_SOURCES_MAX))
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected 1..%d sources, got %d", at.path,
                     POLICY_SOURCES_MAX, count);
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at element = json_element(&at, i);
        rc = parse_source(&element, &p, &slot->source[slot->source_count++], err);
    }
    return rc;
}

void policy_free_sources(struct policy_slot *slot)
{
    for (uint32_t s = 0; s < slot->source_count; s++) {
        expr_destroy(&slot->source[s].interval);
        expr_destroy(&slot->source[s].since);
    }
}
