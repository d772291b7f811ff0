/* SPDX-License-Identifier: Apache-2.0 */
/* export_out - the file that an export goes to: plain, gzip or Zstandard.
 *
 * The file is whole only after export_out_close returned EXIT_FINE: what is compressed has an end
 * by which a reader knows that nothing was cut off.  Threads: one owner. */
#ifndef TOOLS_CTL_EXPORT_OUT_H
#define TOOLS_CTL_EXPORT_OUT_H

#include <stddef.h>

#include "base/err.h"

enum export_compression { EXPORT_PLAIN, EXPORT_GZIP, EXPORT_ZSTD };

struct export_out;

/* `path` "-": stdout. */
MUST_CHECK enum err_code export_out_open(const char *path, enum export_compression compression,
                                         struct export_out **ret_out, struct err *err);
MUST_CHECK enum err_code export_out_write(struct export_out *out, const char *bytes, size_t len,
                                          struct err *err);
/* Writes what is left and closes; NULL is fine; sets NULL.  After a write that failed it only
 * closes. */
MUST_CHECK enum err_code export_out_close(struct export_out **out, struct err *err);

#endif
