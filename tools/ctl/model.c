/* SPDX-License-Identifier: Apache-2.0 */
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
        model_waiting_print(ctl_map(reply));
        model_previous_print(ctl_map(reply), "previous");
        model_canaries_print(ctl_map(reply));
        model_refusals_print(ctl_map(reply));
    }
    decide_reply_free(reply);
    return code;
}

int model_refused(const struct ctl *ctl, const char *what, const struct err *err)
{
    if (ctl->json)
        ctl_json_error(err->code == ERR_DENIED ? "forbidden" : "bad_request", err->text);
    return ctl_fail("model", "%s: refused: %s", what, err->text);
}

enum err_code model_open(const char *dir, const struct minisign_keys *keys,
                         struct bundle **ret_bundle, struct model **ret_model, struct err *err)
{
    struct bundle *bundle = NULL;
    struct model *model = NULL;
    enum err_code rc = bundle_open_signed(dir, NULL, NULL, keys, &bundle, err);
    if (rc == ERR_OK)
        rc = model_load(bundle, &model, err);
    if (rc == ERR_OK)
        rc = model_check_golden(model, bundle, err);
    if (rc != ERR_OK) {
        model_destroy(&model);
        bundle_close(&bundle);
        return rc;
    }
    *ret_bundle = bundle;
    *ret_model = model;
    return ERR_OK;
}

int command_model(struct ctl *ctl, int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct ctl *ctl, int argc, char **argv);
    } others[] = {{"push", model_push},         {"verify", model_verify},
                  {"bundle", model_bundle},     {"promote", model_promote},
                  {"rollback", model_rollback}, {"canary", model_canary},
                  {"shadow", model_shadow}};
    static const char wanted[] = "list, push DIR|FILE, promote NAME VERSION, canary NAME VERSION, "
                                 "shadow NAME [VERSION], "
                                 "rollback NAME, verify DIR|FILE or bundle FILE DIR";
    for (size_t i = 0; argc > 1 && i < sizeof others / sizeof others[0]; i++) {
        if (strcmp(argv[1], others[i].name) == 0)
            return others[i].run(ctl, argc, argv);
    }
    int count = args_parse_count(ctl, argc, argv, NULL, 0, 1, 1, wanted);
    if (count < 0)
        return EXIT_USAGE;
    if (strcmp(argv[1], "list") == 0)
        return list(ctl);
    return ctl_usage("model", "expected %s, got '%s'", wanted, argv[1]);
}
