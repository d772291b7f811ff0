/* SPDX-License-Identifier: Apache-2.0 */
/* publish - a trained model as a bundle OUT/NAME/VERSION (docs/bundles.md).
 *
 * Written beside its place, under a name that no daemon looks at, and renamed into it when it is
 * whole.  SIGINT, SIGTERM and SIGHUP wait meanwhile; when one came, what was written is removed and
 * the signal takes its course.  Threads: one, and no other handler of these signals meanwhile. */
#ifndef TOOLS_TRAIN_PUBLISH_H
#define TOOLS_TRAIN_PUBLISH_H

#include "base/file.h"
#include "tools/train/trained.h"

struct publish_place {
    char parent[FILE_PATH_BYTES]; /* OUT/NAME */
    char final[FILE_PATH_BYTES];  /* OUT/NAME/VERSION */
    const char *name, *version;
};

/* ERR_EXISTS when that version is there, ERR_LIMIT when the path is too long.  Called before
 * training too, so that an hour's work is not refused at its end. */
MUST_CHECK enum err_code publish_place(const char *out, const char *name, const char *version,
                                       struct publish_place *ret_place, struct err *err);

/* `evaluation` may be NULL. */
MUST_CHECK enum err_code publish(const struct publish_place *place, const struct trained *trained,
                                 const struct interactions *interactions,
                                 const struct dataset *dataset, const struct evaluation *evaluation,
                                 struct err *err);

#endif
