/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_scan.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json_escape.h"
#include "base/num.h"
#include "base/rand.h"

#define KEY_SHOWN_BYTES 48 /* of a key, in a message */

/* The states between two tokens. */
enum expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END, /* after '[' */
    EXPECT_KEY,          /* after ',' in an object */
    EXPECT_KEY_OR_END,   /* after '{' */
    EXPECT_COMMA_OR_END,
    EXPECT_NOTHING,
};

/* Keyed anew in each process: keys that collide on purpose cannot be prepared. */
static uint64_t process_seed;

static void process_seed_make(void)
{
    process_seed = rand_seed_system();
}

void json_scan_init(struct json_scan *scan, const char *json, size_t len, uint32_t depth_max)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    ASSERT(depth_max <= JSON_SCAN_DEPTH_MAX);
    pthread_once(&once, process_seed_make);
    memset(scan, 0, sizeof *scan);
    scan->begin = json;
    scan->at = json;
    scan->end = json + len;
    scan->depth_max = depth_max;
    scan->expect = EXPECT_VALUE;
    scan->keys = scan->keys_inline;
    scan->keys_capacity = JSON_SCAN_KEYS_INLINE;
}

void json_scan_deinit(struct json_scan *scan)
{
    if (scan->keys != scan->keys_inline)
        free(scan->keys);
    scan->keys = scan->keys_inline;
}

static enum json_token bad(struct json_scan *scan, enum err_code code, const char *what)
{
    scan->code = code;
    scan->what = what;
    return JSON_TOKEN_BAD;
}

/* The slot where the hash is or belongs. */
static uint64_t *key_slot(uint64_t *keys, uint32_t capacity, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & (capacity - 1);
    while (keys[at] != 0 && keys[at] != hash)
        at = (at + 1) & (capacity - 1);
    return &keys[at];
}

static bool keys_grow(struct json_scan *scan)
{
    uint32_t capacity = scan->keys_capacity * 4; /* cannot overflow: a key takes 4 input bytes */
    uint64_t *keys = calloc(capacity, sizeof *keys);
    if (keys == NULL)
        return false;
    for (uint32_t i = 0; i < scan->keys_capacity; i++) {
        if (scan->keys[i] != 0)
            *key_slot(keys, capacity, scan->keys[i]) = scan->keys[i];
    }
    if (scan->keys != scan->keys_inline)
        free(scan->keys);
    scan->keys = keys;
    scan->keys_capacity = capacity;
    return true;
}

/* The key as it is written, whole characters of it. */
static enum json_token key_is_repeated(struct json_scan *scan)
{
    uint32_t shown_len = 0;
    size_t bytes;
    while ((bytes = text_utf8_length(scan->raw.ptr + shown_len, scan->raw.len - shown_len)) > 0 &&
           shown_len + bytes <= KEY_SHOWN_BYTES)
        shown_len += (uint32_t)bytes;
    snprintf(scan->what_buf, sizeof scan->what_buf, "the key '%.*s'%s stands twice in one object",
             (int)shown_len, scan->raw.ptr, shown_len < scan->raw.len ? "..." : "");
    return bad(scan, ERR_BAD_INPUT, scan->what_buf);
}

/* Two different keys of one object with equal 64-bit hashes would be taken for duplicates; with
 * 65,536 keys that happens once in 8 * 10^9 messages. */
static enum json_token key_add(struct json_scan *scan)
{
    char decoded[JSON_SCAN_KEY_BYTES_MAX];
    struct text key = {scan->raw.ptr, scan->decoded_len};
    if (key.len > JSON_SCAN_KEY_BYTES_MAX)
        return bad(scan, ERR_LIMIT, "a key is longer than 1024 bytes");
    if (scan->has_escapes) {
        json_scan_decode(scan, decoded);
        key.ptr = decoded;
    }
    if (scan->keys_used >= scan->keys_capacity / 4 * 3 && !keys_grow(scan))
        return bad(scan, ERR_NOMEM, "out of memory for the keys");
    uint64_t hash = hash_text(key, scan->object_seed[scan->depth - 1]);
    hash += hash == 0; /* 0 is a free slot */
    uint64_t *slot = key_slot(scan->keys, scan->keys_capacity, hash);
    if (*slot != 0)
        return key_is_repeated(scan);
    *slot = hash;
    scan->keys_used++;
    return JSON_TOKEN_KEY;
}

