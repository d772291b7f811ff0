/* SPDX-License-Identifier: Apache-2.0 */
/* upload - files sent piece by piece, a bundle or a release: begin, files, commit.
 *
 * Functions return exit codes; what went wrong is on stderr then.  Threads: one. */
#ifndef TOOLS_CTL_UPLOAD_H
#define TOOLS_CTL_UPLOAD_H

#include "models/bundle.h"
#include "tools/cli/progress.h"
#include "tools/ctl/command.h"

struct upload {
    struct ctl *ctl;
    char id[64];
    uint64_t sent_bytes, all_bytes;
    struct progress progress;
    uint8_t *piece;   /* owned: what was read */
    uint8_t *message; /* owned: what is sent */
};

/* One request, whose reply names the upload.  `all_bytes`: of all files, for the progress. */
int upload_begin(struct upload *upload, struct ctl *ctl, const char *op, const struct pack *body,
                 uint64_t all_bytes);
/* The file dir/name, under the path prefix/name; `prefix` NULL: under its name. */
int upload_file(struct upload *upload, const char *dir, const char *prefix, const char *name);
/* All files of the bundle in `dir`. */
int upload_bundle(struct upload *upload, const char *dir, const char *prefix,
                  const struct bundle *bundle);
/* Asks for the outcome, which may take as long as loading takes: the reply, or a report of why not.
 */
int upload_commit(struct upload *upload, const char *op, struct decide_reply **ret_reply);
/* Quietly: the reason why was told already. */
void upload_give_up(struct upload *upload);
void upload_deinit(struct upload *upload);

#endif
