/* SPDX-License-Identifier: Apache-2.0 */
/* ids - the external ids of a model's rows: one id per line, UTF-8, LF, in row order.  Duplicates,
 * blank lines and invalid ids are refused with their line number. Threads: built once by the
 * loader, then read by any. */
#ifndef MODELS_IDS_H
#define MODELS_IDS_H

#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

struct ids;

/* Takes over `bytes` on success. `expected_count` UINT64_MAX: any. */
MUST_CHECK enum err_code ids_open(const char *name, uint8_t *bytes, size_t len,
                                  uint64_t expected_count, struct ids **ret_ids, struct err *err);
void ids_close(struct ids **ids);
uint32_t ids_count(const struct ids *ids);
struct text ids_text(const struct ids *ids, uint32_t row);
uint32_t ids_find(const struct ids *ids, struct text id); /* row or UINT32_MAX */
const struct text *ids_all(const struct ids *ids);        /* ids_count() texts, in row order */
uint64_t ids_bytes(const struct ids *ids);

#endif
