/* SPDX-License-Identifier: Apache-2.0 */
/* A row through a map: texts are put together, checked and written as the event's values. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/money.h"
#include "base/num.h"
#include "featurestore/event.h"
#include "featurestore/reader_map.h"

enum {
    COMPOSED_BYTES_MAX = 4096, /* of a text that is put together from pieces */
    SHOWN_BYTES_MAX = 40,      /* of a value in a message */
    TIME_BYTES_MAX = 64,
};

/* One event on its way. */
struct row_write {
    const struct reader_map *map;
    const struct map_row *row;
    struct pack *pack;
    int money_digits;
    uint32_t pair_count; /* of the map that is open */
    struct err *err;
    char *composed; /* COMPOSED_BYTES_MAX bytes */
};

enum err_code map_fault(struct err *err, uint64_t line, struct text field, const char *expected,
                        struct text got)
{
    char shown[SHOWN_BYTES_MAX + 4];
    uint32_t from = 0;
    uint32_t to = 0;
    while (from < got.len && to < SHOWN_BYTES_MAX) {
        size_t bytes = text_utf8_length(got.ptr + from, got.len - from);
        bool is_shown = bytes > 0 && (unsigned char)got.ptr[from] >= 0x20 && got.ptr[from] != 0x7F;
        if (bytes == 0)
            bytes = 1;
        if (is_shown)
            memcpy(shown + to, got.ptr + from, bytes);
        else
            shown[to] = '?';
        to += is_shown ? (uint32_t)bytes : 1;
        from += (uint32_t)bytes;
    }
    shown[to] = '\0';
    return err_set(err, ERR_BAD_INPUT, "line %" PRIu64 ", field %.*s: expected %s, got '%s'%s",
                   line, (int)field.len, field.ptr, expected, shown, from < got.len ? "..." : "");
}

/* The column when the field is made of one alone, since that is what the user looks for. */
static struct text field_name(const struct row_write *write, const struct map_field *field)
{
    const struct map_piece *only = NULL;
    for (uint32_t i = 0; i < field->text.piece_count; i++) {
        const struct map_piece *piece = &field->text.piece[i];
        if (piece->kind != MAP_COLUMN)
            continue;
        if (only != NULL)
            return text_of(field->name);
        only = piece;
    }
    return only == NULL ? text_of(field->name) : write->map->column[only->column];
}

