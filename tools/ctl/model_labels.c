/* SPDX-License-Identifier: Apache-2.0 */
/* model promote, rollback: which version has which label. */
#include <stdio.h>
#include <string.h>

#include "tools/cli/value.h"
#include "tools/ctl/args.h"
#include "tools/ctl/command.h"

/* Each waits for a load that is under way. */
#define LOAD_TIMEOUT_US 600000000
#define BODY_BYTES      1024

static int ask(struct ctl *ctl, const char *op, const struct pack *body,
               struct decide_reply **ret_reply)
{
    uint64_t timeout_us = ctl->timeout_us > LOAD_TIMEOUT_US ? ctl->timeout_us : LOAD_TIMEOUT_US;
    return ctl_call(ctl, op, body, timeout_us, ret_reply);
}

/* Prints the reply and frees it. */
static int finish(const struct ctl *ctl, struct decide_reply *reply)
{
    int code = EXIT_FINE;
    if (ctl->json)
        code = ctl_print_json(reply);
    else
        model_outcome_print(ctl_map(reply));
    decide_reply_free(reply);
    return code;
}

void model_outcome_print(struct cursor map)
{
    struct text name = value_text(map, "name"), version = value_text(map, "version");
    bool waits = text_is(value_text(map, "state"), "waiting");
    printf("%.*s: version %.*s %s\n", (int)name.len, name.ptr, (int)version.len, version.ptr,
           waits ? "is loaded and waits to be promoted" : "serves");
}

int model_promote(struct ctl *ctl, int argc, char **argv)
{
    struct decide_reply *reply = NULL;
    uint8_t bytes[BODY_BYTES];
    struct pack body = pack_into(bytes, sizeof bytes);
    if (args_parse_count(ctl, argc, argv, NULL, 0, 3, 3, "promote NAME VERSION") < 0)
        return EXIT_USAGE;
    pack_map(&body, 2);
    pack_key(&body, "name");
    pack_str(&body, argv[2]);
    pack_key(&body, "version");
    pack_str(&body, argv[3]);
    int code = ask(ctl, "model_promote", &body, &reply);
    return reply == NULL ? code : finish(ctl, reply);
}

int model_rollback(struct ctl *ctl, int argc, char **argv)
{
    struct decide_reply *reply = NULL;
    uint8_t bytes[BODY_BYTES];
    struct pack body = pack_into(bytes, sizeof bytes);
    if (args_parse_count(ctl, argc, argv, NULL, 0, 2, 2, "rollback NAME") < 0)
        return EXIT_USAGE;
    pack_map(&body, 1);
    pack_key(&body, "name");
    pack_str(&body, argv[2]);
    int code = ask(ctl, "model_rollback", &body, &reply);
    return reply == NULL ? code : finish(ctl, reply);
}
