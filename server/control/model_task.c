/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "server/control/model_ops_internal.h"
#include "server/protocol/reply.h"

struct model_task *model_task_new(struct model_ops *ops, struct call *call,
                                  const struct request *request, const struct audit_who *who)
{
    struct model_task *task = calloc(1, sizeof *task);
    if (task == NULL)
        return NULL;
    *task = (struct model_task){
        .ops = ops, .call = call, .op = request->op, .id_raw = request->id_raw, .who = *who};
    return task;
}

static bool is_trial(const struct model_task *task)
{
    return task->op == OP_model_canary || task->op == OP_model_shadow;
}

static char *show_percent(const struct model_task *task, char buf[NUM_REAL_BYTES])
{
    return num_format_real(task->share_e4 / 100.0, buf);
}

static enum err_code record(const struct model_task *task, enum err_code rc, const struct err *why,
                            struct err *err)
{
    const char *act = task->op == OP_model_commit ? "model_push" : op_name(task->op);
    if (is_trial(task)) {
        char percent[NUM_REAL_BYTES];
        return audit_record(task->ops->audit, &task->who, act, rc, why,
                            AUDIT_WHAT(LOG_STR("name", task->name),
                                       LOG_STR("version", task->version),
                                       LOG_STR("percent", show_percent(task, percent))),
                            err);
    }
    return audit_record(task->ops->audit, &task->who, act, rc, why,
                        AUDIT_WHAT(LOG_STR("name", task->name), LOG_STR("version", task->version)),
                        err);
}

static bool tells_source(const struct model_task *task)
{
    return task->op == OP_model_promote || task->op == OP_model_rollback;
}

/* Where what serves now was: in memory, or read for this from disk. */
static void reply_source(struct reply *reply, const struct model_task *task)
{
    reply_key(reply, "from");
    pack_str(&reply->pack,
             registry_source(task->ops->registry) == REGISTRY_DISK ? "disk" : "memory");
}

/* The version that was asked for serves, or waits; or a canary or shadow runs, or is stopped. */
static void reply_outcome(const struct model_task *task, const char *warning)
{
    struct reply reply;
    char serving[MODEL_NAME_BYTES];
    registry_version(task->ops->registry, task->name, serving);
    reply_begin(&reply, task->call, task->id_raw, task->ops->clock);
    reply_key(&reply, "name");
    pack_str(&reply.pack, task->name);
    if (task->version[0] != '\0') {
        reply_key(&reply, "version");
        pack_str(&reply.pack, task->version);
    }
    if (is_trial(task)) {
        reply_key(&reply, "label");
        pack_str(&reply.pack, task->op == OP_model_canary ? "canary" : "shadow");
        reply_key(&reply, "percent");
        pack_real(&reply.pack, task->share_e4 / 100.0);
    } else {
        reply_key(&reply, "state");
        pack_str(&reply.pack, strcmp(serving, task->version) == 0 ? "serving" : "waiting");
    }
    if (tells_source(task))
        reply_source(&reply, task);
    if (warning != NULL) {
        reply_key(&reply, "warning");
        pack_str(&reply.pack, warning);
    }
    reply_end(&reply);
}

void model_task_done(void *ctx, enum err_code rc, const struct err *err)
{
    struct model_task *task = ctx;
    struct call *call = task->call;
    struct err unaudited = {.text = ""};
    const char *warning = NULL;
    if (task->upload.ptr != NULL)
        uploads_remove(task->ops->uploads, task->upload);
    if (rc == ERR_OK && task->op == OP_model_rollback)
        registry_version(task->ops->registry, task->name, task->version);
    if (rc == ERR_OK && tells_source(task) &&
        registry_source(task->ops->registry) == REGISTRY_MEMORY_ALONE)
        warning = "its folder in models_dir is gone or has changed: a restart will not find it";
    if (record(task, rc, err, &unaudited) != ERR_OK)
        warning = unaudited.text;
    if (rc != ERR_OK)
        reply_error(call, task->id_raw, task->ops->clock, reply_code_of(rc), err->text, NULL);
    else
        reply_outcome(task, warning);
    free(task);
    call->complete(call);
}

/* ---- releases -------------------------------------------------------------------------------- */

static void reply_release(const struct model_task *task, const char *release, uint64_t epoch,
                          const char *warning)
{
    struct reply reply;
    reply_begin(&reply, task->call, task->id_raw, task->ops->clock);
    reply_key(&reply, "release");
    if (release[0] == '\0')
        pack_nil(&reply.pack);
    else
        pack_str(&reply.pack, release);
    reply_key(&reply, "epoch");
    pack_uint(&reply.pack, epoch);
    if (task->op == OP_release_rollback)
        reply_source(&reply, task);
    if (warning != NULL) {
        reply_key(&reply, "warning");
        pack_str(&reply.pack, warning);
    }
    reply_end(&reply);
}

void release_task_done(void *ctx, enum err_code rc, const struct err *err)
{
    struct model_task *task = ctx;
    struct call *call = task->call;
    struct err unaudited = {.text = ""};
    char release[MODEL_NAME_BYTES], policies[SHA256_HEX_BYTES], features[SHA256_HEX_BYTES];
    uint64_t epoch = 0;
    const char *act = task->op == OP_release_commit ? "release_push" : "release_rollback";
    if (task->upload.ptr != NULL)
        uploads_remove(task->ops->uploads, task->upload);
    (void)registry_release(task->ops->registry, release, &epoch);
    registry_policies_sha256(task->ops->registry, policies);
    registry_features_sha256(task->ops->registry, features);
    enum err_code audited =
        audit_record(task->ops->audit, &task->who, act, rc, err,
                     AUDIT_WHAT(LOG_STR("release", task->release), LOG_INT("epoch", epoch),
                                LOG_STR("policies", policies), LOG_STR("features", features)),
                     &unaudited);
    if (rc != ERR_OK)
        reply_error(call, task->id_raw, task->ops->clock, reply_code_of(rc), err->text, NULL);
    else
        reply_release(task, release, epoch, audited != ERR_OK ? unaudited.text : NULL);
    free(task);
    call->complete(call);
}
