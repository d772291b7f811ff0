/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as a map; when it is one, a row goes through it. */
#include "base/cursor.h"
#include "featurestore/event.h"
#include "featurestore/reader_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_row(const struct reader_map *map, const char *value)
{
    static uint8_t bytes[EVENT_BYTES_MAX];
    struct text values[MAP_COLUMNS_MAX];
    struct pack pack = pack_into(bytes, sizeof bytes);
    const struct map_rule *rule = NULL;
    struct err err = {0};
    for (uint32_t i = 0; i < map->column_count; i++)
        values[i] = text_of(value);
    struct map_row row = {.line = 7, .value = values};
    if (map_keep(map, &row, &rule, &err) != ERR_OK)
        ASSERT(err.text[0] != '\0');
    else if (map_event(map, &row, &pack, &err) == ERR_OK && !pack.overflow)
        ASSERT(cursor_check(bytes, pack.used, CURSOR_VALUES_MAX, &err) == ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int kind = READER_EVENTS; kind <= READER_ITEMS; kind++) {
        struct reader_map *map = NULL;
        struct err err = {0};
        if (reader_map_parse("map.json", (const char *)data, size, (enum reader_kind)kind, &map,
                             &err) != ERR_OK) {
            ASSERT(map == NULL && err.text[0] != '\0');
            continue;
        }
        one_row(map, "1");
        one_row(map, "2011-11-01 08:26:00");
        one_row(map, " view ");
        one_row(map, "");
        reader_map_destroy(&map);
    }
    return 0;
}
