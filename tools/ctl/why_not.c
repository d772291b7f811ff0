/* SPDX-License-Identifier: Apache-2.0 */
/* why-not: the stage at which an item falls out of a decision, in a sentence. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/cli/value.h"
#include "tools/ctl/args.h"
#include "tools/ctl/table.h"

#define BODY_BYTES_MAX 2048

static const struct {
    const char *stage, *sentence;
} sentences[] = {
    {"shown", "is shown"},
    {"unknown_item", "is not known: no event, catalogue record or model names it"},
    {"excluded", "was excluded by the request"},
    {"seed", "is a seed of the request"},
    {"in_cart", "is in the cart of the request"},
    {"bought", "was bought before, and the slot leaves such items out"},
    {"disliked", "was disliked by this person"},
    {"no_record", "has no catalogue record, and one is needed"},
    {"deleted", "was deleted from the catalogue"},
    {"stock", "has too little in stock"},
    {"seen", "was shown to this person a short time ago"},
    {"request_filter", "does not pass the filters of the request"},
    {"filter", "does not pass a filter of the policy"},
    {"level", "could be shown, but this answer ranks nothing"},
    {"no_source", "was proposed by no source"},
    {"cut", "was proposed, with too low a score to be a candidate"},
    {"below", "was a candidate, but others came first"},
    {"quota", "was a candidate, but a quota gave its place to others"},
    {"diversity", "was a candidate, but its category or brand has enough items already"},
};

static const char *sentence_of(struct text stage)
{
    for (size_t i = 0; i < sizeof sentences / sizeof sentences[0]; i++) {
        if (text_is(stage, sentences[i].stage))
            return sentences[i].sentence;
    }
    return "fell out at a stage that this version does not know";
}

static void print_number(const char *before, struct cursor map, const char *key)
{
    double value = value_real(map, key, NAN);
    if (!isnan(value))
        printf("%s%.5g", before, value);
}

static void show_parts(struct cursor why_not)
{
    struct cursor at;
    struct table table;
    uint32_t count = value_array(why_not, "why", &at);
    if (count == 0)
        return;
    table_init(&table, "FROM  >SCORE");
    for (; count > 0; count--) {
        struct cursor why = value_next(&at);
        table_put(&table, value_text(why, "source"));
        table_put_fmt(&table, "%.5g", value_real(why, "value", 0));
    }
    table_print(&table, stdout);
    table_deinit(&table);
}

/* True when the item is shown. */
static void show(struct cursor map, struct cursor why_not, const char *item)
{
    struct text stage = value_text(why_not, "stage");
    struct text rule = value_text(why_not, "rule"), slot = value_text(why_not, "slot");
    struct text level = value_text(map, "level"), reason = value_text(map, "reason");
    struct text policy = value_text(map, "policy");
    int64_t place = value_int(why_not, "place", 0);
    printf("%s %s", item, sentence_of(stage));
    if (rule.ptr != NULL)
        printf(" (%.*s)", (int)rule.len, rule.ptr);
    if (slot.ptr != NULL)
        printf(", by the fallback %.*s", (int)slot.len, slot.ptr);
    if (place > 0)
        printf(", place %lld", (long long)place);
    print_number(", score ", why_not, "score");
    print_number(", needed ", why_not, "needed");
    printf("\n");
    show_parts(why_not);
    printf("level %.*s", (int)level.len, level.ptr == NULL ? "" : level.ptr);
    if (reason.ptr != NULL)
        printf(" (%.*s)", (int)reason.len, reason.ptr);
    printf(", policy %.*s\n", (int)policy.len, policy.ptr == NULL ? "" : policy.ptr);
}

int command_why_not(struct ctl *ctl, int argc, char **argv)
{
    uint8_t bytes[BODY_BYTES_MAX];
    const char *slot = NULL;
    int64_t n = 0;
    struct decide_reply *reply = NULL;
    struct cursor why_not;
    const struct arg args[] = {{"n", 'n', ARG_INT, &n, 1, 200}, {"slot", 0, ARG_TEXT, &slot, 0, 0}};
    if (args_parse_count(ctl, argc, argv, args, 2, 2, 2, "USER ITEM") < 0)
        return EXIT_USAGE;
    struct pack body = pack_into(bytes, sizeof bytes);
    pack_map(&body, 2u + (slot != NULL) + (n > 0));
    pack_key(&body, "user");
    pack_str(&body, argv[1]);
    pack_key(&body, "why_not");
    pack_str(&body, argv[2]);
    if (slot != NULL) {
        pack_key(&body, "slot");
        pack_str(&body, slot);
    }
    if (n > 0) {
        pack_key(&body, "n");
        pack_int(&body, n);
    }
    int code = ctl_call(ctl, "recommend", &body, ctl->timeout_us, &reply);
    if (reply == NULL)
        return code;
    struct cursor map = ctl_map(reply);
    bool is_told = value_find(map, "why_not", &why_not);
    if (!is_told)
        code = ctl_fail("why-not", "the daemon does not say; its version may be older");
    else if (ctl->json)
        code = ctl_print_json(reply);
    else
        show(map, why_not, argv[2]);
    if (code == EXIT_FINE && !text_is(value_text(why_not, "stage"), "shown"))
        code = EXIT_FAILED;
    decide_reply_free(reply);
    return code;
}
