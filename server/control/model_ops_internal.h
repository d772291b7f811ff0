/* SPDX-License-Identifier: Apache-2.0 */
/* model_ops_internal - what the files of the operations on models share.
 *
 *   model_ops.c     the list, and the rollback of a release
 *   model_uploads.c uploads, on a thread of their own
 *   model_labels.c  promote, rollback and what else changes which version has which label
 *   model_trials.c  the settings of canaries and shadows, as they are asked for
 *   model_task.c    a call while the loader works on it */
#ifndef SERVER_CONTROL_MODEL_OPS_INTERNAL_H
#define SERVER_CONTROL_MODEL_OPS_INTERNAL_H

#include "server/control/jobs.h"
#include "server/control/model_ops.h"
#include "server/control/uploads.h"

struct model_ops {
    struct registry *registry; /* borrowed */
    struct audit *audit;       /* borrowed; NULL: none */
    const struct clock *clock;
    struct uploads *uploads;
    struct jobs *writing; /* the thread of uploads */
};

/* A call while the loader works on it.  Its texts point into the request bytes, which stay valid
 * until it is complete. */
struct model_task {
    struct model_ops *ops;
    struct call *call;
    enum op op;
    struct text id_raw;
    struct text upload; /* of a commit */
    struct audit_who who;
    char name[MODEL_NAME_BYTES];
    char version[MODEL_NAME_BYTES]; /* of a rollback: "", then what serves; of a stop: "" */
    char release[MODEL_NAME_BYTES]; /* its id; of a rollback: the one that is left */
    uint32_t share_e4;              /* of a canary or shadow; 0: it is stopped */
};

struct model_task *model_task_new(struct model_ops *ops, struct call *call,
                                  const struct request *request, const struct audit_who *who);
/* A registry_done_fn: records the act and answers. */
void model_task_done(void *task, enum err_code rc, const struct err *err);
void release_task_done(void *task, enum err_code rc, const struct err *err); /* of releases */

/* A key of the body that must be there as a text. */
MUST_CHECK enum err_code model_ops_text(const struct request *request, const char *key,
                                        struct text *ret_value, const char **ret_field,
                                        struct err *err);
/* A key of the body that must be a plain name. */
MUST_CHECK enum err_code model_ops_name(const struct request *request, const char *key,
                                        char ret_name[MODEL_NAME_BYTES], const char **ret_field,
                                        struct err *err);
enum call_state model_ops_fail(const struct model_ops *ops, struct call *call,
                               const struct request *request, enum err_code rc,
                               const struct err *err, const char *field);

/* Reads what `request` says of a canary; what it leaves out is as by default. */
MUST_CHECK enum err_code model_trials_canary(const struct request *request,
                                             struct canary_settings *ret_settings,
                                             const char **ret_field, struct err *err);
/* `percent`, `otherwise` when it is absent, as parts of 10,000. */
MUST_CHECK enum err_code model_trials_share(const struct request *request, double otherwise,
                                            uint32_t *ret_share_e4, const char **ret_field,
                                            struct err *err);

enum call_state model_uploads_call(struct model_ops *ops, struct call *call,
                                   const struct request *request, const struct audit_who *who);
enum call_state model_labels_call(struct model_ops *ops, struct call *call,
                                  const struct request *request, const struct audit_who *who);

#endif
