/* SPDX-License-Identifier: Apache-2.0 */
/* model_ops - the operations model_list, model_begin, model_chunk, model_commit, model_abort and
 * model_rollback: uploads of bundles in pieces, and what an operator asks of the registry.
 *
 * An upload grows in models_dir/.incoming/ULID/, is renamed to models_dir/NAME/VERSION as a whole
 * at commit and is then loaded; the reply to commit is the outcome of the load.  A refused upload
 * leaves nothing behind.  Paths are checked (file_is_plain_path), offsets must follow each other,
 * sizes and the number of open uploads are bounded, an upload that was not touched for ten minutes
 * is removed.
 *
 * Threads: model_ops_call on any serving thread (short file writes: these are operators' calls,
 * they never run on the event loop's budget for decisions); commits and rollbacks complete on the
 * loader. */
#ifndef SERVER_CONTROL_MODEL_OPS_H
#define SERVER_CONTROL_MODEL_OPS_H

#include "base/clock.h"
#include "base/err.h"
#include "server/control/registry.h"
#include "server/protocol/call.h"
#include "server/protocol/request.h"

struct model_ops;

MUST_CHECK enum err_code model_ops_create(const char *models_dir, struct registry *registry,
                                          const struct clock *clock, struct model_ops **ret_ops,
                                          struct err *err);
void model_ops_destroy(struct model_ops **ops); /* removes unfinished uploads */

/* request->op is one of the operations above; the caller checked that it is allowed. */
enum call_state model_ops_call(struct model_ops *ops, struct call *call,
                               const struct request *request);

#endif
