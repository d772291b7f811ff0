/* SPDX-License-Identifier: Apache-2.0 */
/* What the store thread does for others who wait: numbers for ids, a checkpoint, the hash. */
#include <inttypes.h>

#include "featurestore/store_checkpoint.h"

struct bind {
    const struct text *ids;
    uint32_t count;
    uint32_t *ret_numbers;
    struct err *err;
    enum err_code rc;
};

static enum err_code bind_now(struct store *store, const struct bind *bind)
{
    uint64_t new_count = 0;
    for (uint32_t i = 0; i < bind->count; i++) {
        if (!text_is_id(bind->ids[i]))
            return err_set(bind->err, ERR_BAD_INPUT, "item %u of %u: not an id", i, bind->count);
        new_count += idmap_find(store->item_ids, bind->ids[i]) == IDMAP_NONE;
    }
    uint32_t known = idmap_count(store->item_ids);
    if (new_count > store->limits.items_max - known)
        return err_set(bind->err, ERR_LIMIT,
                       "%u items are known, %" PRIu64 " new ones do not fit into items_max = %u",
                       known, new_count, store->limits.items_max);
    for (uint32_t i = 0; i < bind->count; i++) {
        enum err_code rc =
            idmap_add(store->item_ids, bind->ids[i], &bind->ret_numbers[i], NULL, bind->err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static void run_bind(struct store *store, void *ctx)
{
    struct bind *bind = ctx;
    bind->rc = bind_now(store, bind);
}

struct hash {
    uint64_t hash, sequence;
};

static void run_hash(struct store *store, void *ctx)
{
    struct hash *hash = ctx;
    hash->hash = store_hash_now(store);
    hash->sequence = store->log == NULL ? 0 : event_log_next(store->log) - 1;
}

struct checkpoint_wish {
    enum err_code rc;
    struct err *err;
};

static void run_checkpoint(struct store *store, void *ctx)
{
    struct checkpoint_wish *wish = ctx;
    if (store_has_uncommitted(store))
        store_commit(store);
    wish->rc = store_checkpoint_begin(store, wish->err);
}

enum err_code store_bind_items(struct store *store, const struct text *ids, uint32_t count,
                               uint32_t *ret_numbers, struct err *err)
{
    struct bind bind = {.ids = ids, .count = count, .ret_numbers = ret_numbers, .err = err};
    store_ask(store, run_bind, &bind);
    return bind.rc;
}

enum err_code store_checkpoint(struct store *store, struct err *err)
{
    struct checkpoint_wish wish = {.err = err};
    store_ask(store, run_checkpoint, &wish);
    return wish.rc;
}

uint64_t store_state_hash(struct store *store, uint64_t *ret_sequence)
{
    struct hash hash = {0};
    store_ask(store, run_hash, &hash);
    *ret_sequence = hash.sequence;
    return hash.hash;
}
