/* SPDX-License-Identifier: Apache-2.0 */
/* recommend, similar, rank, price: a decision asked for and shown. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/money.h"
#include "base/num.h"
#include "tools/cli/value.h"
#include "tools/ctl/args.h"
#include "tools/ctl/table.h"

#define BODY_BYTES_MAX 262144
#define ITEMS_MAX      1000

/* What the four commands may be told; each takes its own part of it. */
struct ask {
    int64_t n;
    const char *slot, *seeds, *user, *currency;
    bool explain, price;
    char *const *item; /* ITEM arguments */
    int item_count;
};

/* "a,b,c" as an array; false when an id is empty. */
static bool pack_ids(struct pack *pack, const char *list)
{
    size_t mark = pack_array_open(pack);
    uint32_t count = 0;
    for (;;) {
        size_t len = strcspn(list, ",");
        if (len == 0)
            return false;
        pack_text(pack, (struct text){list, (uint32_t)len});
        count++;
        if (list[len] == '\0')
            break;
        list += len + 1;
    }
    pack_array_close(pack, mark, count);
    return true;
}

static void pack_pair(struct pack *pack, uint32_t *count, const char *key, const char *value)
{
    if (value == NULL)
        return;
    pack_str(pack, key);
    pack_str(pack, value);
    (*count)++;
}

static void pack_flag(struct pack *pack, uint32_t *count, const char *key, bool value)
{
    if (!value)
        return;
    pack_str(pack, key);
    pack_bool(pack, true);
    (*count)++;
}

/* similar takes ids; rank and price take maps: "ID=SCORE" for rank, "ID=QTY" for price. */
static bool pack_item(struct pack *pack, const char *op, const char *item)
{
    const char *equals = strrchr(item, '=');
    bool rank = strcmp(op, "rank") == 0;
    double score = 0;
    int64_t qty = 0;
    if (strcmp(op, "similar") == 0) {
        pack_str(pack, item);
        return true;
    }
    bool numbered =
        equals != NULL && (rank ? num_parse_real(text_of(equals + 1), &score)
                                : num_parse_int(text_of(equals + 1), 1, INT32_MAX, &qty));
    if (equals != NULL && !numbered) {
        ctl_usage(op,
                  "'%s': expected %s behind the last '=' (an id with a '=' needs one more: ID=1)",
                  item, rank ? "a number" : "a quantity of 1 or more");
        return false;
    }
    pack_map(pack, numbered ? 2 : 1);
    pack_key(pack, "id");
    pack_text(pack,
              (struct text){item, numbered ? (uint32_t)(equals - item) : (uint32_t)strlen(item)});
    if (!numbered)
        return true;
    pack_str(pack, rank ? "score" : "qty");
    if (rank)
        pack_real(pack, score);
    else
        pack_int(pack, qty);
    return true;
}

static bool pack_body(struct pack *pack, const char *op, const struct ask *ask)
{
    uint32_t count = 0;
    size_t mark = pack_map_open(pack);
    pack_pair(pack, &count, "user", ask->user);
    pack_pair(pack, &count, "slot", ask->slot);
    pack_pair(pack, &count, "currency", ask->currency);
    pack_flag(pack, &count, "explain", ask->explain);
    pack_flag(pack, &count, "price", ask->price);
    if (ask->n > 0) {
        pack_key(pack, "n");
        pack_int(pack, ask->n);
        count++;
    }
    if (ask->seeds != NULL) {
        pack_key(pack, "seeds");
        if (!pack_ids(pack, ask->seeds)) {
            ctl_usage(op, "--seeds: expected ids separated by commas, got '%s'", ask->seeds);
            return false;
        }
        count++;
    }
    if (ask->item_count > 0) {
        pack_key(pack, "items");
        pack_array(pack, (uint32_t)ask->item_count);
        count++;
    }
    for (int i = 0; i < ask->item_count; i++) {
        if (!pack_item(pack, op, ask->item[i]))
            return false;
    }
    pack_map_close(pack, mark, count);
    return true;
}

/* ---- showing --------------------------------------------------------------------------------- */

