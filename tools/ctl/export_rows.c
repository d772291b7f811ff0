/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/transcode.h"
#include "featurestore/event.h"
#include "tools/cli/value.h"
#include "tools/ctl/csv.h"
#include "tools/ctl/export_rows.h"

#define ARENA_BYTES (EVENT_ITEMS_MAX * sizeof(struct event_item) + 4096)

struct export_rows {
    struct arena arena;
    struct buffer buffer;
};

enum err_code export_rows_create(struct export_rows **ret_rows, struct err *err)
{
    struct export_rows *rows = calloc(1, sizeof *rows);
    if (rows == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for an export");
    enum err_code rc = arena_init(&rows->arena, ARENA_BYTES, err);
    if (rc != ERR_OK) {
        free(rows);
        return rc;
    }
    *ret_rows = rows;
    return ERR_OK;
}

void export_rows_destroy(struct export_rows **rows)
{
    if (*rows == NULL)
        return;
    arena_deinit(&(*rows)->arena);
    buffer_deinit(&(*rows)->buffer);
    free(*rows);
    *rows = NULL;
}

const char *export_rows_text(const struct export_rows *rows, size_t *ret_len)
{
    *ret_len = rows->buffer.used;
    return rows->buffer.bytes;
}

static void put_int(struct buffer *buffer, int64_t value)
{
    if (value == EVENT_ABSENT)
        csv_empty(buffer);
    else
        csv_int(buffer, value);
}

/* "custom:NAME" is the name of a type, too. */
static struct text full_type(const struct event *event, char *buf, size_t buf_bytes)
{
    if (event->type != EVENT_custom)
        return text_of(event_type_name(event->type));
    snprintf(buf, buf_bytes, EVENT_CUSTOM_PREFIX "%.*s", (int)event->custom.len, event->custom.ptr);
    return text_of(buf);
}

static void put_row(struct buffer *buffer, const struct event *event, const struct event_item *item)
{
    char ts[CLOCK_ISO_BYTES], currency[8] = "";
    char type[sizeof EVENT_CUSTOM_PREFIX + EVENT_CUSTOM_BYTES_MAX];
    if (event->currency != 0)
        currency_format(event->currency, currency);
    csv_first(buffer, event->id);
    csv_text(buffer, full_type(event, type, sizeof type));
    csv_text(buffer, text_of(clock_format_iso(event->ts_ms, ts)));
    csv_text(buffer, event->user);
    csv_text(buffer, event->anon);
    csv_text(buffer, event->session);
    csv_text(buffer, event->decision);
    csv_text(buffer, item == NULL ? (struct text){0} : item->id);
    put_int(buffer, item == NULL ? EVENT_ABSENT : item->qty);
    put_int(buffer, item == NULL ? EVENT_ABSENT : item->price_minor);
    csv_text(buffer, text_of(currency));
    put_int(buffer, item == NULL ? EVENT_ABSENT : item->pos);
    put_int(buffer, event->total_minor);
    csv_text(buffer, event->order);
    csv_text(buffer, event->query);
    csv_text(buffer, event->list);
    csv_end(buffer);
}

static enum err_code make_csv(struct export_rows *rows, struct cursor event_bytes,
                              int64_t arrival_ms, int64_t skew_ms, struct err *err)
{
    struct event event;
    const struct event_rules rules = {
        .strictness = EVENT_STORED, .arrival_ms = arrival_ms, .skew_ms = skew_ms};
    arena_reset(&rows->arena);
    enum err_code rc = event_decode_by(&event_bytes, &rules, &rows->arena, &event, err);
    if (rc != ERR_OK)
        return rc;
    for (uint32_t i = 0; i < event.item_count; i++)
        put_row(&rows->buffer, &event, &event.items[i]);
    if (event.item_count == 0)
        put_row(&rows->buffer, &event, NULL);
    return ERR_OK;
}

/* The time as it counts, so that an import needs to know neither arrival nor skew. */
static void pack_ts(struct pack *pack, struct cursor ts, int64_t skew_ms)
{
    int64_t ts_ms = 0;
    struct text iso;
    pack_key(pack, "ts");
    if (cursor_int(&ts, &ts_ms))
        pack_int(pack, ts_ms + skew_ms);
    else if (skew_ms != 0 && cursor_text(&ts, &iso) && clock_parse_iso(iso.ptr, iso.len, &ts_ms))
        pack_int(pack, ts_ms + skew_ms);
    else {
        struct text raw;
        cursor_skip(&ts, &raw);
        pack_raw(pack, raw.ptr, raw.len);
    }
}

static void repack(struct pack *pack, struct cursor event, int64_t arrival_ms, int64_t skew_ms)
{
    struct cursor ts;
    uint32_t pair_count = 0;
    bool has_ts = value_find(event, "ts", &ts);
    bool is_map = cursor_map(&event, &pair_count);
    pack_map(pack, pair_count + !has_ts);
    if (!has_ts) {
        pack_key(pack, "ts");
        pack_int(pack, arrival_ms);
    }
    for (uint32_t i = 0; is_map && i < pair_count; i++) {
        struct text key, raw;
        (void)cursor_text(&event, &key);
        cursor_skip(&event, &raw);
        if (text_is(key, "ts")) {
            pack_ts(pack, cursor_of((const uint8_t *)raw.ptr, raw.len), skew_ms);
        } else {
            pack_text(pack, key);
            pack_raw(pack, raw.ptr, raw.len);
        }
    }
}

static enum err_code make_ndjson(struct export_rows *rows, struct cursor event, int64_t arrival_ms,
                                 int64_t skew_ms, struct err *err)
{
    uint8_t bytes[EVENT_BYTES_MAX + 64];
    struct pack pack = pack_into(bytes, sizeof bytes);
    char *json = NULL;
    size_t len = 0;
    repack(&pack, event, arrival_ms, skew_ms);
    if (pack.overflow)
        return err_set(err, ERR_LIMIT, "the event is longer than %d bytes", EVENT_BYTES_MAX);
    enum err_code rc = transcode_to_json(bytes, pack.used, 0, &json, &len, err);
    if (rc != ERR_OK)
        return rc;
    buffer_put(&rows->buffer, json, len);
    buffer_put_char(&rows->buffer, '\n');
    free(json);
    return ERR_OK;
}

enum err_code export_rows_make(struct export_rows *rows, enum export_format format,
                               struct cursor event, int64_t arrival_ms, int64_t skew_ms,
                               struct err *err)
{
    rows->buffer.used = 0;
    enum err_code rc = format == EXPORT_CSV ? make_csv(rows, event, arrival_ms, skew_ms, err)
                                            : make_ndjson(rows, event, arrival_ms, skew_ms, err);
    if (rc == ERR_OK && rows->buffer.failed)
        rc = err_set(err, ERR_NOMEM, "out of memory for a line");
    return rc;
}
