/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/feature_reader.h"

#include <math.h>

#include "featurestore/features.h"
#include "featurestore/store_internal.h"

const char *feature_status_name(enum feature_status status)
{
    static const char *const names[] = {"present", "default", "stale", "missing"};
    ASSERT(status <= FEATURE_MISSING);
    return names[status];
}

/* ---- who and what ---------------------------------------------------------------------------- */

static uint32_t find_id(const struct idmap *ids, struct text id)
{
    return ids == NULL || id.len == 0 ? IDMAP_NONE : idmap_find(ids, id);
}

/* Resolves the person as store_history does: an anonymous id alone stands for the user linked to
 * it, and an id linked to others adds nothing. */
static void find_person(struct feature_reader *reader, const struct feature_asker *asker)
{
    const struct store *store = reader->store;
    bool by_user = asker->user.ptr != NULL;
    struct text user = by_user ? asker->user : store_linked_user(store, asker->anon);
    reader->person = find_id(store->users.ids, user);
    reader->is_anon = reader->person == IDMAP_NONE;
    if (!reader->is_anon)
        return;
    uint32_t anon = find_id(store->anons.ids, asker->anon);
    struct profile of_anon = {0};
    if (anon != IDMAP_NONE)
        of_anon = store_profile(&store->anons, anon);
    bool is_others = by_user && profile_is_linked(&of_anon);
    reader->person = is_others ? IDMAP_NONE : anon;
}

void feature_reader_begin(struct feature_reader *reader, const struct store *store,
                          const struct feature_asker *asker)
{
    char buf[FEATURE_QUERY_KEY_BYTES];
    const struct feature_tables *tables = store->features;
    reader->store = store;
    reader->set = asker->set != NULL ? asker->set : feature_set_of(tables);
    reader->history = asker->history;
    aggregate_when_init(&reader->when, (uint32_t)(store_watermark_ms(store) / 1000));
    find_person(reader, asker);
    feature_reader_find_links(reader);
    const struct idmap *queries = feature_query_ids(tables);
    reader->query =
        queries == NULL ? IDMAP_NONE : find_id(queries, feature_query_key(asker->query, buf));
    reader->slot = find_id(feature_slot_ids(tables), asker->slot);
    reader->found = reader->at = 0;
    feature_reader_item(reader, IDMAP_NONE);
}

/* ---- values ---------------------------------------------------------------------------------- */

static double builtin_value(const struct feature_reader *reader, enum feature_subject subject,
                            uint32_t id, uint32_t item)
{
    if (subject == FEATURE_ITEM)
        return item == IDMAP_NONE ? (double)NAN : feature_of_item(reader->store, id, item);
    return reader->history == NULL ? (double)NAN
                                   : feature_of_user(reader->store, id, reader->history);
}

double feature_value_builtin(const struct feature_reader *reader, const struct feature *feature,
                             uint32_t item)
{
    return builtin_value(reader, feature->subject, feature->id, item);
}

/* The values computed from events, before default and max_age, for the first `count` items. */
static void computed(struct feature_reader *reader, const struct definition *definition,
                     uint32_t count, struct aggregate_column *ret_column)
{
    if (feature_reader_is_joined(reader, definition->key)) {
        feature_reader_join(reader, definition, count, ret_column);
        return;
    }
    const uint8_t *const *block = feature_reader_blocks(reader, definition->key);
    aggregate_read_column(definition, block, count, &reader->when, ret_column);
}

static void part_of(struct feature_reader *reader, enum feature_key key,
                    const struct definition_part *part, uint32_t count,
                    struct aggregate_column *ret_column)
{
    if (!part->is_builtin) {
        computed(reader, &reader->set->definitions->definition[part->id], count, ret_column);
        return;
    }
    enum feature_subject subject = key == KEY_item ? FEATURE_ITEM : FEATURE_USER;
    for (uint32_t i = 0; i < count; i++) {
        double number =
            builtin_value(reader, subject, part->id, reader->window[reader->at].item[i]);
        ret_column->number[i] = number;
        ret_column->as_of_s[i] = isnan(number) ? 0 : reader->when.now_s;
    }
}

/* (upper + hits) / (lower + hits + misses); a missing part counts as 0. */
static void ratio(struct feature_reader *reader, const struct definition *definition,
                  uint32_t count, struct aggregate_column *ret_column)
{
    struct aggregate_column part;
    double lower[AGGREGATE_COLUMN_MAX];
    for (uint32_t i = 0; i < count; i++)
        lower[i] = definition->prior_hits + definition->prior_misses;
    part_of(reader, definition->key, &definition->upper, count, ret_column);
    for (uint32_t p = 0; p < definition->lower_count; p++) {
        part_of(reader, definition->key, &definition->lower[p], count, &part);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t as_of_s = ret_column->as_of_s[i];
            lower[i] += isnan(part.number[i]) ? 0.0 : part.number[i];
            ret_column->as_of_s[i] = part.as_of_s[i] > as_of_s ? part.as_of_s[i] : as_of_s;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        double upper = ret_column->number[i];
        double hits = definition->prior_hits + (isnan(upper) ? 0.0 : upper);
        bool is_known = ret_column->as_of_s[i] != 0 && lower[i] > 0.0;
        ret_column->number[i] = is_known ? hits / lower[i] : (double)NAN;
    }
}

