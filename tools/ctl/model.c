/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "models/model.h"
#include "tools/cli/value.h"
#include "tools/ctl/args.h"
#include "tools/ctl/model_table.h"

static int list(struct ctl *ctl)
{
    struct decide_reply *reply = NULL;
    int code = ctl_call(ctl, "model_list", NULL, ctl->timeout_us, &reply);
    if (reply == NULL)
        return code;
    if (ctl->json) {
        code = ctl_print_json(reply);
    } else {
        model_table_print(ctl_map(reply), true);
        model_canaries_print(ctl_map(reply));
        model_refusals_print(ctl_map(reply));
    }
    decide_reply_free(reply);
    return code;
}

int model_check(const struct ctl *ctl, const char *dir, struct bundle **ret_bundle)
{
    struct err err = {0};
    struct bundle *bundle = NULL;
    struct model *model = NULL;
    enum err_code rc = bundle_open(dir, NULL, NULL, &bundle, &err);
    if (rc == ERR_OK)
        rc = model_load(bundle, &model, &err);
    if (rc == ERR_OK)
        rc = model_check_golden(model, bundle, &err);
    model_destroy(&model);
    if (rc != ERR_OK) {
        bundle_close(&bundle);
        if (ctl->json)
            ctl_json_error("bad_request", err.text);
        return ctl_fail("model", "%s: refused: %s", dir, err.text);
    }
    *ret_bundle = bundle;
    return EXIT_FINE;
}

static int verify(const struct ctl *ctl, const char *dir)
{
    struct bundle *bundle = NULL;
    int code = model_check(ctl, dir, &bundle);
    if (code != EXIT_FINE)
        return code;
    if (ctl->json)
        printf("{\"ok\": true, \"name\": \"%s\", \"version\": \"%s\", \"kind\": \"%s\"}\n",
               bundle->name, bundle->version, model_kind_name(bundle->kind));
    else
        printf("%s: %s %s, kind %s, %" PRIu64 " bytes: good\n", dir, bundle->name, bundle->version,
               model_kind_name(bundle->kind), bundle->bytes);
    bundle_close(&bundle);
    return code;
}

int command_model(struct ctl *ctl, int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct ctl *ctl, int argc, char **argv);
    } others[] = {{"push", model_push},
                  {"promote", model_promote},
                  {"rollback", model_rollback},
                  {"canary", model_canary},
                  {"shadow", model_shadow}};
    static const char wanted[] = "list, push DIR|FILE, promote NAME VERSION, canary NAME VERSION, "
                                 "shadow NAME [VERSION], "
                                 "rollback NAME or verify DIR";
    for (size_t i = 0; argc > 1 && i < sizeof others / sizeof others[0]; i++) {
        if (strcmp(argv[1], others[i].name) == 0)
            return others[i].run(ctl, argc, argv);
    }
    int count = args_parse_count(ctl, argc, argv, NULL, 0, 1, 2, wanted);
    if (count < 0)
        return EXIT_USAGE;
    if (count == 1 && strcmp(argv[1], "list") == 0)
        return list(ctl);
    if (count == 2 && strcmp(argv[1], "verify") == 0)
        return verify(ctl, argv[2]);
    return ctl_usage("model", "expected %s, got '%s'", wanted, argv[1]);
}
