/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/model_ops_internal.h"

static void submit(struct model_task *task)
{
    struct registry *registry = task->ops->registry;
    if (task->op == OP_model_promote)
        registry_promote(registry, task->name, task->version, model_task_done, task);
    else
        registry_rollback(registry, task->name, model_task_done, task);
}

enum call_state model_labels_call(struct model_ops *ops, struct call *call,
                                  const struct request *request, const struct audit_who *who)
{
    const char *field = NULL;
    struct err err = {0};
    char name[MODEL_NAME_BYTES], version[MODEL_NAME_BYTES] = "";
    enum err_code rc = model_ops_name(request, "name", name, &field, &err);
    if (rc == ERR_OK && request->op == OP_model_promote)
        rc = model_ops_name(request, "version", version, &field, &err);
    struct model_task *task = rc == ERR_OK ? model_task_new(ops, call, request, who) : NULL;
    if (rc == ERR_OK && task == NULL)
        rc = err_set(&err, ERR_NOMEM, "no memory for a request to the registry");
    if (rc != ERR_OK)
        return model_ops_fail(ops, call, request, rc, &err, field);
    text_copy(text_of(name), task->name, sizeof task->name);
    text_copy(text_of(version), task->version, sizeof task->version);
    submit(task);
    return CALL_DEFERRED;
}
