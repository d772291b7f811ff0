/* SPDX-License-Identifier: Apache-2.0 */
/* csv - fields of CSV (RFC 4180), quoted where they must be.  Threads: no state. */
#ifndef TOOLS_CTL_CSV_H
#define TOOLS_CTL_CSV_H

#include "base/buffer.h"
#include "base/text.h"

void csv_first(struct buffer *buffer, struct text text); /* of a row; .ptr NULL: empty */
void csv_text(struct buffer *buffer, struct text text);
void csv_int(struct buffer *buffer, int64_t value);
void csv_real(struct buffer *buffer, double value); /* empty when it is NaN */
void csv_empty(struct buffer *buffer);
void csv_end(struct buffer *buffer);

#endif