static void put_price(struct table *table, struct cursor item)
{
    struct cursor price;
    currency_code currency = 0;
    char amount[64];
    if (!value_find(item, "price", &price) || cursor_peek(&price) != CURSOR_MAP) {
        table_put(table, (struct text){0});
        table_put(table, (struct text){0});
        return;
    }
    struct text code = value_text(price, "currency");
    (void)currency_parse(code, &currency);
    money_format(value_int(price, "amount", 0), currency_digits(currency), amount);
    table_put_fmt(table, "%s%s%.*s", amount, code.ptr == NULL ? "" : " ", (int)code.len,
                  code.ptr == NULL ? "" : code.ptr);
    struct text rule = value_text(price, "rule");
    struct text bound = value_text(price, "bound");
    if (rule.ptr == NULL)
        rule = TEXT_LITERAL("(list price)");
    if (bound.ptr == NULL)
        table_put(table, rule);
    else
        table_put_fmt(table, "%.*s (%.*s)", (int)rule.len, rule.ptr, (int)bound.len, bound.ptr);
}

static void put_why(struct table *table, struct cursor item)
{
    struct cursor at;
    char line[512] = "";
    size_t used = 0;
    for (uint32_t n = value_array(item, "why", &at); n > 0; n--) {
        struct cursor why = value_next(&at);
        struct text source = value_text(why, "source");
        int more = snprintf(line + used, sizeof line - used, "%s%.*s %.4g", used == 0 ? "" : ", ",
                            (int)source.len, source.ptr == NULL ? "" : source.ptr,
                            value_real(why, "value", 0));
        if (more < 0 || (size_t)more >= sizeof line - used)
            break;
        used += (size_t)more;
    }
    table_put(table, text_of(line));
}

static void show_items(struct cursor map, const char *op, const struct ask *ask)
{
    bool score = strcmp(op, "price") != 0;
    bool price = ask->price || !score;
    struct cursor at;
    struct table table;
    char heads[64];
    snprintf(heads, sizeof heads, ">#  ITEM%s%s%s", score ? "  >SCORE" : "",
             price ? "  >PRICE  RULE" : "", ask->explain ? "  WHY" : "");
    table_init(&table, heads);
    uint32_t count = value_array(map, "items", &at);
    for (uint32_t i = 1; i <= count; i++) {
        struct cursor item = value_next(&at);
        table_put_fmt(&table, "%u", i);
        table_put(&table, value_text(item, "id"));
        if (score)
            table_put_fmt(&table, "%.5g", value_real(item, "score", 0));
        if (price)
            put_price(&table, item);
        if (ask->explain)
            put_why(&table, item);
    }
    table_print(&table, stdout);
    table_deinit(&table);
}

/* "  1. i4: rank@2 0.5 = base 0.1 + 0.3 source.neighbors (0.82) - 0.1 pair.age_s (?) + 0.2 rest" */
static void print_contributions(uint32_t place, struct cursor item)
{
    struct cursor told, at;
    if (!value_find(item, "contributions", &told))
        return;
    struct text id = value_text(item, "id"), model = value_text(told, "model");
    double margin = value_real(told, "base", 0) + value_real(told, "rest", 0);
    uint32_t count = value_array(told, "top", &at);
    struct cursor sum_at = at;
    for (uint32_t n = count; n > 0; n--)
        margin += value_real(value_next(&sum_at), "adds", 0);
    printf("%3u. %.*s: %.*s %.5g = base %.4g", place, (int)id.len, id.ptr, (int)model.len,
           model.ptr, margin, value_real(told, "base", 0));
    for (uint32_t n = count; n > 0; n--) {
        struct cursor one = value_next(&at);
        struct text feature = value_text(one, "feature");
        const double adds = value_real(one, "adds", 0), value = value_real(one, "value", NAN);
        printf(" %c %.3g %.*s", adds < 0 ? '-' : '+', fabs(adds), (int)feature.len, feature.ptr);
        if (isnan(value))
            fputs(" (?)", stdout);
        else
            printf(" (%.4g)", value);
    }
    const double rest = value_real(told, "rest", 0);
    if (rest != 0.0)
        printf(" %c %.3g rest", rest < 0 ? '-' : '+', fabs(rest));
    putchar('\n');
}

static void show_contributions(struct cursor map)
{
    struct cursor at;
    uint32_t count = value_array(map, "items", &at);
    for (uint32_t i = 1; i <= count; i++)
        print_contributions(i, value_next(&at));
}

static void print_text(const char *before, struct text text, const char *after)
{
    if (text.ptr != NULL)
        printf("%s%.*s%s", before, (int)text.len, text.ptr, after);
}

static void show(const struct decide_reply *reply, const char *op, const struct ask *ask)
{
    struct cursor map = ctl_map(reply);
    struct cursor at;
    show_items(map, op, ask);
    show_contributions(map);
    print_text("level ", value_text(map, "level"), "");
    if (!text_is(value_text(map, "level"), "full"))
        print_text(" (", value_text(map, "reason"), ")");
    print_text(", policy ", value_text(map, "policy"), "");
    uint32_t count = value_array(map, "models", &at);
    for (uint32_t i = 0; i < count; i++) {
        struct cursor model = value_next(&at);
        struct text label = {0};
        (void)cursor_text(&model, &label);
        print_text(i == 0 ? ", models " : " ", label, "");
    }
    print_text(", decision ", value_text(map, "decision"), "");
    printf(", %.3f ms\n", (double)reply->waited_us / 1000.0);
}

