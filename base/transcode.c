/* SPDX-License-Identifier: Apache-2.0 */
#include "base/transcode.h"

#include "base/cursor.h"
#include "base/json_scan.h"
#include "base/num.h"

/* The containers that are open while JSON is read. */
struct builder {
    struct pack *pack;
    uint32_t depth;
    struct {
        size_t mark;
        uint32_t count; /* pairs or elements so far */
        bool is_map;
    } level[CURSOR_DEPTH_MAX];
};

static enum err_code scan_error(const struct json_scan *scan, enum err_code code, const char *what,
                                struct err *err)
{
    uint32_t line;
    uint32_t column;
    json_scan_place(scan, &line, &column);
    return err_set(err, code, "line %u, column %u: %s", line, column, what);
}

static void builder_open(struct builder *builder, bool is_map)
{
    ASSERT(builder->depth < CURSOR_DEPTH_MAX); /* the scanner has the same limit */
    builder->level[builder->depth].is_map = is_map;
    builder->level[builder->depth].count = 0;
    builder->level[builder->depth].mark =
        is_map ? pack_map_open(builder->pack) : pack_array_open(builder->pack);
    builder->depth++;
}

static void builder_close(struct builder *builder)
{
    builder->depth--;
    size_t mark = builder->level[builder->depth].mark;
    uint32_t count = builder->level[builder->depth].count;
    if (builder->level[builder->depth].is_map)
        pack_map_close(builder->pack, mark, count);
    else
        pack_array_close(builder->pack, mark, count);
}

static void put_string(struct pack *pack, const struct json_scan *scan)
{
    if (!scan->has_escapes) {
        pack_text(pack, scan->raw);
        return;
    }
    char *to = pack_text_reserve(pack, scan->decoded_len);
    if (to != NULL)
        json_scan_decode(scan, to);
}

/* False when the number is too large for a float64. */
static bool put_number(struct pack *pack, struct text digits, bool is_integer)
{
    int64_t integer;
    uint64_t large;
    double real;
    if (is_integer && num_parse_int(digits, INT64_MIN, INT64_MAX, &integer)) {
        pack_int(pack, integer);
        return true;
    }
    if (is_integer && num_parse_uint(digits, &large)) {
        pack_uint(pack, large);
        return true;
    }
    if (!num_parse_real(digits, &real))
        return false;
    pack_real(pack, real);
    return true;
}

/* One token; false only for a number that cannot be kept. */
static bool builder_take(struct builder *builder, const struct json_scan *scan,
                         enum json_token token)
{
    struct pack *pack = builder->pack;
    bool in_map = builder->depth > 0 && builder->level[builder->depth - 1].is_map;
    bool is_end = token == JSON_TOKEN_OBJECT_END || token == JSON_TOKEN_ARRAY_END;
    /* In a map the keys are counted, in an array the values. */
    if (builder->depth > 0 && !is_end && (token == JSON_TOKEN_KEY || !in_map))
        builder->level[builder->depth - 1].count++;
    switch (token) {
    case JSON_TOKEN_OBJECT: builder_open(builder, true); break;
    case JSON_TOKEN_ARRAY: builder_open(builder, false); break;
    case JSON_TOKEN_OBJECT_END:
    case JSON_TOKEN_ARRAY_END: builder_close(builder); break;
    case JSON_TOKEN_KEY:
    case JSON_TOKEN_STRING: put_string(pack, scan); break;
    case JSON_TOKEN_INTEGER: return put_number(pack, scan->raw, true);
    case JSON_TOKEN_REAL: return put_number(pack, scan->raw, false);
    case JSON_TOKEN_TRUE: pack_bool(pack, true); break;
    case JSON_TOKEN_FALSE: pack_bool(pack, false); break;
    case JSON_TOKEN_NULL: pack_nil(pack); break;
    case JSON_TOKEN_END:
    case JSON_TOKEN_BAD: break;
    }
    return true;
}

enum err_code transcode_from_json(const char *json, size_t len, struct pack *pack, struct err *err)
{
    struct builder builder = {.pack = pack};
    struct json_scan scan;
    enum err_code rc = ERR_OK;
    enum json_token token;

    json_scan_init(&scan, json, len, CURSOR_DEPTH_MAX);
    do {
        token = json_scan_next(&scan);
        if (token == JSON_TOKEN_BAD)
            rc = scan_error(&scan, scan.code, scan.what, err);
        else if (!builder_take(&builder, &scan, token))
            rc = scan_error(&scan, ERR_BAD_INPUT, "the number before here is too large", err);
        else if (pack->overflow)
            rc = scan_error(&scan, ERR_LIMIT, "the message is too large", err);
    } while (rc == ERR_OK && token != JSON_TOKEN_END);
    json_scan_deinit(&scan);
    return rc;
}
