/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/cel_cases.h"

#include <stdlib.h>
#include <string.h>

enum token_kind { END, WORD, STRING, SIGN };

struct reader {
    const char *at, *end;
    char *room; /* for strings without escapes; as much as the file has */
    size_t room_used;
    enum token_kind kind; /* of the next token */
    struct text token;
    bool failed;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-' || c == '+' || c == '/';
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->end && (is_blank(*r->at) || *r->at == '#')) {
        if (*r->at == '#') {
            const char *line_end = memchr(r->at, '\n', (size_t)(r->end - r->at));
            r->at = line_end == NULL ? r->end : line_end;
        } else {
            r->at++;
        }
    }
}

static void put(struct reader *r, char c)
{
    r->room[r->room_used++] = c;
}

static void put_point(struct reader *r, unsigned long point)
{
    if (point >= 0x10000) {
        put(r, (char)(0xf0 | point >> 18));
        put(r, (char)(0x80 | (point >> 12 & 63)));
    } else if (point >= 0x800) {
        put(r, (char)(0xe0 | point >> 12));
    }
    if (point >= 0x800)
        put(r, (char)(0x80 | (point >> 6 & 63)));
    else if (point >= 0x80)
        put(r, (char)(0xc0 | point >> 6));
    put(r, (char)(point >= 0x80 ? 0x80 | (point & 63) : point));
}

/* Behind the backslash: a byte by its number, a character, or one that stands for another. */
static void read_escape(struct reader *r)
{
    static const char from[] = "abfnrtv", to[] = "\a\b\f\n\r\t\v";
    char digits[9] = "";
    char c = *r->at;
    bool is_octal = c >= '0' && c <= '7';
    size_t wanted = is_octal ? 3 : c == 'x' || c == 'X' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    const char *found = strchr(from, c);
    r->at += is_octal ? 0 : 1;
    if (wanted == 0) {
        put(r, found != NULL && c != '\0' ? to[found - from] : c);
        return;
    }
    for (size_t i = 0; i < wanted && r->at < r->end && *r->at != '\0'; i++) {
        if (strchr(is_octal ? "01234567" : "0123456789abcdefABCDEF", *r->at) == NULL)
            break;
        digits[i] = *r->at++;
    }
    unsigned long number = strtoul(digits, NULL, is_octal ? 8 : 16);
    if (c == 'u' || c == 'U')
        put_point(r, number);
    else
        put(r, (char)number);
}

/* One string, or several that follow each other. */
static void read_strings(struct reader *r)
{
    r->kind = STRING;
    r->token.ptr = r->room + r->room_used;
    while (r->at < r->end && (*r->at == '"' || *r->at == '\'')) {
        char quote = *r->at++;
        while (r->at < r->end && *r->at != quote && *r->at != '\n') {
            if (*r->at == '\\' && r->end - r->at > 1) {
                r->at++;
                read_escape(r);
            } else {
                put(r, *r->at++);
            }
        }
        if (r->at == r->end || *r->at != quote) {
            r->failed = true;
            return;
        }
        r->at++;
        skip_blanks(r);
    }
    r->token.len = (uint32_t)(r->room + r->room_used - r->token.ptr);
}

static void advance(struct reader *r)
{
    skip_blanks(r);
    const char *begin = r->at;
    r->token = (struct text){begin, 0};
    r->kind = END;
    if (r->at == r->end || r->failed)
        return;
    if (*r->at == '"' || *r->at == '\'') {
        read_strings(r);
        return;
    }
    r->kind = is_word(*r->at) ? WORD : SIGN;
    do
        r->at++;
    while (r->kind == WORD && r->at < r->end && is_word(*r->at));
    r->token.len = (uint32_t)(r->at - begin);
}

static bool is_sign(const struct reader *r, const char *sign)
{
    return r->kind == SIGN && text_is(r->token, sign);
}

