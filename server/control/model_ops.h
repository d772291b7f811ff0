/* SPDX-License-Identifier: Apache-2.0 */
/* model_ops - the operations on models and on releases: uploads in pieces, and what an operator
 * asks of the registry.
 *
 * An upload grows in models_dir/.incoming/ULID/; at commit the registry verifies and loads it
 * there, renames it to models_dir/NAME/VERSION as a whole and serves it (registry_install); the
 * reply to commit is the outcome.  A release grows and is committed in the same way, with all its
 * models.  A refused upload leaves nothing behind.  Paths are checked
 * (file_is_plain_path) and offsets must follow each other; the chunk that was written last may come
 * again, so that a client may repeat what got no reply.
 *
 * Limits: MODEL_UPLOADS_MAX open uploads, BUNDLE_FILES_MAX files beside the manifest,
 * MODEL_CHUNK_BYTES_MAX a chunk, MODEL_UPLOAD_BYTES_MAX an upload; one that was not touched for
 * MODEL_UPLOAD_IDLE_MS is removed by the next model_ops_expire.
 *
 * Threads: model_ops_call on any serving thread, which touches no file; uploads are written, and
 * their calls completed, on a thread of this module, commits and rollbacks on the loader. */
#ifndef SERVER_CONTROL_MODEL_OPS_H
#define SERVER_CONTROL_MODEL_OPS_H

#include "base/clock.h"
#include "base/err.h"
#include "models/bundle.h"
#include "server/control/audit.h"
#include "server/control/registry.h"
#include "server/protocol/call.h"
#include "server/protocol/request.h"

#define MODEL_UPLOADS_MAX      4
#define MODEL_CHUNK_BYTES_MAX  262144
#define MODEL_UPLOAD_BYTES_MAX (BUNDLE_FILE_BYTES_MAX * 2)
#define MODEL_UPLOAD_IDLE_MS   600000

struct model_ops;

/* `audit`: where commits and rollbacks are recorded, or NULL. */
MUST_CHECK enum err_code model_ops_create(const char *models_dir, struct registry *registry,
                                          struct audit *audit, const struct clock *clock,
                                          struct model_ops **ret_ops, struct err *err);
/* What waits is done, then calls of uploads are refused.  Before the registry stops. */
void model_ops_stop(struct model_ops *ops);
/* Removes unfinished uploads.  The registry is stopped, so that no commit is under way. */
void model_ops_destroy(struct model_ops **ops);
/* Removes uploads that nobody goes on with.  Call it now and then, from any thread. */
void model_ops_expire(struct model_ops *ops);

/* request->op is one of the operations above; the caller checked that it is allowed. */
enum call_state model_ops_call(struct model_ops *ops, struct call *call,
                               const struct request *request, const struct audit_who *who);
/* registry_pack_previous; any thread. */
void model_ops_pack_previous(const struct model_ops *ops, struct pack *pack);

#endif
