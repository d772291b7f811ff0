/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/transcode.h"
#include "featurestore/event.h"
#include "tools/cli/value.h"
#include "tools/ctl/export.h"

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

/* RFC 4180: quoted where it must be. */
static void put_field(struct buffer *buffer, struct text text)
{
    bool is_plain =
        text.ptr == NULL ||
        (memchr(text.ptr, '"', text.len) == NULL && memchr(text.ptr, ',', text.len) == NULL &&
         memchr(text.ptr, '\n', text.len) == NULL && memchr(text.ptr, '\r', text.len) == NULL);
    if (is_plain) {
        buffer_put(buffer, text.ptr == NULL ? "" : text.ptr, text.len);
        return;
    }
    buffer_put_char(buffer, '"');
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"')
            buffer_put_char(buffer, '"');
        buffer_put_char(buffer, text.ptr[i]);
    }
    buffer_put_char(buffer, '"');
}

static void put_text(struct buffer *buffer, struct text text)
{
    buffer_put_char(buffer, ',');
    put_field(buffer, text);
}

static void put_int(struct buffer *buffer, int64_t value)
{
    buffer_put_char(buffer, ',');
    if (value != EVENT_ABSENT)
        buffer_put_fmt(buffer, "%" PRId64, value);
}

static void put_row(struct buffer *buffer, const struct event *event, const struct event_item *item)
{
    char ts[CLOCK_ISO_BYTES], currency[8] = "";
    if (event->currency != 0)
        currency_format(event->currency, currency);
    put_field(buffer, event->id);
    put_text(buffer, text_of(event_type_name(event->type)));
    put_text(buffer, text_of(clock_format_iso(event->ts_ms, ts)));
    put_text(buffer, event->user);
    put_text(buffer, event->anon);
    put_text(buffer, event->session);
    put_text(buffer, event->decision);
    put_text(buffer, item == NULL ? (struct text){0} : item->id);
    put_int(buffer, item == NULL ? EVENT_ABSENT : item->qty);
    put_int(buffer, item == NULL ? EVENT_ABSENT : item->price_minor);
    put_text(buffer, text_of(currency));
    put_int(buffer, item == NULL ? EVENT_ABSENT : item->pos);
    put_int(buffer, event->total_minor);
    put_text(buffer, event->order);
    put_text(buffer, event->query);
    put_text(buffer, event->list);
    buffer_put_str(buffer, "\r\n");
}

static enum err_code make_csv(struct export_rows *rows, struct cursor event_bytes,
                              int64_t arrival_ms, int64_t skew_ms, struct err *err)
{
    struct event event;
    arena_reset(&rows->arena);
    enum err_code rc = event_decode(&event_bytes, arrival_ms, &rows->arena, &event, err);
    if (rc != ERR_OK)
        return rc;
    event.ts_ms += skew_ms;
    for (uint32_t i = 0; i < event.item_count; i++)
        put_row(&rows->buffer, &event, &event.items[i]);
    if (event.item_count == 0)
        put_row(&rows->buffer, &event, NULL);
    return ERR_OK;
}

static enum err_code make_ndjson(struct export_rows *rows, struct cursor event, int64_t arrival_ms,
                                 struct err *err)
{
    struct text bytes;
    struct cursor ts;
    struct cursor at = event;
    char *json = NULL;
    size_t len = 0;
    cursor_skip(&at, &bytes);
    enum err_code rc =
        transcode_to_json((const uint8_t *)bytes.ptr, bytes.len, 0, &json, &len, err);
    if (rc != ERR_OK)
        return rc;
    if (!value_find(event, "ts", &ts) && len > 1) {
        buffer_put_fmt(&rows->buffer, "{\"ts\":%" PRId64 "%s", arrival_ms, len > 2 ? "," : "");
        buffer_put(&rows->buffer, json + 1, len - 1);
    } else {
        buffer_put(&rows->buffer, json, len);
    }
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
                                            : make_ndjson(rows, event, arrival_ms, err);
    if (rc == ERR_OK && rows->buffer.failed)
        rc = err_set(err, ERR_NOMEM, "out of memory for a line");
    return rc;
}
