/* SPDX-License-Identifier: Apache-2.0 */
/* ranker_read - a file of training rows (`decidectl export training`), NDJSON or CSV, plain,
 * gzipped or packed by Zstandard, into struct ranker_rows.  The first bad line is an error: such a
 * file is written by a program, and one that is damaged is not learned from.  Threads: one owner.
 */
#ifndef TOOLS_TRAIN_RANKER_READ_H
#define TOOLS_TRAIN_RANKER_READ_H

#include "featurestore/reader.h"
#include "tools/cli/progress.h"
#include "tools/train/ranker_rows.h"

struct ranker_read_options {
    const char *path;
    enum reader_format format;
    bool impressed_only;
    const char *slot;          /* NULL: all */
    struct progress *progress; /* started by the caller; NULL: none */
};

/* ERR_BAD_INPUT "'rows.csv': line 17, field item.price: expected a number, got 'x'"; ERR_NOT_FOUND,
 * ERR_IO, ERR_LIMIT, ERR_NOMEM.  *ret_lines: how many rows were read. */
MUST_CHECK enum err_code ranker_read(const struct ranker_read_options *options,
                                     struct ranker_rows *rows, uint64_t *ret_lines,
                                     struct err *err);

#endif
