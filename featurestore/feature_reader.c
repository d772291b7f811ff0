/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/feature_reader.h"

#include <math.h>

#include "featurestore/store_internal.h"

const char *feature_status_name(enum feature_status status)
{
    static const char *const names[] = {"present", "default", "stale", "missing"};
    ASSERT(status <= FEATURE_MISSING);
    return names[status];
}

/* ---- names ----------------------------------------------------------------------------------- */

static struct feature feature_of(const struct feature_tables *tables,
                                 const struct definition *definition)
{
    return (struct feature){.name = definition->name,
                            .subject = FEATURE_DEFINED,
                            .id = idmap_find(tables->names, text_of(definition->name)),
                            .key = (uint8_t)definition->key};
}

/* A name that was declared but is not in force yet has its key in front all the same. */
static bool key_of_name(struct text name, uint8_t *ret_key)
{
    for (uint32_t key = 0; key < FEATURE_KEY_COUNT; key++) {
        struct text prefix = text_of(feature_key_name((enum feature_key)key));
        if (name.len > prefix.len && name.ptr[prefix.len] == '.' &&
            memcmp(name.ptr, prefix.ptr, prefix.len) == 0) {
            *ret_key = (uint8_t)key;
            return true;
        }
    }
    return false;
}

bool feature_find(const struct store *store, struct text name, struct feature *ret_feature)
{
    const struct feature *builtin = feature_builtin(name);
    if (builtin != NULL) {
        *ret_feature = *builtin;
        return true;
    }
    uint32_t number = idmap_find(store->features->names, name);
    struct feature feature = {.subject = FEATURE_DEFINED, .id = number};
    if (number == IDMAP_NONE || !key_of_name(name, &feature.key))
        return false;
    feature.name = idmap_text(store->features->names, number).ptr;
    *ret_feature = feature;
    return true;
}

bool feature_next(const struct store *store, uint32_t *at, struct feature *ret_feature)
{
    const struct feature *builtin = feature_builtin_at(*at);
    if (builtin != NULL) {
        *ret_feature = *builtin;
        (*at)++;
        return true;
    }
    const struct definitions *definitions = feature_set_of(store->features)->definitions;
    uint32_t index = *at - feature_builtin_count();
    if (index >= definitions->count)
        return false;
    *ret_feature = feature_of(store->features, &definitions->definition[index]);
    (*at)++;
    return true;
}

/* ---- who and what ---------------------------------------------------------------------------- */

static uint32_t find_id(const struct idmap *ids, struct text id)
{
    return ids == NULL || id.len == 0 ? IDMAP_NONE : idmap_find(ids, id);
}

/* As store_history does it: who asks with an anonymous id alone is the user behind it, and an id
 * that has links is nobody else's. */
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
    bool is_others =
        anon != IDMAP_NONE && by_user && profile_is_linked(store_profile(&store->anons, anon));
    reader->person = is_others ? IDMAP_NONE : anon;
}

void feature_reader_begin(struct feature_reader *reader, const struct store *store,
                          const struct feature_asker *asker)
{
    char buf[ID_BYTES_MAX];
    const struct feature_tables *tables = store->features;
    reader->store = store;
    reader->set = feature_set_of(tables);
    reader->history = asker->history;
    reader->now_s = (uint32_t)(store_watermark_ms(store) / 1000);
    find_person(reader, asker);
    reader->query = find_id(tables->query_ids, feature_query(asker->query, buf));
    reader->slot = find_id(tables->slot_ids, asker->slot);
    reader->found = 0;
    reader->item = reader->category = reader->brand = IDMAP_NONE;
}

/* Bits of the keys that have something to do with the item. */
static uint32_t keys_with_item(void)
{
    return (1u << FEATURE_KEY_COUNT) - 1 - (1u << KEY_user) - (1u << KEY_query) - (1u << KEY_slot);
}

