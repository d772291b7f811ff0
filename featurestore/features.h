/* SPDX-License-Identifier: Apache-2.0 */
/* features - the built-in features, which need no definition.
 *
 * Threads: any; of an item or a person inside rcu_read_begin/end.  The table is constant. */
#ifndef FEATURESTORE_FEATURES_H
#define FEATURESTORE_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct history;
struct store;

/* Features of a person or an item by name, for the `features` operation and for models that name
 * them: item.price item.cost item.stock item.margin item.price_min_30d item.price_before_30d
 * item.{views,carts,purchases}_{1h,1d,7d,14d,30d}, user.events user.purchases user.items
 * user.age_last_s.  Money is in minor units, margin is (price - cost) / price, age is counted from
 * the watermark.  A value that is unknown is NaN; the model puts its declared default there.
 * featurestore/feature_reader.h reads these and those that are defined alike. */
enum feature_subject { FEATURE_ITEM, FEATURE_USER, FEATURE_DEFINED };

struct feature {
    const char *name;
    enum feature_subject subject;
    uint32_t id; /* for the readers */
    uint8_t key; /* FEATURE_DEFINED: enum feature_key */
    bool is_ids; /* FEATURE_DEFINED: a list of ids, which has no number */
};

const struct feature *feature_builtin(struct text name);  /* NULL when there is none */
const struct feature *feature_builtin_at(uint32_t index); /* NULL behind the last */
uint32_t feature_builtin_count(void);
double feature_of_item(const struct store *store, uint32_t id, uint32_t item);
double feature_of_user(const struct store *store, uint32_t id, const struct history *history);

#endif
