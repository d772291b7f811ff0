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

int model_labels_ask(struct ctl *ctl, const char *op, const struct pack *body)
{
    struct decide_reply *reply = NULL;
    int code = ctl_call_patiently(ctl, op, body, LOAD_TIMEOUT_US, &reply);
    if (reply == NULL)
        return code;
    if (ctl->json)
        code = ctl_print_json(reply);
    else
        model_outcome_print(ctl_map(reply));
    decide_reply_free(reply);
    return code;
}

const char *model_from_show(struct cursor map)
{
    struct text from = value_text(map, "from");
    if (from.ptr == NULL)
        return "";
    return text_is(from, "memory") ? "; it was in memory" : "; it was loaded from disk";
}

/* What the reply to an operation on labels says: its key `label` tells which. */
void model_outcome_print(struct cursor map)
{
    struct text name = value_text(map, "name"), version = value_text(map, "version");
    struct text label = value_text(map, "label");
    printf("%.*s: ", (int)name.len, name.ptr);
    if (label.ptr != NULL && version.ptr == NULL)
        printf("no %.*s any more\n", (int)label.len, label.ptr);
    else if (label.ptr != NULL)
        printf("version %.*s is the %.*s, %g %%\n", (int)version.len, version.ptr, (int)label.len,
               label.ptr, value_real(map, "percent", 0));
    else if (text_is(value_text(map, "state"), "waiting"))
        printf("version %.*s is loaded and waits to be promoted\n", (int)version.len, version.ptr);
    else
        printf("version %.*s serves%s\n", (int)version.len, version.ptr, model_from_show(map));
    struct text warning = value_text(map, "warning");
    if (warning.ptr != NULL)
        ctl_warn("model", "it is done, but: %.*s", (int)warning.len, warning.ptr);
}

int model_promote(struct ctl *ctl, int argc, char **argv)
{
    uint8_t bytes[BODY_BYTES];
    struct pack body = pack_into(bytes, sizeof bytes);
    if (args_parse_count(ctl, argc, argv, NULL, 0, 3, 3, "promote NAME VERSION") < 0)
        return EXIT_USAGE;
    pack_map(&body, 2);
    pack_key(&body, "name");
    pack_str(&body, argv[2]);
    pack_key(&body, "version");
    pack_str(&body, argv[3]);
    return model_labels_ask(ctl, "model_promote", &body);
}

int model_rollback(struct ctl *ctl, int argc, char **argv)
{
    uint8_t bytes[BODY_BYTES];
    struct pack body = pack_into(bytes, sizeof bytes);
    if (args_parse_count(ctl, argc, argv, NULL, 0, 2, 2, "rollback NAME") < 0)
        return EXIT_USAGE;
    pack_map(&body, 1);
    pack_key(&body, "name");
    pack_str(&body, argv[2]);
    return model_labels_ask(ctl, "model_rollback", &body);
}
