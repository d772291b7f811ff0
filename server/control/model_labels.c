/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/model_ops_internal.h"

/* What a request on labels asks for. */
struct wish {
    char name[MODEL_NAME_BYTES], version[MODEL_NAME_BYTES];
    bool stop;
    struct canary_settings canary; /* of a shadow: its share */
};

static enum err_code read_stop(const struct request *request, bool *ret_stop,
                               const char **ret_field, struct err *err)
{
    bool ok = false;
    if (!request_body_bool(request, "stop", ret_stop, &ok) || ok)
        return ERR_OK;
    *ret_field = "stop";
    return err_set(err, ERR_BAD_INPUT, "stop: expected true or false");
}

static enum err_code read_wish(const struct request *request, struct wish *ret_wish,
                               const char **ret_field, struct err *err)
{
    enum err_code rc = model_ops_name(request, "name", ret_wish->name, ret_field, err);
    bool is_trial = request->op == OP_model_canary || request->op == OP_model_shadow;
    if (rc == ERR_OK && is_trial)
        rc = read_stop(request, &ret_wish->stop, ret_field, err);
    if (rc == ERR_OK && request->op != OP_model_rollback && !ret_wish->stop)
        rc = model_ops_name(request, "version", ret_wish->version, ret_field, err);
    if (rc == ERR_OK && request->op == OP_model_canary && !ret_wish->stop)
        rc = model_trials_canary(request, &ret_wish->canary, ret_field, err);
    if (rc == ERR_OK && request->op == OP_model_shadow && !ret_wish->stop)
        rc = model_trials_share(request, 100, &ret_wish->canary.share_e4, ret_field, err);
    return rc;
}

static void submit(struct model_task *task, const struct wish *wish)
{
    struct registry *registry = task->ops->registry;
    if (task->op == OP_model_promote)
        registry_promote(registry, wish->name, wish->version, model_task_done, task);
    else if (task->op == OP_model_rollback)
        registry_rollback(registry, wish->name, model_task_done, task);
    else if (task->op == OP_model_shadow && wish->stop)
        registry_shadow_stop(registry, wish->name, model_task_done, task);
    else if (task->op == OP_model_shadow)
        registry_shadow(registry, wish->name, wish->version, wish->canary.share_e4, model_task_done,
                        task);
    else if (wish->stop)
        registry_canary_stop(registry, wish->name, model_task_done, task);
    else
        registry_canary(registry, wish->name, wish->version, &wish->canary, model_task_done, task);
}

enum call_state model_labels_call(struct model_ops *ops, struct call *call,
                                  const struct request *request, const struct audit_who *who)
{
    const char *field = NULL;
    struct err err = {0};
    struct wish wish = {.stop = false};
    enum err_code rc = read_wish(request, &wish, &field, &err);
    struct model_task *task = rc == ERR_OK ? model_task_new(ops, call, request, who) : NULL;
    if (rc == ERR_OK && task == NULL)
        rc = err_set(&err, ERR_NOMEM, "no memory for a request to the registry");
    if (rc != ERR_OK)
        return model_ops_fail(ops, call, request, rc, &err, field);
    text_copy(text_of(wish.name), task->name, sizeof task->name);
    text_copy(text_of(wish.version), task->version, sizeof task->version);
    task->share_e4 = wish.canary.share_e4;
    submit(task, &wish);
    return CALL_DEFERRED;
}
