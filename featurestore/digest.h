/* SPDX-License-Identifier: Apache-2.0 */
/* digest - a hash over the fields of one state row, for store_hash.c and store_hash_features.c. The
 * kind of row comes first.  Threads: one owner. */
#ifndef FEATURESTORE_DIGEST_H
#define FEATURESTORE_DIGEST_H

#include "base/hash.h"
#include "featurestore/store_internal.h"

/* Takes in one part after the other. */
struct digest {
    uint64_t hash;
};

static inline void digest_put(struct digest *digest, const void *bytes, size_t len)
{
    digest->hash = hash_bytes(bytes, len, digest->hash);
}

static inline void digest_put_int(struct digest *digest, int64_t value)
{
    digest_put(digest, &value, sizeof value);
}

static inline void digest_put_text(struct digest *digest, struct text text)
{
    digest_put_int(digest, text.ptr == NULL ? -1 : (int64_t)text.len);
    digest_put(digest, text.ptr == NULL ? "" : text.ptr, text.len);
}

static inline void digest_put_name(struct digest *digest, const struct idmap *ids, uint32_t number)
{
    digest_put_text(digest,
                    number == IDMAP_NONE ? (struct text){NULL, 0} : idmap_text(ids, number));
}

/* ---- store_hash_features.c */
uint64_t store_hash_features(const struct store *store);

#endif
