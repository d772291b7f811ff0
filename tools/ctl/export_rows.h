/* SPDX-License-Identifier: Apache-2.0 */
/* export_rows - events of the log as lines of NDJSON or CSV.
 *
 * NDJSON: each event as it came, with the time of its arrival as `ts` where it had none, so that
 * `decidectl import events` reads it again.  CSV: one row for each item of an event, or one without
 * an item.  Threads: one owner. */
#ifndef TOOLS_CTL_EXPORT_ROWS_H
#define TOOLS_CTL_EXPORT_ROWS_H

#include "base/cursor.h"
#include "base/err.h"
#include "tools/ctl/export.h"

#define EXPORT_CSV_HEADER                                                                  \
    "id,type,ts,user,anon,session,decision,item,qty,price,currency,pos,total,order,query," \
    "list\r\n"

struct export_rows;

MUST_CHECK enum err_code export_rows_create(struct export_rows **ret_rows, struct err *err);
void export_rows_destroy(struct export_rows **rows);
/* `event`: checked bytes.  What was made before is replaced. */
MUST_CHECK enum err_code export_rows_make(struct export_rows *rows, enum export_format format,
                                          struct cursor event, int64_t arrival_ms, int64_t skew_ms,
                                          struct err *err);
const char *export_rows_text(const struct export_rows *rows, size_t *ret_len);

#endif
