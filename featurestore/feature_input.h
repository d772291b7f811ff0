/* SPDX-License-Identifier: Apache-2.0 */
/* feature_input - extracts from one event the input of one feature.  Threads: no state. */
#ifndef FEATURESTORE_FEATURE_INPUT_H
#define FEATURESTORE_FEATURE_INPUT_H

#include "featurestore/aggregate.h"
#include "featurestore/event.h"

/* An item of the event, by number; IDMAP_NONE for what is not known. */
struct feature_item {
    uint32_t item, category, brand;
};

/* The event is of the feature's types and meets its conditions; for an attribute: it may say what
 * that is. */
bool feature_wants(const struct definition *definition, const struct event *event);

/* The value comes from an item of the event, not from the event as a whole. */
bool feature_is_of_items(const struct definition *definition);

/* `at` is an item of the event, with its numbers in `item`; IDMAP_NONE and NULL for the event as a
 * whole.  `names` are texts of the numbers.  False when the event does not say it. */
struct feature_names {
    const struct idmap *items, *categories, *brands;
};
bool feature_reading(const struct definition *definition, const struct event *event, uint32_t at,
                     const struct feature_item *item, const struct feature_names *names,
                     struct reading *ret_reading);

/* False when the event leaves the attribute as it is; NaN when it takes it away or says something
 * that is no number. */
bool feature_attribute(const struct definition *definition, const struct event *event, uint32_t at,
                       double *ret_value);

/* The query as features know it: ASCII letters small, no spaces at the ends and one in between;
 * empty when it is none or longer than an id.  `buf` has ID_BYTES_MAX bytes. */
struct text feature_query(struct text query, char buf[ID_BYTES_MAX]);

/* What stands for a query in keys of features, and in the records of people who were erased, so
 * that neither holds what somebody typed: 'Q' and the first 128 bits of the SHA-256 of
 * feature_query, in hexadecimal.  Empty when that is.  A key is its own key; no other query is like
 * one, since feature_query has no capitals.  Whoever guesses a query can see whether it is there.
 */
#define FEATURE_QUERY_KEY_BYTES 33
struct text feature_query_key(struct text query, char buf[FEATURE_QUERY_KEY_BYTES]);

#endif
