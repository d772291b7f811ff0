/* SPDX-License-Identifier: Apache-2.0 */
/* Joins a user's features with those of the anonymous ids linked to this user alone, as for the
 * history.  The rows are stored separately and merged on reading, so that removing a link leaves no
 * trace. */
#include "featurestore/feature_reader.h"
#include "featurestore/store_internal.h"

/* The newest links, in the order in which they were made. */
void feature_reader_find_links(struct feature_reader *reader)
{
    const struct people *anons = &reader->store->anons;
    reader->link_count = reader->linked_keys = 0;
    if (reader->person == IDMAP_NONE || reader->is_anon)
        return;
    const struct profile profile = store_profile(&reader->store->users, reader->person);
    for (uint32_t i = profile.anon_count; i > 0 && reader->link_count < FEATURE_LINKS_MAX; i--) {
        const struct profile of_anon = store_profile(anons, profile.anons[i - 1]);
        if (profile_sole_user(&of_anon) == reader->person)
            reader->link[reader->link_count++].anon = profile.anons[i - 1];
    }
}

bool feature_reader_is_joined(const struct feature_reader *reader, enum feature_key key)
{
    return reader->link_count > 0 && feature_left_of(key) == LEFT_PERSON;
}

/* ---- rows of the anonymous ids --------------------------------------------------------------- */

static enum feature_linked linked_key(enum feature_key key)
{
    switch (key) {
    case KEY_user_item: return LINKED_ITEM;
    case KEY_user_category: return LINKED_CATEGORY;
    case KEY_user_brand: return LINKED_BRAND;
    default: return LINKED_ALONE;
    }
}

static const uint8_t *find_block(const struct feature_reader *reader, enum feature_key key,
                                 uint32_t anon, uint32_t right)
{
    bool is_alone = key == KEY_user;
    const struct feature_rows *rows =
        reader->set->rows[is_alone ? FEATURE_TABLE_ANON : (uint32_t)key];
    if (rows == NULL || (!is_alone && right == IDMAP_NONE))
        return NULL;
    if (is_alone)
        return feature_rows_block(rows, anon);
    uint32_t number = feature_rows_find_pair(rows, feature_pair(feature_person(anon, true), right));
    return number == IDMAP_NONE ? NULL : feature_rows_block(rows, number);
}

/* Looks up the linked rows for all items of the window, once. */
static void find_linked(struct feature_reader *reader, enum feature_key key)
{
    enum feature_linked linked = linked_key(key);
    const struct feature_window *window = &reader->window[reader->at];
    uint32_t count = key == KEY_user ? 1 : window->count;
    if ((reader->linked_keys >> linked & 1) != 0)
        return;
    const uint32_t *right = feature_reader_numbers(reader, feature_right_of(key));
    for (uint32_t l = 0; l < reader->link_count; l++) {
        for (uint32_t i = 0; i < count; i++)
            reader->link[l].block[linked][i] = find_block(reader, key, reader->link[l].anon,
                                                          key == KEY_user ? IDMAP_NONE : right[i]);
    }
    reader->linked_keys |= 1u << linked;
}

/* Merges into `joined`, at the feature's offset in the block; false: there is nothing to merge. */
static bool join_row(const struct feature_reader *reader, const struct definition *definition,
                     const uint8_t *block, uint32_t at, uint8_t *joined)
{
    enum feature_linked linked = linked_key(definition->key);
    uint8_t *state = joined + definition->offset;
    bool has_more = false;
    for (uint32_t l = 0; l < reader->link_count; l++) {
        const uint8_t *other = reader->link[l].block[linked][at];
        if (other == NULL)
            continue;
        if (!has_more)
            memcpy(state, block + definition->offset, definition->bytes);
        aggregate_merge(definition, state, other + definition->offset);
        has_more = true;
    }
    return has_more;
}

/* ---- for readers ----------------------------------------------------------------------------- */

void feature_reader_join(struct feature_reader *reader, const struct definition *definition,
                         uint32_t count, struct aggregate_column *ret_column)
{
    uint8_t joined[DEFINITION_BLOCK_BYTES_MAX];
    const uint8_t *const *block = feature_reader_blocks(reader, definition->key);
    bool is_alone = definition->key == KEY_user;
    find_linked(reader, definition->key);
    aggregate_read_column(definition, block, count, &reader->when, ret_column);
    for (uint32_t i = 0; i < (is_alone ? 1 : count); i++) {
        struct aggregate_column one;
        const uint8_t *const row = joined;
        if (!join_row(reader, definition, block[i], i, joined))
            continue;
        aggregate_read_column(definition, &row, 1, &reader->when, &one);
        ret_column->number[i] = one.number[0];
        ret_column->as_of_s[i] = one.as_of_s[0];
    }
    for (uint32_t i = 1; is_alone && i < count; i++) {
        ret_column->number[i] = ret_column->number[0];
        ret_column->as_of_s[i] = ret_column->as_of_s[0];
    }
}

const uint8_t *feature_reader_list(struct feature_reader *reader,
                                   const struct definition *definition)
{
    const uint8_t *state = feature_reader_blocks(reader, definition->key)[0] + definition->offset;
    if (!feature_reader_is_joined(reader, definition->key))
        return state;
    find_linked(reader, definition->key);
    memcpy(reader->list_state, state, definition->bytes);
    for (uint32_t l = 0; l < reader->link_count; l++) {
        const uint8_t *other = reader->link[l].block[linked_key(definition->key)][0];
        if (other != NULL)
            aggregate_merge(definition, reader->list_state, other + definition->offset);
    }
    return reader->list_state;
}
