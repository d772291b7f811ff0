/* SPDX-License-Identifier: Apache-2.0 */
/* page: the slots of a page in one request (operation decide). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "tools/cli/value.h"
#include "tools/ctl/args.h"
#include "tools/ctl/table.h"

enum { BODY_BYTES_MAX = 16384, SLOTS_MAX = 16, N_MAX = 200 };

/* "home=5": a slot and how many items. */
static bool pack_slot(struct pack *pack, const char *argument)
{
    const char *equals = strrchr(argument, '=');
    int64_t n = 0;
    if (equals != NULL && !num_parse_int(text_of(equals + 1), 1, N_MAX, &n)) {
        ctl_usage("page", "'%s': expected 1..%d behind the last '='", argument, N_MAX);
        return false;
    }
    size_t len = equals != NULL ? (size_t)(equals - argument) : strlen(argument);
    pack_map(pack, equals != NULL ? 2 : 1);
    pack_key(pack, "slot");
    pack_text(pack, (struct text){argument, (uint32_t)len});
    if (equals != NULL) {
        pack_key(pack, "n");
        pack_int(pack, n);
    }
    return true;
}

static void put_text(struct text text, const char *before)
{
    if (text.ptr != NULL)
        printf("%s%.*s", before, (int)text.len, text.ptr);
}

static void show_slot(struct cursor slot)
{
    struct cursor at;
    struct table table;
    uint32_t count = value_array(slot, "items", &at);
    put_text(value_text(slot, "slot"), "");
    put_text(value_text(slot, "level"), ": level ");
    put_text(value_text(slot, "reason"), ", ");
    put_text(value_text(slot, "policy"), ", policy ");
    put_text(value_text(slot, "decision"), ", decision ");
    printf("\n");
    table_init(&table, ">#  ITEM  >SCORE");
    for (uint32_t i = 1; i <= count; i++) {
        struct cursor item = value_next(&at);
        table_put_fmt(&table, "%u", i);
        table_put(&table, value_text(item, "id"));
        table_put_fmt(&table, "%.5g", value_real(item, "score", 0));
    }
    table_print(&table, stdout);
    table_deinit(&table);
}

int command_page(struct ctl *ctl, int argc, char **argv)
{
    uint8_t bytes[BODY_BYTES_MAX];
    struct decide_reply *reply = NULL;
    struct cursor at;
    int count = args_parse_count(ctl, argc, argv, NULL, 0, 2, 1 + SLOTS_MAX, "USER SLOT[=N]...");
    if (count < 0)
        return EXIT_USAGE;
    struct pack body = pack_into(bytes, sizeof bytes);
    pack_map(&body, 2);
    pack_key(&body, "user");
    pack_str(&body, argv[1]);
    pack_key(&body, "slots");
    pack_array(&body, (uint32_t)count - 1);
    for (int i = 2; i <= count; i++) {
        if (!pack_slot(&body, argv[i]))
            return EXIT_USAGE;
    }
    int code = ctl_call(ctl, "decide", &body, ctl->timeout_us, &reply);
    if (reply == NULL)
        return code;
    if (ctl->json) {
        code = ctl_print_json(reply);
    } else {
        uint32_t slots = value_array(ctl_map(reply), "slots", &at);
        for (; slots > 0; slots--)
            show_slot(value_next(&at));
    }
    decide_reply_free(reply);
    return code;
}
