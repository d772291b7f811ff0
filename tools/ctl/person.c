/* SPDX-License-Identifier: Apache-2.0 */
/* person: what somebody allows, and which ids are linked to them. */
#include <stdio.h>

#include "tools/cli/value.h"
#include "tools/ctl/args.h"
#include "tools/ctl/model_table.h"
#include "tools/ctl/table.h"

void ctl_pack_person(struct pack *body, const char *user, const char *anon)
{
    if (user != NULL) {
        pack_key(body, "user");
        pack_str(body, user);
    }
    if (anon != NULL) {
        pack_key(body, "anon");
        pack_str(body, anon);
    }
}

/* The next key of a map that is walked, and its value. */
static struct cursor next_pair(struct cursor *at, struct text *ret_key)
{
    *ret_key = (struct text){NULL, 0};
    (void)cursor_text(at, ret_key);
    return value_next(at);
}

static void print_consent(struct cursor map)
{
    struct table table;
    struct cursor at;
    uint32_t count = 0;
    char when[MODEL_TIME_BYTES];
    if (!value_find(map, "consent", &at) || !cursor_map(&at, &count))
        return;
    table_init(&table, "CONSENT ALLOWED SAID WHEN");
    for (uint32_t i = 0; i < count; i++) {
        struct text flag;
        struct cursor value = next_pair(&at, &flag);
        table_put(&table, flag);
        table_put(&table, text_of(value_bool(value, "allowed", false) ? "yes" : "no"));
        table_put(&table, value_text(value, "said"));
        table_put(&table, text_of(model_time(value_int(value, "said_at_ms", 0), when)));
    }
    table_print(&table, stdout);
    table_deinit(&table);
}

static void print_links(struct cursor map)
{
    struct table table;
    struct cursor at;
    char when[MODEL_TIME_BYTES];
    uint32_t count = value_array(map, "links", &at);
    if (count == 0)
        return;
    table_init(&table, "LINKED_TO ID SINCE EVENT SHARED");
    for (; count > 0; count--) {
        struct cursor link = value_next(&at);
        struct text user = value_text(link, "user");
        table_put(&table, text_of(user.ptr != NULL ? "user" : "anon"));
        table_put(&table, user.ptr != NULL ? user : value_text(link, "anon"));
        table_put(&table, text_of(model_time(value_int(link, "at_ms", 0), when)));
        table_put(&table, value_text(link, "event"));
        table_put(&table, text_of(value_bool(link, "shared", false) ? "yes" : "no"));
    }
    puts("");
    table_print(&table, stdout);
    table_deinit(&table);
}

static void print_attributes(struct cursor map)
{
    struct table table;
    struct cursor at;
    uint32_t count = 0;
    char shown[VALUE_TEXT_BYTES];
    if (!value_find(map, "attributes", &at) || !cursor_map(&at, &count) || count == 0)
        return;
    table_init(&table, "ATTRIBUTE VALUE");
    for (uint32_t i = 0; i < count; i++) {
        struct text name;
        struct cursor value = next_pair(&at, &name);
        table_put(&table, name);
        table_put(&table, text_of(value_show(value, shown)));
    }
    puts("");
    table_print(&table, stdout);
    table_deinit(&table);
}

int command_person(struct ctl *ctl, int argc, char **argv)
{
    struct decide_reply *reply = NULL;
    const char *anon = NULL;
    uint8_t bytes[512];
    struct pack body = pack_into(bytes, sizeof bytes);
    const struct arg args[] = {{"anon", 0, ARG_TEXT, &anon, 0, 0}};
    int count = args_parse_count(ctl, argc, argv, args, 1, 0, 1, "USER, --anon ID or both");
    if (count < 0)
        return EXIT_USAGE;
    if (count == 0 && anon == NULL)
        return ctl_usage("person", "expected USER, --anon ID or both");
    const char *user = count == 1 ? argv[1] : NULL;
    pack_map(&body, (uint32_t)(user != NULL) + (anon != NULL));
    ctl_pack_person(&body, user, anon);
    if (body.overflow)
        return ctl_usage("person", "the id is too long");
    int code = ctl_call(ctl, "person", &body, ctl->timeout_us, &reply);
    if (reply == NULL)
        return code;
    if (ctl->json) {
        code = ctl_print_json(reply);
    } else {
        print_consent(ctl_map(reply));
        print_links(ctl_map(reply));
        print_attributes(ctl_map(reply));
    }
    decide_reply_free(reply);
    return code;
}
