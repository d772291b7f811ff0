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
    if (rc != ERR_OK) {
        free(ops);
        return rc;
    }
    *ret_ops = ops;
    return ERR_OK;
}

void model_ops_destroy(struct model_ops **ops)
{
    if (*ops == NULL)
        return;
    uploads_destroy(&(*ops)->uploads);
    free(*ops);
    *ops = NULL;
}

void model_ops_expire(struct model_ops *ops)
{
    uploads_expire(ops->uploads);
}

/* ---- keys of the body ------------------------------------------------------------------------ */

static enum err_code need_text(const struct request *request, const char *key,
                               struct text *ret_value, const char **ret_field, struct err *err)
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
    enum err_code rc = need_text(request, key, &text, ret_field, err);
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
    reply.pair_count += request->op == OP_release_list ? 1 : 2;
    reply_end(&reply);
    return CALL_DONE;
}

static enum call_state begin(struct model_ops *ops, struct call *call,
                             const struct request *request)
{
    char id[ULID_BYTES];
    struct upload_info what = {.name = ""};
    const char *field = NULL;
    struct err err = {0};
    struct reply reply;
    enum err_code rc = ERR_OK;
    if (request->op == OP_release_begin)
        rc = model_ops_name(request, "release", what.release, &field, &err);
    else
        rc = model_ops_name(request, "name", what.name, &field, &err);
    if (rc == ERR_OK && request->op == OP_model_begin)
        rc = model_ops_name(request, "version", what.version, &field, &err);
    if (rc == ERR_OK)
        rc = uploads_begin(ops->uploads, &what, id, &err);
    if (rc != ERR_OK)
        return model_ops_fail(ops, call, request, rc, &err, field);
    reply_begin(&reply, call, request->id_raw, ops->clock);
    reply_key(&reply, "upload");
    pack_str(&reply.pack, id);
    reply_end(&reply);
    return CALL_DONE;
}

static enum call_state chunk(struct model_ops *ops, struct call *call,
                             const struct request *request)
{
    struct text upload = {0}, path = {0}, data = {0};
    int64_t offset = -1, bytes = 0;
    bool ok = false;
    const char *field = NULL;
    struct err err = {0};
    struct reply reply;
    enum err_code rc = need_text(request, "upload", &upload, &field, &err);
    if (rc == ERR_OK)
        rc = need_text(request, "path", &path, &field, &err);
    if (rc == ERR_OK && (!request_body_int(request, "offset", &offset, &ok) || !ok || offset < 0)) {
        field = "offset";
        rc = err_set(&err, ERR_BAD_INPUT, "offset: expected an integer of 0 or more");
    }
    if (rc == ERR_OK && (!request_body_bin(request, "data", &data, &ok) || !ok)) {
        field = "data";
        rc = err_set(&err, ERR_BAD_INPUT, "data: expected bytes (MessagePack bin)");
    }
    if (rc == ERR_OK)
        rc = uploads_write(ops->uploads, upload, path, offset, data, &bytes, &err);
    if (rc != ERR_OK)
        return model_ops_fail(ops, call, request, rc, &err, field);
    reply_begin(&reply, call, request->id_raw, ops->clock);
    reply_key(&reply, "bytes");
    pack_int(&reply.pack, bytes);
    reply_end(&reply);
    return CALL_DONE;
}

static enum call_state abort_upload(struct model_ops *ops, struct call *call,
                                    const struct request *request)
{
    struct text upload = {0};
    struct upload_info info;
    const char *field = NULL;
    struct err err = {0};
    struct reply reply;
    enum err_code rc = need_text(request, "upload", &upload, &field, &err);
    if (rc == ERR_OK)
        rc = uploads_take(ops->uploads, upload, &info, &err);
    if (rc != ERR_OK)
        return model_ops_fail(ops, call, request, rc, &err, field);
    uploads_remove(ops->uploads, upload);
    reply_begin(&reply, call, request->id_raw, ops->clock);
    reply_end(&reply);
    return CALL_DONE;
}

/* ---- answered by the loader ------------------------------------------------------------------ */

/* An upload of the sort that is committed, or none that is known. */
static enum err_code take_upload(struct model_ops *ops, const struct request *request,
                                 struct text upload, struct upload_info *ret_info, struct err *err)
{
    enum err_code rc = uploads_take(ops->uploads, upload, ret_info, err);
    bool of_release = ret_info->release[0] != '\0';
    if (rc != ERR_OK || of_release == (request->op == OP_release_commit))
        return rc;
    uploads_remove(ops->uploads, upload);
    return err_set(err, ERR_BAD_INPUT, "upload: begun for a %s: commit it as one; it was given up",
                   of_release ? "release" : "model");
}

static enum call_state commit(struct model_ops *ops, struct call *call,
                              const struct request *request, const struct audit_who *who)
{
    struct text upload = {0};
    struct upload_info info = {.name = ""};
    const char *field = NULL;
    struct err err = {0};
    enum err_code rc = need_text(request, "upload", &upload, &field, &err);
    if (rc == ERR_OK)
        rc = take_upload(ops, request, upload, &info, &err);
    if (rc != ERR_OK)
        return model_ops_fail(ops, call, request, rc, &err, field);
    struct model_task *task = model_task_new(ops, call, request, who);
    if (task == NULL) {
        uploads_remove(ops->uploads, upload);
        rc = err_set(&err, ERR_NOMEM, "no memory for a commit");
        return model_ops_fail(ops, call, request, rc, &err, NULL);
    }
    task->upload = upload;
    text_copy(text_of(info.name), task->name, sizeof task->name);
    text_copy(text_of(info.version), task->version, sizeof task->version);
    text_copy(text_of(info.release), task->release, sizeof task->release);
    if (request->op == OP_release_commit)
        registry_release_install(ops->registry, info.dir, info.release, release_task_done, task);
    else
        registry_install(ops->registry, info.dir, info.name, info.version, model_task_done, task);
    return CALL_DEFERRED;
}

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
    case OP_model_begin: return begin(ops, call, request);
    case OP_model_chunk: return chunk(ops, call, request);
    case OP_release_rollback: return roll_back(ops, call, request, who);
    case OP_release_commit:
    case OP_model_commit: return commit(ops, call, request, who);
    case OP_model_abort: return abort_upload(ops, call, request);
    case OP_model_canary:
    case OP_model_shadow:
    case OP_model_promote:
    case OP_model_rollback: return model_labels_call(ops, call, request, who);
    default: break;
    }
    ASSERT(false); /* the caller sends operations of models alone */
    return CALL_DONE;
}
