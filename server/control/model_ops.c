/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/model_ops.h"

#include <stdlib.h>
#include <string.h>

#include "server/control/model_ops_internal.h"
#include "server/protocol/reply.h"

enum err_code model_ops_create(const char *models_dir, struct registry *registry,
                               struct audit *audit, const struct clock *clock,
                               struct model_ops **ret_ops, struct err *err)
{
    struct model_ops *ops = calloc(1, sizeof *ops);
    if (ops == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the operations on models");
    ops->registry = registry;
    ops->audit = audit;
    ops->clock = clock;
    enum err_code rc = uploads_create(models_dir, clock, &ops->uploads, err);
    if (rc == ERR_OK)
        rc = jobs_create("uploads", JOBS_BACKGROUND, &ops->writing, err);
    if (rc == ERR_OK)
        rc = jobs_start(ops->writing, err);
    if (rc == ERR_OK) {
        *ret_ops = ops;
        ops = NULL;
    }
    model_ops_destroy(&ops);
    return rc;
}

void model_ops_stop(struct model_ops *ops)
{
    jobs_stop(ops->writing);
}

void model_ops_destroy(struct model_ops **ops)
{
    if (*ops == NULL)
        return;
    if ((*ops)->writing != NULL)
        jobs_stop((*ops)->writing);
    jobs_destroy(&(*ops)->writing);
    uploads_destroy(&(*ops)->uploads);
    free(*ops);
    *ops = NULL;
}

void model_ops_expire(struct model_ops *ops)
{
    uploads_expire(ops->uploads);
}

/* ---- keys of the body ------------------------------------------------------------------------ */

enum err_code model_ops_text(const struct request *request, const char *key, struct text *ret_value,
                             const char **ret_field, struct err *err)
{
    bool ok = false;
    if (request_body_text(request, key, ret_value, &ok) && ok)
        return ERR_OK;
    *ret_field = key;
    return err_set(err, ERR_BAD_INPUT, "%s: expected a text", key);
}

enum err_code model_ops_name(const struct request *request, const char *key,
                             char ret_name[MODEL_NAME_BYTES], const char **ret_field,
                             struct err *err)
{
    struct text text = {0};
    char name[2 * MODEL_NAME_BYTES];
    enum err_code rc = model_ops_text(request, key, &text, ret_field, err);
    if (rc != ERR_OK)
        return rc;
    text_copy(text, name, sizeof name);
    if (strlen(name) != text.len || !file_is_plain_name(name)) {
        *ret_field = key;
        return err_set(err, ERR_BAD_INPUT,
                       "%s: expected 1..64 of A-Z a-z 0-9 . _ - not starting with . or -", key);
    }
    text_copy(text, ret_name, MODEL_NAME_BYTES);
    return ERR_OK;
}

enum call_state model_ops_fail(const struct model_ops *ops, struct call *call,
                               const struct request *request, enum err_code rc,
                               const struct err *err, const char *field)
{
    reply_error(call, request->id_raw, ops->clock, reply_code_of(rc), err->text, field);
    return CALL_DONE;
}

/* ---- answered at once ------------------------------------------------------------------------ */

static enum call_state list(const struct model_ops *ops, struct call *call,
                            const struct request *request)
{
    struct reply reply;
    reply_begin(&reply, call, request->id_raw, ops->clock);
    if (request->op == OP_release_list)
        registry_pack_releases(ops->registry, &reply.pack);
    else
        registry_pack(ops->registry, &reply.pack);
    reply.pair_count += request->op == OP_release_list ? 1 : REGISTRY_PACK_PAIRS;
    reply_end(&reply);
    return CALL_DONE;
}

void model_ops_pack_previous(const struct model_ops *ops, struct pack *pack)
{
    registry_pack_previous(ops->registry, pack);
}

/* ---- answered by the loader ------------------------------------------------------------------ */

static enum call_state roll_back(struct model_ops *ops, struct call *call,
                                 const struct request *request, const struct audit_who *who)
{
    struct err err = {0};
    uint64_t epoch = 0;
    struct model_task *task = model_task_new(ops, call, request, who);
    if (task == NULL) {
        enum err_code rc = err_set(&err, ERR_NOMEM, "no memory for a rollback");
        return model_ops_fail(ops, call, request, rc, &err, NULL);
    }
    (void)registry_release(ops->registry, task->release, &epoch);
    registry_release_rollback(ops->registry, release_task_done, task);
    return CALL_DEFERRED;
}

enum call_state model_ops_call(struct model_ops *ops, struct call *call,
                               const struct request *request, const struct audit_who *who)
{
    switch (request->op) {
    case OP_release_list:
    case OP_model_list: return list(ops, call, request);
    case OP_release_begin:
    case OP_model_begin:
    case OP_model_chunk:
    case OP_release_commit:
    case OP_model_commit:
    case OP_model_abort: return model_uploads_call(ops, call, request, who);
    case OP_release_rollback: return roll_back(ops, call, request, who);
    case OP_model_canary:
    case OP_model_shadow:
    case OP_model_promote:
    case OP_model_rollback: return model_labels_call(ops, call, request, who);
    default: break;
    }
    ASSERT(false); /* the caller sends operations of models alone */
    return CALL_DONE;
}
