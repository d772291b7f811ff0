/* SPDX-License-Identifier: Apache-2.0 */
/* shop_files - a made-up shop as files: items.ndjson, events.ndjson and truth.json.
 *
 * The first two are what `decidectl import` and `decide-train` read.  Ids: users u1.., items i1..,
 * events eSEED-1.. in the order of time, so that two shops of different seeds do not collide.  What
 * a write fails with is kept in the stream; shop_file_close reports it.  Threads: one owner. */
#ifndef TOOLS_SHOP_SHOP_FILES_H
#define TOOLS_SHOP_SHOP_FILES_H

#include <stdio.h>

#include "tools/shop/simulate.h"

MUST_CHECK enum err_code shop_file_open(const char *dir, const char *name, FILE **ret_file,
                                        struct err *err);
/* Closes and sets NULL; ERR_IO when anything that was written to it did not arrive. */
MUST_CHECK enum err_code shop_file_close(const char *name, FILE **file, struct err *err);

void shop_write_items(const struct shop *shop, FILE *to);
void shop_write_truth(const struct shop *shop, FILE *to);

/* The simulation's day; `number` counts events over the days. */
void shop_write_events(const struct simulation *sim, uint64_t *number, FILE *to);

/* The first millisecond of the shop's time, and the first behind it. */
int64_t shop_from_ms(const struct shop *shop);
int64_t shop_to_ms(const struct shop *shop);

#endif