void json_scan_decode(const struct json_scan *scan, char *to)
{
    const char *at = scan->raw.ptr;
    const char *end = at + scan->raw.len;
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((escape == NULL ? end : escape) - at);
        memcpy(to, at, plain);
        to += plain;
        at += plain;
        if (at < end) {
            char piece[4];
            uint32_t len = 0;
            at += json_escape_decode(at, end, piece, &len);
            memcpy(to, piece, len);
            to += len;
        }
    }
}

/* Reads a string; `at` is behind the opening quote on entry and behind the closing one on return.
 * False after a fault. */
static bool scan_string(struct json_scan *scan)
{
    const char *start = scan->at;
    uint32_t decoded_len = 0;
    scan->has_escapes = false;
    scan->has_nul = false;
    for (;;) {
        const char *run = scan->at;
        while (scan->at < scan->end && *scan->at != '"' && *scan->at != '\\' &&
               (unsigned char)*scan->at >= 0x20)
            scan->at++;
        size_t run_len = (size_t)(scan->at - run);
        if (!text_is_utf8(run, run_len)) {
            for (size_t length; (length = text_utf8_length(run, run_len)) > 0; run_len -= length)
                run += length;
            scan->at = run;
            bad(scan, ERR_BAD_INPUT, "a string is not UTF-8");
            return false;
        }
        decoded_len += (uint32_t)run_len;
        if (scan->at == scan->end) {
            bad(scan, ERR_BAD_INPUT, "a string is not closed");
            return false;
        }
        if (*scan->at == '"')
            break;
        char piece[4];
        uint32_t piece_len = 0;
        uint32_t taken =
            *scan->at == '\\' ? json_escape_decode(scan->at, scan->end, piece, &piece_len) : 0;
        if (taken == 0) {
            bad(scan, ERR_BAD_INPUT,
                *scan->at == '\\' ? "an escape is malformed or a surrogate has no partner"
                                  : "a control character stands in a string");
            return false;
        }
        scan->has_escapes = true;
        scan->has_nul = scan->has_nul || piece[0] == '\0';
        scan->at += taken;
        decoded_len += piece_len;
    }
    scan->raw = (struct text){start, (uint32_t)(scan->at - start)};
    scan->decoded_len = decoded_len;
    scan->at++;
    return true;
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)? */
static enum json_token scan_number(struct json_scan *scan)
{
    enum json_token token = JSON_TOKEN_INTEGER;
    const char *start = scan->at;
    const char *end = scan->end;
    const char *at = start + (*start == '-');
    const char *digits = at;
    at = skip_digits(at, end);
    if (at == digits || (*digits == '0' && at - digits > 1))
        return bad(scan, ERR_BAD_INPUT, "a number is malformed");
    if (at < end && *at == '.') {
        token = JSON_TOKEN_REAL;
        digits = ++at;
        at = skip_digits(at, end);
        if (at == digits)
            return bad(scan, ERR_BAD_INPUT, "a number has no digit after its point");
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        token = JSON_TOKEN_REAL;
        at++;
        at += at < end && (*at == '-' || *at == '+');
        digits = at;
        at = skip_digits(at, end);
        if (at == digits)
            return bad(scan, ERR_BAD_INPUT, "a number has no digit in its exponent");
    }
    if (at - start >= NUM_TEXT_BYTES)
        return bad(scan, ERR_LIMIT, "a number has too many digits");
    scan->raw = (struct text){start, (uint32_t)(at - start)};
    scan->at = at;
    return token;
}

static enum json_token scan_word(struct json_scan *scan, const char *word, enum json_token token)
{
    size_t len = strlen(word);
    if ((size_t)(scan->end - scan->at) < len || memcmp(scan->at, word, len) != 0)
        return bad(scan, ERR_BAD_INPUT, "expected a value");
    scan->at += len;
    return token;
}

static bool is_non_finite(const struct json_scan *scan, uint32_t *ret_len)
{
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    for (int i = 0; i < 3 && scan->takes_non_finite; i++) {
        *ret_len = (uint32_t)strlen(words[i]);
        if ((size_t)(scan->end - scan->at) >= *ret_len && memcmp(scan->at, words[i], *ret_len) == 0)
            return true;
    }
    return false;
}

static enum json_token open_container(struct json_scan *scan, bool is_object)
{
    if (scan->depth == scan->depth_max)
        return bad(scan, ERR_LIMIT, "objects and arrays are nested too deep");
    scan->is_object[scan->depth] = is_object;
    scan->object_seed[scan->depth] = process_seed + scan->object_count++;
    scan->depth++;
    scan->at++;
    scan->expect = is_object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
    return is_object ? JSON_TOKEN_OBJECT : JSON_TOKEN_ARRAY;
}