/* Whatever follows a name, up to its end. */
static void skip_value(struct reader *r)
{
    int depth = 0;
    if (is_sign(r, ":"))
        advance(r);
    do {
        if (is_sign(r, "{") || is_sign(r, "["))
            depth++;
        else if (is_sign(r, "}") || is_sign(r, "]"))
            depth--;
        else if (r->kind == END)
            r->failed = true;
        advance(r);
    } while (depth > 0 && !r->failed);
}

/* Moves into "name: {" or "name {". */
static void open_block(struct reader *r)
{
    if (is_sign(r, ":"))
        advance(r);
    r->failed = r->failed || !is_sign(r, "{");
    advance(r);
}

static struct text take_scalar(struct reader *r)
{
    if (is_sign(r, ":"))
        advance(r);
    struct text token = r->token;
    r->failed = r->failed || (r->kind != WORD && r->kind != STRING);
    advance(r);
    return token;
}

/* The next name of the block; false at its end. */
static bool next_name(struct reader *r, struct text *ret_name)
{
    while (is_sign(r, ",") || is_sign(r, ";"))
        advance(r);
    if (r->failed || r->kind != WORD) {
        r->failed = r->failed || !is_sign(r, "}");
        advance(r);
        return false;
    }
    *ret_name = r->token;
    advance(r);
    return true;
}

static void read_value(struct reader *r, struct cel_case *one)
{
    static const char *const kinds[] = {"bool_value", "int64_value", "double_value",
                                        "string_value"};
    struct text name;
    one->expectation = CEL_EXPECTS_OTHER;
    open_block(r);
    while (next_name(r, &name)) {
        size_t i = 0;
        while (i < 4 && !text_is(name, kinds[i]))
            i++;
        if (i < 4) {
            one->expectation = (enum cel_expectation)i;
            one->value = take_scalar(r);
        } else {
            skip_value(r);
        }
    }
}

static void read_test(struct reader *r, struct cel_case *one)
{
    static const char *const others[] = {"any_eval_errors", "unknown", "any_unknowns",
                                         "typed_result"};
    struct text name;
    open_block(r);
    one->expectation = CEL_EXPECTS_BOOL; /* true where nothing is said */
    one->value = TEXT_LITERAL("true");
    one->has_environment = false;
    while (next_name(r, &name)) {
        if (text_is(name, "name")) {
            one->name = take_scalar(r);
        } else if (text_is(name, "expr")) {
            one->expr = take_scalar(r);
        } else if (text_is(name, "value")) {
            read_value(r, one);
        } else {
            if (text_is(name, "eval_error"))
                one->expectation = CEL_EXPECTS_ERROR;
            for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
                if (text_is(name, others[i]))
                    one->expectation = CEL_EXPECTS_OTHER;
            }
            if (text_is(name, "bindings") || text_is(name, "type_env") ||
                text_is(name, "container"))
                one->has_environment = true;
            skip_value(r);
        }
    }
}

bool cel_cases_read(const char *file, size_t len, void (*visit)(void *ctx, const struct cel_case *),
                    void *ctx)
{
    struct cel_case one = {.expectation = CEL_EXPECTS_OTHER};
    struct reader r = {.at = file, .end = file + len, .room = malloc(2 * len + 1)};
    struct text name;
    if (r.room == NULL)
        return false;
    advance(&r);
    while (r.kind == WORD && next_name(&r, &name)) {
        if (!text_is(name, "section")) {
            skip_value(&r);
            continue;
        }
        open_block(&r);
        while (next_name(&r, &name)) {
            if (text_is(name, "name")) {
                one.section = take_scalar(&r);
            } else if (text_is(name, "test")) {
                read_test(&r, &one);
                if (!r.failed)
                    visit(ctx, &one);
            } else {
                skip_value(&r);
            }
        }
    }
    bool is_good = !r.failed && r.kind == END;
    free(r.room);
    return is_good;
}
