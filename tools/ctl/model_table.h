/* SPDX-License-Identifier: Apache-2.0 */
/* model_table - the models of `model_list` and of `status` as a table.  Threads: one. */
#ifndef TOOLS_CTL_MODEL_TABLE_H
#define TOOLS_CTL_MODEL_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"

/* `map`: a reply with "models".  `loaded`: it tells state and time of loading, otherwise the
 * breaker. */
void model_table_print(struct cursor map, bool loaded);
/* How many versions stay loaded for a rollback and within which budget; `key` of `map` says it. */
void model_previous_print(struct cursor map, const char *key);
/* How many versions wait and are not in the list, if any. */
void model_waiting_print(struct cursor map);
/* What was seen of a shadow; `model` is the one that has the label. */
void model_shadow_print(struct cursor model);
/* What was counted of each canary and its stable version, or nothing. */
void model_canaries_print(struct cursor map);
/* The "loads" that were refused and the canaries that were rolled back, newest first, or nothing.
 */
void model_refusals_print(struct cursor map);

/* "2026-11-24 08:30:00" (UTC); "-" for nothing. */
#define MODEL_TIME_BYTES 40
char *model_time(int64_t ms, char buf[MODEL_TIME_BYTES]);

#endif