static void value_is_done(struct json_scan *scan)
{
    scan->expect = scan->depth == 0 ? EXPECT_NOTHING : EXPECT_COMMA_OR_END;
}

static enum json_token close_container(struct json_scan *scan)
{
    scan->depth--;
    scan->at++;
    value_is_done(scan);
    return scan->is_object[scan->depth] ? JSON_TOKEN_OBJECT_END : JSON_TOKEN_ARRAY_END;
}

static void skip_blanks(struct json_scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

static enum json_token scan_value(struct json_scan *scan)
{
    char c = *scan->at;
    uint32_t word_len = 0;
    enum json_token token;
    if (c == '{' || c == '[')
        return open_container(scan, c == '{');
    if (is_non_finite(scan, &word_len)) {
        scan->raw = (struct text){scan->at, word_len};
        scan->at += word_len;
        token = JSON_TOKEN_REAL;
    } else if (c == '"') {
        scan->at++;
        token = scan_string(scan) ? JSON_TOKEN_STRING : JSON_TOKEN_BAD;
    } else if (c == '-' || (c >= '0' && c <= '9')) {
        token = scan_number(scan);
    } else if (c == 't') {
        token = scan_word(scan, "true", JSON_TOKEN_TRUE);
    } else if (c == 'f') {
        token = scan_word(scan, "false", JSON_TOKEN_FALSE);
    } else {
        token = scan_word(scan, "null", JSON_TOKEN_NULL);
    }
    value_is_done(scan);
    return token;
}

static enum json_token scan_key(struct json_scan *scan)
{
    if (*scan->at != '"')
        return bad(scan, ERR_BAD_INPUT, "expected a key in quotes");
    const char *start = scan->at;
    scan->at++;
    if (!scan_string(scan))
        return JSON_TOKEN_BAD;
    const char *behind = scan->at;
    scan->at = start; /* the place of a fault of the key itself */
    if (key_add(scan) == JSON_TOKEN_BAD)
        return JSON_TOKEN_BAD;
    scan->at = behind;
    skip_blanks(scan);
    if (scan->at == scan->end || *scan->at != ':')
        return bad(scan, ERR_BAD_INPUT, "expected ':' after a key");
    scan->at++;
    scan->expect = EXPECT_VALUE;
    return JSON_TOKEN_KEY;
}

enum json_token json_scan_next(struct json_scan *scan)
{
    if (scan->code != ERR_OK)
        return JSON_TOKEN_BAD;
    if ((size_t)(scan->end - scan->begin) > UINT32_MAX)
        return bad(scan, ERR_LIMIT, "the text is longer than 4 GiB");
    skip_blanks(scan);
    if (scan->expect == EXPECT_NOTHING)
        return scan->at == scan->end ? JSON_TOKEN_END
                                     : bad(scan, ERR_BAD_INPUT, "bytes follow the value");
    if (scan->at < scan->end && scan->expect == EXPECT_COMMA_OR_END) {
        bool is_object = scan->is_object[scan->depth - 1];
        if (*scan->at == (is_object ? '}' : ']'))
            return close_container(scan);
        if (*scan->at != ',')
            return bad(scan, ERR_BAD_INPUT,
                       is_object ? "expected ',' or '}'" : "expected ',' or ']'");
        scan->at++;
        scan->expect = is_object ? EXPECT_KEY : EXPECT_VALUE;
        skip_blanks(scan);
    }
    if (scan->at == scan->end)
        return bad(scan, ERR_BAD_INPUT, "the text ends too early");
    if ((scan->expect == EXPECT_VALUE_OR_END && *scan->at == ']') ||
        (scan->expect == EXPECT_KEY_OR_END && *scan->at == '}'))
        return close_container(scan);
    if (scan->expect == EXPECT_KEY || scan->expect == EXPECT_KEY_OR_END)
        return scan_key(scan);
    return scan_value(scan);
}

void json_scan_place(const struct json_scan *scan, uint32_t *ret_line, uint32_t *ret_column)
{
    const char *line_start = scan->begin;
    uint32_t line = 1;
    for (const char *at = scan->begin; at < scan->at; at++) {
        if (*at == '\n') {
            line++;
            line_start = at + 1;
        }
    }
    *ret_line = line;
    *ret_column = (uint32_t)(scan->at - line_start) + 1;
}