static enum err_code refuse(const struct row_write *write, const struct map_field *field,
                            const char *expected, struct text got)
{
    return map_fault(write->err, write->row->line, field_name(write, field), expected, got);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct text trimmed(struct text text)
{
    while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
        text.len--;
    while (text.len > 0 && is_blank(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    return text;
}

/* "17850.0" becomes "17850", as spreadsheets and data frames write whole numbers; false when it is
 * none. */
static bool take_whole(struct text *text)
{
    uint32_t at = text->len > 0 && text->ptr[0] == '-';
    uint32_t digits = at;
    while (at < text->len && text->ptr[at] >= '0' && text->ptr[at] <= '9')
        at++;
    uint32_t whole = at;
    if (at + 1 < text->len && text->ptr[at] == '.')
        at++;
    while (at > whole && at < text->len && text->ptr[at] == '0')
        at++;
    if (at != text->len || whole == digits)
        return false;
    text->len = whole;
    return true;
}

static enum err_code piece_text(const struct row_write *write, const struct map_field *field,
                                const struct map_piece *piece, struct text *ret_text)
{
    struct text text = write->row->value[piece->column];
    if (piece->filter == MAP_TRIM)
        text = trimmed(text);
    if (piece->filter == MAP_INTEGER && text.len > 0 && !take_whole(&text))
        return refuse(write, field, "a whole number", text);
    *ret_text = text;
    return ERR_OK;
}

/* The field's text; a single column is not copied, several pieces are put together in `composed`,
 * so that the text holds until the next call. */
static enum err_code field_text(struct row_write *write, const struct map_field *field,
                                struct text *ret_text)
{
    char line[24];
    uint32_t used = 0;
    struct text text = TEXT_LITERAL("");
    for (uint32_t i = 0; i < field->text.piece_count; i++) {
        const struct map_piece *piece = &field->text.piece[i];
        enum err_code rc = ERR_OK;
        if (piece->kind == MAP_LITERAL)
            text = piece->literal;
        else if (piece->kind == MAP_COLUMN)
            rc = piece_text(write, field, piece, &text);
        else
            text = (struct text){
                line, (uint32_t)snprintf(line, sizeof line, "%" PRIu64, write->row->line)};
        if (rc != ERR_OK)
            return rc;
        if (field->text.piece_count == 1 && piece->kind != MAP_LINE)
            break;
        if (text.len > COMPOSED_BYTES_MAX - used)
            return refuse(write, field, "a shorter text", text);
        memcpy(write->composed + used, text.ptr, text.len);
        used += text.len;
        text = (struct text){write->composed, used};
    }
    *ret_text = text;
    return ERR_OK;
}

/* A pattern of strptime, in UTC unless it holds %z; dates that do not exist are refused. */
static bool parse_pattern(const char *pattern, struct text text, int64_t *ret_ms)
{
    char buf[TIME_BYTES_MAX];
    struct tm tm = {.tm_mday = 1};
    if (text.len >= sizeof buf || memchr(text.ptr, '\0', text.len) != NULL)
        return false;
    const char *rest = strptime(text_copy(text, buf, sizeof buf), pattern, &tm);
    if (rest == NULL || *rest != '\0')
        return false;
    long offset_s = tm.tm_gmtoff;
    struct tm normal = tm;
    time_t seconds = timegm(&normal);
    if (normal.tm_mday != tm.tm_mday || normal.tm_mon != tm.tm_mon || normal.tm_year != tm.tm_year)
        return false;
    return num_mul((int64_t)seconds - offset_s, 1000, ret_ms);
}

static bool parse_time(const struct reader_map *map, struct text text, int64_t *ret_ms)
{
    bool is_seconds = strcmp(map->time_format, "unix") == 0;
    if (strcmp(map->time_format, "iso") == 0)
        return clock_parse_iso(text.ptr, text.len, ret_ms);
    if (!is_seconds && strcmp(map->time_format, "unix_ms") != 0)
        return parse_pattern(map->time_format, text, ret_ms);
    return num_parse_int(text, 0, EVENT_TS_MS_MAX, ret_ms) &&
           num_mul(*ret_ms, is_seconds ? 1000 : 1, ret_ms);
}

static struct text renamed_type(const struct reader_map *map, struct text type)
{
    for (const cJSON *from = map->types; from != NULL; from = from->next) {
        if (text_is(type, from->string))
            return text_of(from->valuestring);
    }
    return type;
}

static enum err_code put_text(struct row_write *write, const struct map_field *field,
                              struct text text)
{
    char expected[64];
    enum event_type type;
    currency_code currency;
    const struct map_key *key = field->key;
    if (key->value == MAP_VALUE_TYPE) {
        text = renamed_type(write->map, text);
        if (!event_type_parse(text, &type))
            return refuse(write, field, "a type of event", text);
    } else if (key->value == MAP_VALUE_CURRENCY) {
        if (!currency_parse(text, &currency))
            return refuse(write, field, "a currency such as EUR", text);
    } else if ((int64_t)text.len > key->max) {
        snprintf(expected, sizeof expected, "at most %" PRId64 " bytes", key->max);
        return refuse(write, field, expected, text);
    } else if (key->value == MAP_VALUE_ID && !text_is_id(text)) {
        return refuse(write, field, "UTF-8 without control characters", text);
    } else if (!text_is_utf8(text.ptr, text.len)) {
        return refuse(write, field, "UTF-8", text);
    }
    pack_text(write->pack, text);
    return ERR_OK;
}

/* What was expected of money that money_parse refuses. */
static const char *money_expectation(struct text text, int digits, char *buf, size_t buf_bytes)
{
    double value = 0;
    char most[32];
    money_format(MONEY_MINOR_MAX, digits, most);
    if (num_parse_real(text, &value) && fabs(value) * pow(10, digits) > (double)MONEY_MINOR_MAX)
        snprintf(buf, buf_bytes, "an amount within +-%s", most);
    else
        snprintf(buf, buf_bytes, "a decimal number with at most %d decimals", digits);
    return buf;
}

static enum err_code put_number(struct row_write *write, const struct map_field *field,
                                struct text text)
{
    char expected[96];
    const struct map_key *key = field->key;
    int64_t value = 0;
    if (key->value == MAP_VALUE_TIME &&
        (!parse_time(write->map, text, &value) || value < key->min || value > key->max)) {
        snprintf(expected, sizeof expected,
                 "a time from 1970 to 2106 as the map's \"time\" says: %.32s",
                 write->map->time_format);
        return refuse(write, field, expected, text);
    }
    if (key->value == MAP_VALUE_INT &&
        !(take_whole(&text) && num_parse_int(text, INT64_MIN, INT64_MAX, &value)))
        return refuse(write, field, "a whole number", text);
    bool is_decimal = key->value == MAP_VALUE_MONEY && !write->map->money_is_minor;
    if (is_decimal && !money_parse(text, write->money_digits, &value))
        return refuse(write, field,
                      money_expectation(text, write->money_digits, expected, sizeof expected),
                      text);
    if (key->value == MAP_VALUE_MONEY && !is_decimal &&
        !num_parse_int(text, INT64_MIN, INT64_MAX, &value))
        return refuse(write, field, "a whole number of minor units", text);
    if (value < key->min || value > key->max) {
        snprintf(expected, sizeof expected, "%" PRId64 "..%" PRId64 "%s", key->min, key->max,
                 key->value == MAP_VALUE_MONEY ? " minor units" : "");
        return refuse(write, field, expected, text);
    }
    pack_int(write->pack, value);
    return ERR_OK;
}

/* A text that comes out empty is left out, unless the key is required. */
static enum err_code put_field(struct row_write *write, const struct map_field *field)
{
    struct text text;
    enum map_value value = field->key->value;
    enum err_code rc = field_text(write, field, &text);
    if (rc != ERR_OK)
        return rc;
    if (text.len == 0)
        return field->key->is_required ? refuse(write, field, "a text", text) : ERR_OK;
    pack_text(write->pack, text_of(field->name));
    write->pair_count++;
    bool is_number = value == MAP_VALUE_TIME || value == MAP_VALUE_MONEY || value == MAP_VALUE_INT;
    return is_number ? put_number(write, field, text) : put_text(write, field, text);
}

static enum err_code put_fields(struct row_write *write, const struct map_field *field,
                                uint32_t count)
{
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++)
        rc = put_field(write, &field[i]);
    return rc;
}

static enum err_code put_extras(struct row_write *write, const char *key)
{
    if (write->map->extra_count == 0)
        return ERR_OK;
    uint32_t outside_count = write->pair_count + 1;
    pack_str(write->pack, key);
    size_t mark = pack_map_open(write->pack);
    write->pair_count = 0;
    enum err_code rc = put_fields(write, write->map->extra, write->map->extra_count);
    pack_map_close(write->pack, mark, write->pair_count);
    write->pair_count = outside_count;
    return rc;
}

static enum err_code put_item(struct row_write *write)
{
    const struct reader_map *map = write->map;
    if (!map->has_item)
        return ERR_OK;
    uint32_t outside_count = write->pair_count + 1;
    pack_key(write->pack, "items");
    pack_array(write->pack, 1);
    size_t mark = pack_map_open(write->pack);
    write->pair_count = 0;
    enum err_code rc = put_fields(write, map->inner.field, map->inner.count);
    if (rc == ERR_OK && map->kind == READER_ITEMS)
        rc = put_extras(write, "attributes");
    pack_map_close(write->pack, mark, write->pair_count);
    write->pair_count = outside_count;
    return rc;
}

/* Money has as many decimals as the currency; what is no currency is refused when its turn comes.
 */
static enum err_code find_digits(struct row_write *write)
{
    struct text text = TEXT_LITERAL("");
    currency_code currency = 0;
    enum err_code rc = ERR_OK;
    if (write->map->currency != NULL)
        rc = field_text(write, write->map->currency, &text);
    if (rc == ERR_OK && !currency_parse(text, &currency))
        currency = 0;
    write->money_digits = currency_digits(currency);
    return rc;
}

uint32_t map_item_head(struct pack *pack, uint64_t hash, uint64_t line)
{
    char id[EVENT_ID_BYTES_MAX];
    snprintf(id, sizeof id, "item-%016" PRIx64 "-%" PRIu64, hash, line);
    pack_key(pack, "id");
    pack_str(pack, id);
    pack_key(pack, "type");
    pack_str(pack, event_type_name(EVENT_item_upsert));
    return 2;
}

enum err_code map_event(const struct reader_map *map, const struct map_row *row, struct pack *pack,
                        struct err *err)
{
    char composed[COMPOSED_BYTES_MAX];
    struct row_write write = {
        .map = map, .row = row, .pack = pack, .err = err, .composed = composed};
    size_t mark = pack_map_open(pack);
    enum err_code rc = find_digits(&write);
    if (map->kind == READER_ITEMS)
        write.pair_count += map_item_head(pack, row->item_hash, row->line);
    if (rc == ERR_OK)
        rc = put_fields(&write, map->outer.field, map->outer.count);
    if (rc == ERR_OK)
        rc = put_item(&write);
    if (rc == ERR_OK && map->kind == READER_EVENTS)
        rc = put_extras(&write, "props");
    pack_map_close(pack, mark, write.pair_count);
    return rc;
}
