/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/reader_transcript.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "base/cursor.h"
#include "base/transcode.h"
#include "featurestore/event.h"
#include "tests/support/temp_dir.h"

#define ARRIVAL_MS  INT64_C(1800000000000) /* January 2027 */
#define ARENA_BYTES (EVENT_ITEMS_MAX * sizeof(struct event_item) + 1024)

static void put_event(struct buffer *out, struct text event, struct arena *arena)
{
    struct err err;
    struct event decoded;
    char *json = NULL;
    size_t json_len;
    const uint8_t *bytes = (const uint8_t *)event.ptr;
    enum err_code rc = cursor_check(bytes, event.len, CURSOR_VALUES_MAX, &err);
    ASSERT(rc == ERR_OK); /* whatever is in the file, a reader gives well-formed MessagePack */
    rc = transcode_to_json(bytes, event.len, 0, &json, &json_len, &err);
    ASSERT(rc == ERR_OK);
    buffer_put_char(out, '+');
    buffer_put(out, json, json_len);
    buffer_put_char(out, '\n');
    free(json);
    struct cursor cursor = cursor_of(bytes, event.len);
    arena_reset(arena);
    if (event_decode(&cursor, ARRIVAL_MS, arena, &decoded, &err) != ERR_OK) {
        buffer_put_char(out, '*');
        buffer_put_str(out, err.text);
        buffer_put_char(out, '\n');
    }
}

char *reader_transcript(const char *path, const struct reader_options *options)
{
    struct buffer out = {0};
    struct reader *reader = NULL;
    struct err err = {0};
    struct text event;
    size_t len;
    struct arena arena;
    enum reader_outcome outcome = READER_DONE;
    enum err_code rc = arena_init(&arena, ARENA_BYTES, &err);
    ASSERT(rc == ERR_OK);
    if (reader_open(path, options, &reader, &err) != ERR_OK) {
        buffer_put_char(&out, '?');
        buffer_put_str(&out, err.text);
        goto out;
    }
    do {
        outcome = reader_next(reader, &event, &err);
        if (outcome == READER_EVENT) {
            put_event(&out, event, &arena);
        } else if (outcome == READER_SKIPPED) {
            buffer_put_char(&out, '-');
            buffer_put(&out, event.ptr, event.len);
            buffer_put_char(&out, '\n');
        } else if (outcome != READER_DONE) {
            buffer_put_str(&out, outcome == READER_BAD ? "!" : "!!");
            buffer_put_str(&out, err.text);
            buffer_put_char(&out, '\n');
        }
    } while (outcome != READER_DONE && outcome != READER_FAILED);
    reader_close(&reader);
out:
    arena_deinit(&arena);
    return buffer_take(&out, &len);
}

char *reader_transcript_of(const char *name, const void *bytes, size_t len, const char *map,
                           enum reader_kind kind)
{
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    char map_path[2 * TEMP_DIR_BYTES];
    temp_dir_create(&dir);
    temp_dir_write(&dir, name, bytes, len);
    if (map != NULL)
        temp_dir_write_text(&dir, "map.json", map);
    struct reader_options options = {
        .kind = kind, .map_path = map == NULL ? NULL : temp_dir_path(&dir, "map.json", map_path)};
    char *transcript = reader_transcript(temp_dir_path(&dir, name, path), &options);
    temp_dir_remove(&dir);
    return transcript;
}
