/* SPDX-License-Identifier: Apache-2.0 */
/* model push: checked here first, then sent piece by piece, then loaded there.  A bare model file
 * becomes a bundle before that, in a folder of its own that is gone afterwards. */
#include "base/background.h"
#include "models/model.h"
#include "tools/ctl/model_source.h"
#include "tools/ctl/upload.h"

static int commit(struct upload *upload)
{
    struct decide_reply *reply = NULL;
    int code = upload_commit(upload, "model_commit", &reply);
    if (reply == NULL)
        return code;
    if (upload->ctl->json)
        code = ctl_print_json(reply);
    else
        model_outcome_print(ctl_map(reply));
    decide_reply_free(reply);
    return code;
}

static int send_bundle(struct ctl *ctl, const char *dir, const struct bundle *bundle)
{
    struct upload upload;
    uint8_t bytes[512];
    struct pack body = pack_into(bytes, sizeof bytes);
    pack_map(&body, 2);
    pack_key(&body, "name");
    pack_str(&body, bundle->name);
    pack_key(&body, "version");
    pack_str(&body, bundle->version);
    int code = upload_begin(&upload, ctl, "model_begin", &body, bundle->bytes);
    if (code == EXIT_FINE) {
        code = upload_bundle(&upload, dir, NULL, bundle);
        if (code == EXIT_FINE)
            code = commit(&upload);
        else
            upload_give_up(&upload);
    }
    upload_deinit(&upload);
    return code;
}

static int push_bundle(struct ctl *ctl, const char *dir)
{
    struct bundle *bundle = NULL;
    struct model *model = NULL;
    struct err err = {0};
    if (model_open(dir, NULL, &bundle, &model, &err) != ERR_OK)
        return model_refused(ctl, dir, &err);
    model_destroy(&model);
    int code = send_bundle(ctl, dir, bundle);
    bundle_close(&bundle);
    return code;
}

int model_push(struct ctl *ctl, int argc, char **argv)
{
    struct model_source source;
    struct arg args[MODEL_SOURCE_ARGS];
    model_source_args(&source, args);
    if (args_parse_count(ctl, argc, argv, args, MODEL_SOURCE_ARGS, 2, 2,
                         "push DIR or push FILE --name NAME") < 0)
        return EXIT_USAGE;
    background_begin(); /* the daemon may be on the same cores */
    int code = model_source_open(ctl, "push", argv[2], &source);
    if (code == EXIT_FINE)
        code = push_bundle(ctl, source.dir);
    return model_source_close(&source, code);
}