static int run(struct ctl *ctl, const char *op, const struct ask *ask)
{
    struct decide_reply *reply = NULL;
    uint8_t *bytes = malloc(BODY_BYTES_MAX);
    if (bytes == NULL)
        return ctl_fail(op, "out of memory");
    struct pack body = pack_into(bytes, BODY_BYTES_MAX);
    int code = EXIT_USAGE;
    if (pack_body(&body, op, ask))
        code = ctl_call(ctl, op, &body, ctl->timeout_us, &reply);
    free(bytes);
    if (reply == NULL)
        return code;
    if (ctl->json)
        code = ctl_print_json(reply);
    else
        show(reply, op, ask);
    decide_reply_free(reply);
    return code;
}

/* ---- the commands ---------------------------------------------------------------------------- */

#define ARG_N(ask)                          \
    {                                       \
        "n", 'n', ARG_INT, &(ask).n, 1, 200 \
    }
#define ARG_SLOT(ask)                          \
    {                                          \
        "slot", 0, ARG_TEXT, &(ask).slot, 0, 0 \
    }
#define ARG_EXPLAIN(ask)                             \
    {                                                \
        "explain", 0, ARG_FLAG, &(ask).explain, 0, 0 \
    }
#define ARG_PRICE(ask)                           \
    {                                            \
        "price", 0, ARG_FLAG, &(ask).price, 0, 0 \
    }
#define ARG_CURRENCY(ask)                              \
    {                                                  \
        "currency", 0, ARG_TEXT, &(ask).currency, 0, 0 \
    }
#define ARG_USER(ask)                          \
    {                                          \
        "user", 0, ARG_TEXT, &(ask).user, 0, 0 \
    }
#define COUNT(args) (sizeof(args) / sizeof(args)[0])

int command_recommend(struct ctl *ctl, int argc, char **argv)
{
    struct ask ask = {0};
    const struct arg args[] = {ARG_N(ask),        ARG_SLOT(ask),
                               ARG_EXPLAIN(ask),  ARG_PRICE(ask),
                               ARG_CURRENCY(ask), {"seeds", 0, ARG_TEXT, &ask.seeds, 0, 0}};
    if (args_parse_count(ctl, argc, argv, args, COUNT(args), 1, 1, "USER") < 0)
        return EXIT_USAGE;
    ask.user = argv[1];
    return run(ctl, "recommend", &ask);
}

int command_similar(struct ctl *ctl, int argc, char **argv)
{
    struct ask ask = {0};
    const struct arg args[] = {ARG_N(ask),     ARG_SLOT(ask),     ARG_EXPLAIN(ask),
                               ARG_PRICE(ask), ARG_CURRENCY(ask), ARG_USER(ask)};
    int count = args_parse_count(ctl, argc, argv, args, COUNT(args), 1, 100, "ITEM...");
    if (count < 0)
        return EXIT_USAGE;
    ask.item = argv + 1;
    ask.item_count = count;
    return run(ctl, "similar", &ask);
}

int command_rank(struct ctl *ctl, int argc, char **argv)
{
    struct ask ask = {0};
    const struct arg args[] = {ARG_N(ask), ARG_SLOT(ask), ARG_EXPLAIN(ask), ARG_PRICE(ask),
                               ARG_CURRENCY(ask)};
    int count = args_parse_count(ctl, argc, argv, args, COUNT(args), 2, 1 + ITEMS_MAX,
                                 "USER ITEM[=SCORE]...");
    if (count < 0)
        return EXIT_USAGE;
    ask.user = argv[1];
    ask.item = argv + 2;
    ask.item_count = count - 1;
    return run(ctl, "rank", &ask);
}

int command_price(struct ctl *ctl, int argc, char **argv)
{
    struct ask ask = {0};
    const struct arg args[] = {ARG_SLOT(ask), ARG_CURRENCY(ask), ARG_USER(ask)};
    int count = args_parse_count(ctl, argc, argv, args, COUNT(args), 1, ITEMS_MAX, "ITEM[=QTY]...");
    if (count < 0)
        return EXIT_USAGE;
    ask.item = argv + 1;
    ask.item_count = count;
    return run(ctl, "price", &ask);
}
