/* SPDX-License-Identifier: Apache-2.0 */
#include "base/money.h"

#include <stddef.h>

#include "base/err.h"

__extension__ typedef __int128 int128; /* pedantic C11 has no name for it */

#define CURRENCY(a, b, c) ((currency_code)(a) << 16 | (currency_code)(b) << 8 | (currency_code)(c))

enum { DIGITS_DEFAULT = 2, DIGITS_MAX = 15 };

/* ISO 4217 list one: the currencies whose minor unit is not a hundredth. */
static const struct {
    char code[4];
    uint8_t digits;
} exceptions[] = {
    {"BIF", 0}, {"CLP", 0}, {"DJF", 0}, {"GNF", 0}, {"ISK", 0}, {"JPY", 0}, {"KMF", 0},
    {"KRW", 0}, {"PYG", 0}, {"RWF", 0}, {"UGX", 0}, {"UYI", 0}, {"VND", 0}, {"VUV", 0},
    {"XAF", 0}, {"XOF", 0}, {"XPF", 0}, {"BHD", 3}, {"IQD", 3}, {"JOD", 3}, {"KWD", 3},
    {"LYD", 3}, {"OMR", 3}, {"TND", 3}, {"CLF", 4}, {"UYW", 4},
};

/* In order, without blanks. */
static const char known[] =
    "AEDAFAAFNALLAMDANGAOAARSATSAUDAWGAZMAZNBAMBBDBDTBEFBGNBHDBIFBMDBNDBOBBOVBRLBSDBTNBWPBYBBYN"
    "BYRBZDCADCDFCHECHFCHWCLFCLPCNYCOPCOUCRCCSDCUCCUPCVECYPCZKDEMDJFDKKDOPDZDEEKEGPERNESPETBEUR"
    "FIMFJDFKPFRFGBPGELGHCGHSGIPGMDGNFGRDGTQGYDHKDHNLHRKHTGHUFIDRIEPILSINRIQDIRRISKITLJMDJODJPY"
    "KESKGSKHRKMFKPWKRWKWDKYDKZTLAKLBPLKRLRDLSLLTLLUFLVLLYDMADMDLMGAMGFMKDMMKMNTMOPMROMRUMTLMUR"
    "MVRMWKMXNMXVMYRMZMMZNNADNGNNIONLGNOKNPRNZDOMRPABPENPGKPHPPKRPLNPTEPYGQARROLRONRSDRUBRWFSAR"
    "SBDSCRSDDSDGSEKSGDSHPSITSKKSLESLLSOSSRDSRGSSPSTDSTNSVCSYPSZLTHBTJSTMMTMTTNDTOPTRLTRYTTDTWD"
    "TZSUAHUGXUSDUSNUYIUYUUYWUZSVEBVEDVEFVESVNDVUVWSTXAFXAGXAUXBAXBBXBCXBDXCDXCGXDRXOFXPDXPFXPT"
    "XSUXTSXUAXXXYERZARZMKZMWZWDZWGZWLZWNZWR";

bool currency_parse(struct text text, currency_code *ret_currency)
{
    if (text.len != 3)
        return false;
    for (int i = 0; i < 3; i++) {
        if (text.ptr[i] < 'A' || text.ptr[i] > 'Z')
            return false;
    }
    *ret_currency = CURRENCY(text.ptr[0], text.ptr[1], text.ptr[2]);
    return true;
}

bool currency_is_known(currency_code currency)
{
    size_t low = 0, high = sizeof known / 3;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const char *code = known + middle * 3;
        currency_code other = CURRENCY(code[0], code[1], code[2]);
        if (other == currency)
            return true;
        if (other < currency)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

char *currency_format(currency_code currency, char buf[4])
{
    buf[0] = (char)(currency >> 16 & 0x7F);
    buf[1] = (char)(currency >> 8 & 0x7F);
    buf[2] = (char)(currency & 0x7F);
    buf[3] = '\0';
    return buf;
}

int currency_digits(currency_code currency)
{
    for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++) {
        const char *code = exceptions[i].code;
        if (currency == CURRENCY(code[0], code[1], code[2]))
            return exceptions[i].digits;
    }
    return DIGITS_DEFAULT;
}

/* Appends a digit to *minor; false when the amount leaves the limits. */
static bool append_digit(int64_t *minor, int digit)
{
    int64_t next = *minor * 10 + digit; /* cannot overflow: *minor <= 10^15 */
    if (next > MONEY_MINOR_MAX)
        return false;
    *minor = next;
    return true;
}

bool money_parse(struct text text, int digits, int64_t *ret_minor)
{
    ASSERT(digits >= 0 && digits <= DIGITS_MAX);
    bool negative = text.len > 0 && text.ptr[0] == '-';
    bool in_decimals = false;
    int64_t minor = 0;
    uint32_t whole_count = 0;
    uint32_t decimal_count = 0;
    for (uint32_t at = negative; at < text.len; at++) {
        char c = text.ptr[at];
        if (c == '.' && !in_decimals) {
            in_decimals = true;
            continue;
        }
        if (c < '0' || c > '9')
            return false;
        bool is_surplus = in_decimals && decimal_count >= (uint32_t)digits;
        if (is_surplus && c != '0') /* more precise than the currency */
            return false;
        if (!is_surplus && !append_digit(&minor, c - '0'))
            return false;
        whole_count += !in_decimals;
        decimal_count += in_decimals;
    }
    if (whole_count == 0 || (in_decimals && decimal_count == 0))
        return false;
    for (; decimal_count < (uint32_t)digits; decimal_count++) {
        if (!append_digit(&minor, 0))
            return false;
    }
    *ret_minor = negative ? -minor : minor;
    return true;
}

char *money_format(int64_t minor, int digits, char *buf)
{
    ASSERT(digits >= 0 && digits <= DIGITS_MAX);
    char reversed[32]; /* at most 19 digits, the point and the sign */
    size_t len = 0;
    uint64_t amount = minor < 0 ? 0 - (uint64_t)minor : (uint64_t)minor;
    for (int i = 0; i <= digits || amount > 0; i++) {
        if (i == digits && digits > 0)
            reversed[len++] = '.';
        reversed[len++] = (char)('0' + amount % 10);
        amount /= 10;
    }
    if (minor < 0)
        reversed[len++] = '-';
    for (size_t i = 0; i < len; i++)
        buf[i] = reversed[len - 1 - i];
    buf[len] = '\0';
    return buf;
}

bool money_scale(int64_t minor, int64_t ppm, int64_t *ret_minor)
{
    int128 product = (int128)minor * ppm;
    int128 quotient = product / MONEY_PPM; /* towards zero */
    int64_t rest = (int64_t)(product % MONEY_PPM);
    int64_t twice = rest < 0 ? -2 * rest : 2 * rest;
    if (twice > MONEY_PPM || (twice == MONEY_PPM && quotient % 2 != 0))
        quotient += product < 0 ? -1 : 1;
    if (quotient > MONEY_MINOR_MAX || quotient < -MONEY_MINOR_MAX)
        return false;
    *ret_minor = (int64_t)quotient;
    return true;
}
