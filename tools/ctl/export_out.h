/* SPDX-License-Identifier: Apache-2.0 */
/* export_out - the file that an export goes to: plain, gzip or Zstandard.
 *
 * It is written beside its place, as PATH.part, and takes it when it is whole: a run that fails
 * leaves what was there before.  Devices, pipes and stdout are written as they come; there
 * Zstandard has an end by which a reader knows that nothing was cut off.  Threads: one owner. */
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
/* All was written: what is left is, and the file takes its place.  NULL is fine; sets NULL.  After
 * a write that failed it does what export_out_drop does. */
MUST_CHECK enum err_code export_out_close(struct export_out **out, struct err *err);
/* Not all was written: the part is removed, and Zstandard on a device or a pipe has no end.  NULL
 * is fine; sets NULL. */
void export_out_drop(struct export_out **out);

#endif
