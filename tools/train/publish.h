/* SPDX-License-Identifier: Apache-2.0 */
/* publish - a trained model as a bundle OUT/NAME/VERSION (docs/bundles.md).
 *
 * Written beside its place, under a name that no daemon looks at, and renamed into it when it is
 * whole.  SIGINT, SIGTERM and SIGHUP wait meanwhile; when one came, what was written is removed and
 * the signal takes its course.  Threads: one, and no other handler of these signals meanwhile. */
#ifndef TOOLS_TRAIN_PUBLISH_H
#define TOOLS_TRAIN_PUBLISH_H

#include "base/clock.h"
#include "base/file.h"
#include "tools/train/trained.h"

#define PUBLISH_VERSION_BYTES 32 /* of a version that is a time */

struct publish_place {
    char parent[FILE_PATH_BYTES]; /* OUT/NAME */
    char final[FILE_PATH_BYTES];  /* OUT/NAME/VERSION */
    const char *name, *version;
};

/* ERR_EXISTS when that version is there, ERR_LIMIT when the path is too long.  Called before
 * training too, so that an hour's work is not refused at its end. */
MUST_CHECK enum err_code publish_place(const char *out, const char *name, const char *version,
                                       struct publish_place *ret_place, struct err *err);

/* The place that the options name, with the time in UTC as the version where they name none; the
 * place points into `made_version`. */
MUST_CHECK enum err_code publish_choose(const struct train_options *options,
                                        const struct clock *clock,
                                        char made_version[PUBLISH_VERSION_BYTES],
                                        struct publish_place *ret_place, struct err *err);

/* Writes all of a bundle into `dir`. */
typedef enum err_code publish_write(void *ctx, const char *dir, const struct publish_place *place,
                                    struct err *err);
MUST_CHECK enum err_code publish_written(const struct publish_place *place, publish_write *write,
                                         void *ctx, struct err *err);

/* publish_model.c: a model that was learned from events; `evaluation` may be NULL. */
MUST_CHECK enum err_code publish(const struct publish_place *place, const struct trained *trained,
                                 const struct interactions *interactions,
                                 const struct dataset *dataset, const struct evaluation *evaluation,
                                 struct err *err);

#endif
