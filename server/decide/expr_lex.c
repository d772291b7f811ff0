/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "server/decide/expr_internal.h"

enum err_code expr_fault(struct text source, uint32_t at, struct err *err, const char *fmt, ...)
{
    char what[ERR_TEXT_BYTES];
    uint32_t line = 1, column = 1;
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    for (uint32_t i = 0; i < at && i < source.len; i++) {
        column = source.ptr[i] == '\n' ? 1 : column + 1;
        line += source.ptr[i] == '\n';
    }
    return err_set(err, ERR_BAD_INPUT, "line %u, column %u: %s", line, column, what);
}

static char at(const struct expr_lexer *lexer, uint32_t ahead)
{
    uint32_t place = lexer->at + ahead;
    return place < lexer->source.len ? lexer->source.ptr[place] : '\0';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

static uint32_t hex_value(char c)
{
    if (is_digit(c))
        return (uint32_t)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (uint32_t)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (uint32_t)(c - 'A') + 10;
    return 16;
}

/* Skips blanks, and comments from // to the end of the line. */
static void skip_blanks(struct expr_lexer *lexer)
{
    for (;;) {
        char c = at(lexer, 0);
        if (c == '/' && at(lexer, 1) == '/') {
            while (lexer->at < lexer->source.len && at(lexer, 0) != '\n')
                lexer->at++;
        } else if (lexer->at < lexer->source.len &&
                   (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f')) {
            lexer->at++;
        } else {
            return;
        }
    }
}

/* ---- numbers --------------------------------------------------------------------------------- */

static enum err_code read_hex(struct expr_lexer *lexer, struct expr_token *token, struct err *err)
{
    uint32_t digits = 0;
    lexer->at += 2;
    for (; hex_value(at(lexer, 0)) < 16; lexer->at++, digits++) {
        if (token->integer >> 60 != 0)
            return expr_fault(lexer->source, token->at, err, "the number is beyond 64 bits");
        token->integer = token->integer << 4 | hex_value(at(lexer, 0));
    }
    if (digits == 0)
        return expr_fault(lexer->source, token->at, err, "expected digits after 0x");
    return ERR_OK;
}

static void skip_digits(struct expr_lexer *lexer)
{
    while (is_digit(at(lexer, 0)))
        lexer->at++;
}

static enum err_code read_decimal(struct expr_lexer *lexer, struct expr_token *token,
                                  struct err *err)
{
    skip_digits(lexer);
    if (at(lexer, 0) == '.' && is_digit(at(lexer, 1))) {
        token->kind = TOKEN_DOUBLE;
        lexer->at++;
        skip_digits(lexer);
    }
    uint32_t sign = at(lexer, 1) == '+' || at(lexer, 1) == '-';
    if ((at(lexer, 0) == 'e' || at(lexer, 0) == 'E') && is_digit(at(lexer, 1 + sign))) {
        token->kind = TOKEN_DOUBLE;
        lexer->at += 1 + sign;
        skip_digits(lexer);
    }
    struct text digits = {lexer->source.ptr + token->at, lexer->at - token->at};
    bool fits = token->kind == TOKEN_DOUBLE ? num_parse_real(digits, &token->real)
                                            : num_parse_uint(digits, &token->integer);
    if (!fits)
        return expr_fault(lexer->source, token->at, err, "the number does not fit");
    return ERR_OK;
}

static enum err_code read_number(struct expr_lexer *lexer, struct expr_token *token,
                                 struct err *err)
{
    token->kind = TOKEN_INT;
    bool is_hex = at(lexer, 0) == '0' && (at(lexer, 1) == 'x' || at(lexer, 1) == 'X');
    enum err_code rc = is_hex ? read_hex(lexer, token, err) : read_decimal(lexer, token, err);
    if (rc != ERR_OK)
        return rc;
    if (at(lexer, 0) == 'u' || at(lexer, 0) == 'U')
        return expr_fault(lexer->source, token->at, err,
                          "numbers without a sign (uint) are not supported; leave the 'u' out");
    if (is_name_char(at(lexer, 0)))
        return expr_fault(lexer->source, lexer->at, err, "unexpected '%c' after a number",
                          at(lexer, 0));
    if (token->kind == TOKEN_INT && token->integer > UINT64_C(1) << 63)
        return expr_fault(lexer->source, token->at, err, "the number is beyond 64 bits");
    return ERR_OK;
}

/* ---- strings --------------------------------------------------------------------------------- */

static void put(struct expr_lexer *lexer, char c)
{
    lexer->blob[lexer->blob_used++] = c;
}

static void put_utf8(struct expr_lexer *lexer, uint32_t point)
{
    if (point < 0x80) {
        put(lexer, (char)point);
    } else if (point < 0x800) {
        put(lexer, (char)(0xc0 | point >> 6));
        put(lexer, (char)(0x80 | (point & 63)));
    } else if (point < 0x10000) {
        put(lexer, (char)(0xe0 | point >> 12));
        put(lexer, (char)(0x80 | (point >> 6 & 63)));
        put(lexer, (char)(0x80 | (point & 63)));
    } else {
        put(lexer, (char)(0xf0 | point >> 18));
        put(lexer, (char)(0x80 | (point >> 12 & 63)));
        put(lexer, (char)(0x80 | (point >> 6 & 63)));
        put(lexer, (char)(0x80 | (point & 63)));
    }
}

/* A character by its number: \x41 \u0041 \U00000041 \101. */
static enum err_code read_point(struct expr_lexer *lexer, uint32_t digits, uint32_t base,
                                struct err *err)
{
    uint32_t begin = lexer->at;
    uint32_t point = 0;
    for (uint32_t i = 0; i < digits; i++, lexer->at++) {
        uint32_t value = hex_value(at(lexer, 0));
        if (value >= base)
            return expr_fault(lexer->source, begin, err, "expected %u digits of base %u in '\\'",
                              digits, base);
        point = point * base + value;
    }
    if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000) || (base == 8 && point > 0xff))
        return expr_fault(lexer->source, begin, err, "the escape stands for no character");
    put_utf8(lexer, point);
    return ERR_OK;
}

