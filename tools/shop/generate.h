/* SPDX-License-Identifier: Apache-2.0 */
/* generate - makes a shop and writes its files into a directory.  Threads: one. */
#ifndef TOOLS_SHOP_GENERATE_H
#define TOOLS_SHOP_GENERATE_H

#include "tools/cli/progress.h"
#include "tools/shop/shop.h"

struct generated {
    uint64_t events, sessions;
    uint64_t impressions, views, cart_adds, purchases;
    int64_t from_ms, to_ms;
};

/* Creates the directory; files of these names in it are replaced. */
MUST_CHECK enum err_code generate(const struct shop_options *options, const char *dir,
                                  struct progress *progress, struct generated *ret_generated,
                                  struct err *err);

#endif