void feature_reader_item(struct feature_reader *reader, uint32_t item)
{
    const struct item *record = item == IDMAP_NONE ? NULL : store_item(reader->store, item);
    reader->item = item;
    reader->category = record == NULL ? IDMAP_NONE : record->category;
    reader->brand = record == NULL ? IDMAP_NONE : record->brand;
    reader->found &= ~keys_with_item();
}

static uint32_t left_number(const struct feature_reader *reader, enum feature_key key)
{
    switch (feature_left_of(key)) {
    case LEFT_PERSON: return reader->person;
    case LEFT_QUERY: return reader->query;
    case LEFT_SLOT: return reader->slot;
    default: return IDMAP_NONE;
    }
}

static uint32_t right_number(const struct feature_reader *reader, enum feature_key key)
{
    switch (feature_right_of(key)) {
    case RIGHT_ITEM: return reader->item;
    case RIGHT_CATEGORY: return reader->category;
    case RIGHT_BRAND: return reader->brand;
    default: return IDMAP_NONE;
    }
}

static const uint8_t *find_block(const struct feature_reader *reader, enum feature_key key)
{
    uint32_t left = left_number(reader, key);
    uint32_t right = right_number(reader, key);
    bool by_anon = key == KEY_user && reader->is_anon;
    const struct feature_rows *rows =
        reader->set->rows[by_anon ? FEATURE_TABLE_ANON : (uint32_t)key];
    uint32_t number = left != IDMAP_NONE ? left : right;
    if (rows == NULL)
        return NULL;
    if (FEATURE_KEY_IS_PAIR(key)) {
        if (left == IDMAP_NONE || right == IDMAP_NONE)
            return NULL;
        if (feature_left_of(key) == LEFT_PERSON)
            left = feature_person(left, reader->is_anon);
        number = feature_rows_find_pair(rows, feature_pair(left, right));
    }
    return number == IDMAP_NONE ? NULL : feature_rows_block(rows, number);
}

static const uint8_t *block_of(struct feature_reader *reader, enum feature_key key)
{
    if ((reader->found >> key & 1) == 0) {
        reader->block[key] = find_block(reader, key);
        reader->found |= 1u << key;
    }
    return reader->block[key];
}

/* ---- values ---------------------------------------------------------------------------------- */

static double builtin_value(const struct feature_reader *reader, enum feature_subject subject,
                            uint32_t id)
{
    if (subject == FEATURE_ITEM)
        return reader->item == IDMAP_NONE ? (double)NAN
                                          : feature_of_item(reader->store, id, reader->item);
    return reader->history == NULL ? (double)NAN
                                   : feature_of_user(reader->store, id, reader->history);
}

/* What the events say, before default and age. */
static struct aggregate_value computed(struct feature_reader *reader,
                                       const struct definition *definition)
{
    struct aggregate_value value = {(double)NAN, 0};
    const uint8_t *block = block_of(reader, definition->key);
    if (block != NULL)
        aggregate_read(definition, block + definition->offset, reader->now_s, &value);
    return value;
}

static struct aggregate_value part_of(struct feature_reader *reader, enum feature_key key,
                                      const struct definition_part *part)
{
    if (!part->is_builtin)
        return computed(reader, &reader->set->definitions->definition[part->id]);
    double number = builtin_value(reader, key == KEY_item ? FEATURE_ITEM : FEATURE_USER, part->id);
    return (struct aggregate_value){number, isnan(number) ? 0 : reader->now_s};
}

/* (upper + hits) / (lower + hits + misses); what is not there counts 0. */
static struct aggregate_value ratio(struct feature_reader *reader,
                                    const struct definition *definition)
{
    struct aggregate_value upper = part_of(reader, definition->key, &definition->upper);
    double lower = definition->prior_hits + definition->prior_misses;
    uint32_t as_of_s = upper.as_of_s;
    for (uint32_t i = 0; i < definition->lower_count; i++) {
        struct aggregate_value part = part_of(reader, definition->key, &definition->lower[i]);
        lower += isnan(part.number) ? 0.0 : part.number;
        as_of_s = part.as_of_s > as_of_s ? part.as_of_s : as_of_s;
    }
    double hits = definition->prior_hits + (isnan(upper.number) ? 0.0 : upper.number);
    return (struct aggregate_value){lower > 0.0 ? hits / lower : (double)NAN, as_of_s};
}

