/* SPDX-License-Identifier: Apache-2.0 */
/* uploads - bundles and releases that arrive in chunks, each in its own folder:
 * models_dir/.incoming/ULID/.
 *
 * Accepts only plain names, consecutive chunks, and bounded sizes; the last chunk may be repeated.
 * A chunk that cannot be written ends its upload.
 *
 * Threads: any; one chunk of an upload at a time (ERR_BUSY otherwise).  Limits: MODEL_UPLOADS_MAX
 * and others in server/control/model_ops.h. */
#ifndef SERVER_CONTROL_UPLOADS_H
#define SERVER_CONTROL_UPLOADS_H

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/rand.h"
#include "base/text.h"
#include "models/bundle.h"

#define UPLOADS_RETRY_MS_MAX 60000

struct uploads;

struct upload_info {
    char dir[FILE_PATH_BYTES];
    char name[MODEL_NAME_BYTES], version[MODEL_NAME_BYTES]; /* "", of a release */
    char release[MODEL_NAME_BYTES];                         /* its id; "", of a bundle */
};

/* Removes what an earlier daemon left in .incoming. */
MUST_CHECK enum err_code uploads_create(const char *models_dir, const struct clock *clock,
                                        struct uploads **ret_uploads, struct err *err);
void uploads_destroy(struct uploads **uploads); /* with all that is unfinished */
void uploads_expire(struct uploads *uploads);

/* `what`: name and version of a bundle, or the id of a release; its folder is set here.  ERR_BUSY
 * when MODEL_UPLOADS_MAX are open. */
MUST_CHECK enum err_code uploads_begin(struct uploads *uploads, const struct upload_info *what,
                                       char ret_id[ULID_BYTES], struct err *err);
/* For who was told ERR_BUSY by it: when one that is silent will be given up, at the earliest,
 * within UPLOADS_RETRY_MS_MAX, since others may be finished before. */
uint32_t uploads_retry_ms(struct uploads *uploads);
/* `path`: a plain name; of a release also NAME/VERSION/FILE.  *ret_bytes: the length of the file
 * now, which is the next offset. */
MUST_CHECK enum err_code uploads_write(struct uploads *uploads, struct text id, struct text path,
                                       int64_t offset, struct text data, int64_t *ret_bytes,
                                       struct err *err);
/* Takes the upload out of other callers' hands; end it with uploads_remove. */
MUST_CHECK enum err_code uploads_take(struct uploads *uploads, struct text id,
                                      struct upload_info *ret_info, struct err *err);
/* Of an upload that was taken: removes its folder, if it is still there, and forgets it. */
void uploads_remove(struct uploads *uploads, struct text id);

#endif
