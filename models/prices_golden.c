/* SPDX-License-Identifier: Apache-2.0 */
/* Golden rows of price rules: what a price comes to, and by which rule. */
#include <string.h>

#include "models/bundle_internal.h"
#include "models/prices_internal.h"

enum { CONTEXT_MAX = 32 };

static enum err_code read_int(const struct json_at *row, const char *key, int64_t *ret_value,
                              struct err *err)
{
    struct json_at at = json_member(row, key);
    return at.value == NULL ? ERR_OK : json_int(&at, 0, MONEY_MINOR_MAX, ret_value, err);
}

static enum err_code read_text(const struct json_at *row, const char *key, struct text *ret_text,
                               struct err *err)
{
    struct json_at at = json_member(row, key);
    const char *value = NULL;
    if (at.value == NULL)
        return ERR_OK;
    enum err_code rc = json_string(&at, &value, err);
    if (rc == ERR_OK)
        *ret_text = text_of(value);
    return rc;
}

static enum err_code read_context(const struct json_at *row, struct price_context *context,
                                  uint32_t *ret_count, struct err *err)
{
    struct json_at at = json_member(row, "context");
    if (at.value == NULL)
        return ERR_OK;
    enum err_code rc = json_object(&at, err);
    if (rc == ERR_OK && cJSON_GetArraySize(at.value) > CONTEXT_MAX)
        rc = err_set(err, ERR_LIMIT, "%s: more than %d keys", at.path, CONTEXT_MAX);
    for (const cJSON *child = rc == ERR_OK ? at.value->child : NULL; child != NULL && rc == ERR_OK;
         child = child->next) {
        context[*ret_count].key = text_of(child->string);
        rc = read_text(&at, child->string, &context[*ret_count].value, err);
        (*ret_count)++;
    }
    return rc;
}

static enum err_code read_price_input(const struct json_at *row, struct price_input *input,
                                      struct price_context *context, struct err *err)
{
    struct text currency = {0};
    struct json_at price = json_member(row, "price");
    enum err_code rc = json_int(&price, 0, MONEY_MINOR_MAX, &input->price_minor, err);
    if (rc == ERR_OK)
        rc = read_text(row, "item", &input->item, err);
    if (rc == ERR_OK)
        rc = read_text(row, "category", &input->category, err);
    if (rc == ERR_OK)
        rc = read_text(row, "brand", &input->brand, err);
    if (rc == ERR_OK)
        rc = read_text(row, "currency", &currency, err);
    if (rc == ERR_OK && currency.ptr != NULL && !currency_parse(currency, &input->currency))
        rc = err_set(err, ERR_CORRUPT, "%s.currency: expected three capital letters", row->path);
    if (rc == ERR_OK)
        rc = read_int(row, "cost", &input->cost_minor, err);
    if (rc == ERR_OK)
        rc = read_int(row, "qty", &input->qty, err);
    input->context = context;
    return rc == ERR_OK ? read_context(row, context, &input->context_count, err) : rc;
}

static enum err_code compare_rule(const struct json_at *row, uint32_t index, const char *got,
                                  struct err *err)
{
    struct json_at at = json_member(row, "rule");
    const char *expected = NULL;
    if (at.value == NULL)
        return ERR_OK;
    enum err_code rc = cJSON_IsNull(at.value) ? ERR_OK : json_string(&at, &expected, err);
    bool same = expected == NULL || got == NULL ? expected == got : strcmp(expected, got) == 0;
    if (rc == ERR_OK && !same)
        rc = err_set(err, ERR_CORRUPT, "%s: row %u: expected rule %s, got %s", GOLDEN_NAME, index,
                     expected == NULL ? "none" : expected, got == NULL ? "none" : got);
    return rc;
}

enum err_code prices_golden_row(const struct prices *prices, const struct json_at *row,
                                uint32_t index, struct err *err)
{
    static const char *const known[] = {"item", "category", "brand",  "price", "cost", "currency",
                                        "qty",  "context",  "amount", "rule",  NULL};
    struct price_context context[CONTEXT_MAX];
    struct price_input input = {.cost_minor = INT64_MIN, .qty = 1};
    struct price_output output;
    int64_t expected = 0;
    struct json_at amount = json_member(row, "amount");
    enum err_code rc = json_only(row, known, err);
    if (rc == ERR_OK)
        rc = json_int(&amount, 0, MONEY_MINOR_MAX, &expected, err);
    if (rc == ERR_OK)
        rc = read_price_input(row, &input, context, err);
    if (rc != ERR_OK)
        return rc;
    prices_apply(prices, &input, &output);
    if (output.amount_minor != expected)
        return err_set(err, ERR_CORRUPT, "%s: row %u: expected %lld, got %lld", GOLDEN_NAME, index,
                       (long long)expected, (long long)output.amount_minor);
    return compare_rule(row, index, output.rule, err);
}