static enum err_code read_escape(struct expr_lexer *lexer, struct err *err)
{
    static const char from[] = "abfnrtv\\'\"`?";
    static const char to[] = "\a\b\f\n\r\t\v\\'\"`?";
    char c = at(lexer, 1);
    const char *simple = c == '\0' ? NULL : strchr(from, c);
    if (simple != NULL) {
        put(lexer, to[simple - from]);
        lexer->at += 2;
        return ERR_OK;
    }
    lexer->at += 2;
    switch (c) {
    case 'x':
    case 'X': return read_point(lexer, 2, 16, err);
    case 'u': return read_point(lexer, 4, 16, err);
    case 'U': return read_point(lexer, 8, 16, err);
    default: break;
    }
    lexer->at -= 1;
    if (is_digit(c))
        return read_point(lexer, 3, 8, err);
    return expr_fault(lexer->source, lexer->at - 1, err, "unknown escape in a string");
}

/* Finds the end of the string: the quote, or three quotes, that opened it. */
static bool ends(const struct expr_lexer *lexer, char quote, bool triple)
{
    return at(lexer, 0) == quote && (!triple || (at(lexer, 1) == quote && at(lexer, 2) == quote));
}

static enum err_code read_string(struct expr_lexer *lexer, struct expr_token *token,
                                 struct err *err)
{
    bool raw = at(lexer, 0) == 'r' || at(lexer, 0) == 'R';
    lexer->at += raw;
    char quote = at(lexer, 0);
    bool triple = at(lexer, 1) == quote && at(lexer, 2) == quote;
    enum err_code rc = ERR_OK;
    lexer->at += triple ? 3 : 1;
    token->kind = TOKEN_STRING;
    token->text.ptr = lexer->blob + lexer->blob_used;
    while (rc == ERR_OK && !ends(lexer, quote, triple)) {
        char c = at(lexer, 0);
        if (lexer->at >= lexer->source.len || (!triple && (c == '\n' || c == '\r')))
            return expr_fault(lexer->source, token->at, err, "the string does not end");
        if (c == '\\' && !raw) {
            rc = read_escape(lexer, err);
        } else {
            put(lexer, c);
            lexer->at++;
        }
    }
    lexer->at += triple ? 3 : 1;
    token->text.len = (uint32_t)(lexer->blob + lexer->blob_used - token->text.ptr);
    return rc;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static bool begins_string(const struct expr_lexer *lexer)
{
    char c = at(lexer, 0), next = at(lexer, 1);
    return c == '"' || c == '\'' || ((c == 'r' || c == 'R') && (next == '"' || next == '\''));
}

static enum err_code read_sign(struct expr_lexer *lexer, struct expr_token *token, struct err *err)
{
    static const char *const pairs[] = {"&&", "||", "==", "!=", "<=", ">="};
    token->kind = TOKEN_SIGN;
    token->text = (struct text){lexer->source.ptr + lexer->at, 1};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (at(lexer, 0) == pairs[i][0] && at(lexer, 1) == pairs[i][1])
            token->text.len = 2;
    }
    lexer->at += token->text.len;
    char c = token->text.ptr[0];
    if (token->text.len == 2 || (c != '\0' && strchr("()[].,?:+-*/%!<>", c) != NULL))
        return ERR_OK;
    if (c == '=' || c == '&' || c == '|')
        return expr_fault(lexer->source, token->at, err, "unexpected '%c'; did you mean '%c%c'?", c,
                          c, c);
    if (c > ' ' && c < 0x7f)
        return expr_fault(lexer->source, token->at, err, "unexpected '%c'", c);
    return expr_fault(lexer->source, token->at, err, "unexpected byte 0x%02x", (unsigned char)c);
}

enum err_code expr_lex_next(struct expr_lexer *lexer, struct expr_token *ret_token, struct err *err)
{
    skip_blanks(lexer);
    *ret_token = (struct expr_token){.at = lexer->at};
    if (lexer->at >= lexer->source.len)
        return ERR_OK;
    char c = at(lexer, 0), next = at(lexer, 1);
    if (begins_string(lexer))
        return read_string(lexer, ret_token, err);
    if ((c == 'b' || c == 'B') && (next == '"' || next == '\''))
        return expr_fault(lexer->source, lexer->at, err, "bytes are not supported");
    if (is_digit(c) || (c == '.' && is_digit(next)))
        return read_number(lexer, ret_token, err);
    if (!is_name_char(c))
        return read_sign(lexer, ret_token, err);
    ret_token->kind = TOKEN_NAME;
    while (is_name_char(at(lexer, 0)))
        lexer->at++;
    ret_token->text = (struct text){lexer->source.ptr + ret_token->at, lexer->at - ret_token->at};
    return ERR_OK;
}