/* A ratio of which nothing is known is its prior, unless there is a default. */
static double default_of(const struct definition *definition)
{
    double prior = definition->prior_hits + definition->prior_misses;
    if (definition->kind == FEATURE_KIND_ratio && isnan(definition->fallback) && prior > 0.0)
        return definition->prior_hits / prior;
    return definition->fallback;
}

static double judged(const struct feature_reader *reader, const struct definition *definition,
                     struct aggregate_value value, enum feature_status *ret_status)
{
    uint32_t age_s = reader->now_s > value.as_of_s ? reader->now_s - value.as_of_s : 0;
    *ret_status = FEATURE_PRESENT;
    if (value.as_of_s != 0 && definition->max_age_s != 0 && age_s > definition->max_age_s)
        *ret_status = FEATURE_STALE;
    else if (value.as_of_s != 0 && !isnan(value.number))
        return value.number;
    double fallback = default_of(definition);
    if (*ret_status != FEATURE_STALE)
        *ret_status = isnan(fallback) ? FEATURE_MISSING : FEATURE_DEFAULT;
    return fallback;
}

static const struct definition *definition_of(const struct feature_reader *reader,
                                              const struct feature *feature)
{
    uint32_t index =
        feature->id < reader->set->number_count ? reader->set->index[feature->id] : IDMAP_NONE;
    return index == IDMAP_NONE ? NULL : &reader->set->definitions->definition[index];
}

double feature_value(struct feature_reader *reader, const struct feature *feature)
{
    enum feature_status status;
    if (feature->subject != FEATURE_DEFINED)
        return builtin_value(reader, feature->subject, feature->id);
    const struct definition *definition = definition_of(reader, feature);
    if (definition == NULL)
        return (double)NAN;
    struct aggregate_value value = definition->kind == FEATURE_KIND_ratio
                                       ? ratio(reader, definition)
                                       : computed(reader, definition);
    return judged(reader, definition, value, &status);
}

static void describe_list(struct feature_reader *reader, const struct definition *definition,
                          struct aggregate_value value, struct feature_detail *detail)
{
    const uint8_t *block = block_of(reader, definition->key);
    bool is_ids = definition_is_list_of_ids(definition);
    if (definition->kind != FEATURE_KIND_last || value.as_of_s == 0)
        return;
    if (is_ids && detail->status == FEATURE_MISSING)
        detail->status = FEATURE_PRESENT; /* it has no number, and is there all the same */
    if (detail->status == FEATURE_PRESENT && (is_ids || definition->last_count > 1))
        detail->list = block + definition->offset;
}

void feature_describe(struct feature_reader *reader, const struct feature *feature,
                      struct feature_detail *ret_detail)
{
    *ret_detail = (struct feature_detail){.value = (double)NAN, .status = FEATURE_MISSING};
    if (feature->subject != FEATURE_DEFINED) {
        ret_detail->value = builtin_value(reader, feature->subject, feature->id);
        if (!isnan(ret_detail->value))
            ret_detail->status = FEATURE_PRESENT;
        return;
    }
    const struct definition *definition = definition_of(reader, feature);
    if (definition == NULL)
        return;
    struct aggregate_value value = definition->kind == FEATURE_KIND_ratio
                                       ? ratio(reader, definition)
                                       : computed(reader, definition);
    ret_detail->definition = definition;
    ret_detail->value = judged(reader, definition, value, &ret_detail->status);
    ret_detail->as_of_ms = (int64_t)value.as_of_s * 1000;
    describe_list(reader, definition, value, ret_detail);
}
