/* SPDX-License-Identifier: Apache-2.0 */
/* store_features - the defined features (featurestore/definitions.h), and changing them while the
 * store serves.
 *
 * Threads: one control thread, the loader's, except store_features_sha256.
 * Ownership: definitions passed by pointer to pointer become the store's, which leaves NULL there.
 */
#ifndef FEATURESTORE_STORE_FEATURES_H
#define FEATURESTORE_STORE_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"

struct definitions;
struct feature_set;
struct store;

/* Before store_start: what is applied from then on is computed by these, which are taken over.
 * ERR_NOMEM; ERR_LIMIT. */
MUST_CHECK enum err_code store_define_features(struct store *store,
                                               struct definitions **definitions, struct err *err);
/* Others come into force in steps, so that they can do so together with what is bound to them: by
 * one thread, which waits in each step for the store thread.
 *
 *   store_declare_features   the names are those that models and policies are bound to from now on
 *                            (feature_bind), in the place of those in force
 *   store_stage_features     what they compute stands beside what is in force; what did not change
 *                            keeps its state
 *   store_fill_features      until it is done: what is new gets its state from the log, a piece at
 *                            a time between batches
 *   store_adopt_features     they are in force; what was is freed when nobody reads it any more
 *
 * From the end of filling on, what is staged learns as what is in force does: it may be read (the
 * set that staging returned) by whoever goes before adopting.  store_cancel_features ends it before
 * that; nothing has changed then. */

/* Borrowed until they are staged or cancelled.  ERR_LIMIT, ERR_NOMEM; cancel then. */
MUST_CHECK enum err_code
store_declare_features(struct store *store, const struct definitions *definitions, struct err *err);
/* Those that were declared; takes them over on success.  *ret_new_count: how many begin anew.
 * ERR_BUSY: the store is being recovered; ERR_NOMEM, ERR_LIMIT. */
MUST_CHECK enum err_code store_stage_features(struct store *store, struct definitions **definitions,
                                              const struct feature_set **ret_set,
                                              uint32_t *ret_new_count, struct err *err);
/* ERR_CORRUPT, ERR_IO: the log cannot be read; cancel then. */
MUST_CHECK enum err_code store_fill_features(struct store *store, bool *ret_is_done,
                                             struct err *err);
void store_adopt_features(struct store *store);
void store_cancel_features(struct store *store);
/* SHA-256 of the file of those in force, "none" without one.  Any thread. */
char *store_features_sha256(const struct store *store, char ret_hex[SHA256_HEX_BYTES]);

#endif
