/* SPDX-License-Identifier: Apache-2.0 */
/* model_source - the DIR or FILE of `model push` and `model verify`, and the options of a bare
 * file, which becomes a bundle in a folder of its own that is gone afterwards.
 *
 * Threads: one. */
#ifndef TOOLS_CTL_MODEL_SOURCE_H
#define TOOLS_CTL_MODEL_SOURCE_H

#include "base/file.h"
#include "tools/ctl/args.h"
#include "tools/ctl/model_file.h"

#define MODEL_SOURCE_ARGS 7

struct model_source {
    struct model_file_options options;
    char dir[FILE_PATH_BYTES]; /* of the bundle */
    bool is_temporary;
};

/* The options of a bare file. */
void model_source_args(struct model_source *source, struct arg ret_args[MODEL_SOURCE_ARGS]);
/* After the options were read; `what` is the command's second word, for messages.  EXIT_FINE, or
 * the exit code after a message; close it in either case. */
int model_source_open(const struct ctl *ctl, const char *what, const char *path,
                      struct model_source *source);
/* `code`, or EXIT_FAILED when the folder cannot be removed. */
int model_source_close(struct model_source *source, int code);

#endif