static void read_column(struct feature_reader *reader, const struct definition *definition,
                        uint32_t count, struct aggregate_column *ret_column)
{
    if (definition->kind == FEATURE_KIND_ratio)
        ratio(reader, definition, count, ret_column);
    else
        computed(reader, definition, count, ret_column);
}

/* A ratio without data is its prior, unless there is a default. */
static double default_of(const struct definition *definition)
{
    double prior = definition->prior_hits + definition->prior_misses;
    if (definition->kind == FEATURE_KIND_ratio && isnan(definition->fallback) && prior > 0.0)
        return definition->prior_hits / prior;
    return definition->fallback;
}

static const struct definition *definition_of(const struct feature_reader *reader,
                                              const struct feature *feature)
{
    uint32_t index =
        feature->id < reader->set->number_count ? reader->set->index[feature->id] : IDMAP_NONE;
    return index == IDMAP_NONE ? NULL : &reader->set->definitions->definition[index];
}

static bool is_old(const struct definition *definition, uint32_t as_of_s, uint32_t now_s)
{
    return as_of_s != 0 && now_s > as_of_s && now_s - as_of_s > definition->max_age_s;
}

static void forget_old(const struct definition *definition, uint32_t now_s, uint32_t count,
                       struct aggregate_column *column)
{
    for (uint32_t i = 0; i < count; i++)
        column->number[i] = aggregate_either(is_old(definition, column->as_of_s[i], now_s),
                                             (double)NAN, column->number[i]);
}

/* Item records are scattered in memory: prefetch all before the first is read. */
static void fetch_records(const struct feature_reader *reader, const struct feature *feature,
                          uint32_t count)
{
    const uint32_t *item = reader->window[reader->at].item;
    for (uint32_t i = 0; feature->subject == FEATURE_ITEM && i < count; i++)
        if (item[i] != IDMAP_NONE)
            store_item_fetch_record(reader->store, item[i]);
}

/* Values of the first `count` items. */
static void read_values(struct feature_reader *reader, const struct feature *feature,
                        uint32_t count, double *ret_value, size_t stride)
{
    struct aggregate_column column;
    const struct definition *definition =
        feature->subject == FEATURE_DEFINED ? definition_of(reader, feature) : NULL;
    if (definition == NULL) {
        fetch_records(reader, feature, count);
        for (uint32_t i = 0; i < count; i++)
            ret_value[i * stride] =
                feature->subject == FEATURE_DEFINED
                    ? (double)NAN
                    : feature_value_builtin(reader, feature, reader->window[reader->at].item[i]);
        return;
    }
    read_column(reader, definition, count, &column);
    double fallback = default_of(definition);
    if (definition->max_age_s != 0)
        forget_old(definition, reader->when.now_s, count, &column);
    for (uint32_t i = 0; i < count; i++) {
        double number = column.number[i];
        ret_value[i * stride] = aggregate_either(!isnan(number), number, fallback);
    }
}

double feature_value(struct feature_reader *reader, const struct feature *feature)
{
    double value;
    read_values(reader, feature, 1, &value, 1);
    return value;
}

void feature_values(struct feature_reader *reader, const struct feature *feature, double *ret_value,
                    size_t stride)
{
    feature_reader_go_ahead(reader);
    read_values(reader, feature, reader->window[reader->at].count, ret_value, stride);
}

/* ---- in detail ------------------------------------------------------------------------------- */

/* The first item's. */
static enum feature_status status_of(const struct feature_reader *reader,
                                     const struct definition *definition,
                                     const struct aggregate_column *column)
{
    uint32_t as_of_s = column->as_of_s[0];
    if (definition->max_age_s != 0 && is_old(definition, as_of_s, reader->when.now_s))
        return FEATURE_STALE;
    if (as_of_s != 0 && !isnan(column->number[0]))
        return FEATURE_PRESENT;
    return isnan(default_of(definition)) ? FEATURE_MISSING : FEATURE_DEFAULT;
}

static void describe_list(struct feature_reader *reader, const struct definition *definition,
                          struct feature_detail *detail)
{
    bool is_ids = definition_is_list_of_ids(definition);
    if (definition->kind != FEATURE_KIND_last || detail->as_of_ms == 0)
        return;
    if (is_ids && detail->status == FEATURE_MISSING)
        detail->status = FEATURE_PRESENT; /* it has no number, and is there all the same */
    if (detail->status == FEATURE_PRESENT && (is_ids || definition->last_count > 1))
        detail->list = feature_reader_list(reader, definition);
}

void feature_describe(struct feature_reader *reader, const struct feature *feature,
                      struct feature_detail *ret_detail)
{
    struct aggregate_column column;
    *ret_detail =
        (struct feature_detail){.value = feature_value(reader, feature), .status = FEATURE_MISSING};
    if (feature->subject != FEATURE_DEFINED) {
        if (!isnan(ret_detail->value))
            ret_detail->status = FEATURE_PRESENT;
        return;
    }
    const struct definition *definition = definition_of(reader, feature);
    if (definition == NULL)
        return;
    read_column(reader, definition, 1, &column);
    ret_detail->definition = definition;
    ret_detail->status = status_of(reader, definition, &column);
    ret_detail->as_of_ms = (int64_t)column.as_of_s[0] * 1000;
    describe_list(reader, definition, ret_detail);
}
