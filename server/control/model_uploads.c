/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads.  A thread of their own writes what comes and removes what is given up, one call after
 * the other: a write that the kernel holds back, because too much waits for the disk, must not hold
 * up a thread that decides.  Who sends gets the reply when the piece is written, which is what
 * keeps senders from running ahead. */
#include <stdlib.h>

#include "server/control/model_ops_internal.h"
#include "server/protocol/reply.h"

/* A call on its way through the thread.  Of the request only what lies in the call's own bytes. */
struct upload_step {
    struct model_ops *ops;
    struct call *call;
    struct request request;
    struct audit_who who;
};

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
    if (rc == ERR_BUSY) {
        reply_overloaded(call, request->id_raw, ops->clock, err.text,
                         uploads_retry_ms(ops->uploads));
        return CALL_DONE;
    }
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
    enum err_code rc = model_ops_text(request, "upload", &upload, &field, &err);
    if (rc == ERR_OK)
        rc = model_ops_text(request, "path", &path, &field, &err);
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
    enum err_code rc = model_ops_text(request, "upload", &upload, &field, &err);
    if (rc == ERR_OK)
        rc = uploads_take(ops->uploads, upload, &info, &err);
    if (rc != ERR_OK)
        return model_ops_fail(ops, call, request, rc, &err, field);
    uploads_remove(ops->uploads, upload);
    reply_begin(&reply, call, request->id_raw, ops->clock);
    reply_end(&reply);
    return CALL_DONE;
}

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
    enum err_code rc = model_ops_text(request, "upload", &upload, &field, &err);
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

/* ---- the thread ------------------------------------------------------------------------------ */

static enum call_state serve(struct model_ops *ops, struct call *call,
                             const struct request *request, const struct audit_who *who)
{
    switch (request->op) {
    case OP_release_begin:
    case OP_model_begin: return begin(ops, call, request);
    case OP_model_chunk: return chunk(ops, call, request);
    case OP_model_abort: return abort_upload(ops, call, request);
    default: return commit(ops, call, request, who);
    }
}

static void run_step(void *ctx)
{
    struct upload_step *step = ctx;
    struct call *call = step->call;
    enum call_state state = serve(step->ops, call, &step->request, &step->who);
    free(step);
    if (state == CALL_DONE)
        call->complete(call);
}

enum call_state model_uploads_call(struct model_ops *ops, struct call *call,
                                   const struct request *request, const struct audit_who *who)
{
    struct err err = {0};
    struct upload_step *step = calloc(1, sizeof *step);
    if (step == NULL) {
        enum err_code rc = err_set(&err, ERR_NOMEM, "no memory for a piece of an upload");
        return model_ops_fail(ops, call, request, rc, &err, NULL);
    }
    *step = (struct upload_step){
        .ops = ops,
        .call = call,
        .request = {.op = request->op, .id_raw = request->id_raw, .body_raw = request->body_raw},
        .who = *who};
    if (jobs_submit(ops->writing, run_step, step))
        return CALL_DEFERRED;
    free(step);
    enum err_code rc =
        err_set(&err, ERR_BUSY, "%d pieces of uploads are waiting, which is the limit", JOBS_MAX);
    return model_ops_fail(ops, call, request, rc, &err, NULL);
}
