/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a checkpoint, whose checksums a fuzzer would not get right: the input is rows without
 * them, each kind (u8), number (u8), length (u16), bytes.  Whatever they say, the store takes them
 * in or refuses them, and can be hashed and written again. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "featurestore/store_features.h"
#include "featurestore/store_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct store_limits limits = {.items_max = 64,
                                           .people_max = 64,
                                           .history_items_max = 8,
                                           .queue_events_max = 2000,
                                           .dedup_events_max = 8,
                                           .prices_max = 8,
                                           .feature_rows_max = 64};

/* Their names and state hashes are in the corpus. */
static const char features[] =
    "{\"features\": {"
    "\"user.seen\": {\"kind\": \"last\", \"events\": [\"view\"], \"value\": \"item\", \"n\": 2},"
    "\"user.gap\": {\"kind\": \"interval\", \"events\": [\"view\"]},"
    "\"query_item.people\": {\"kind\": \"distinct\", \"events\": [\"view\"], "
    "\"value\": \"user\", \"precision\": 4}}}";

static void define_features(struct store *store)
{
    struct definitions *definitions = NULL;
    struct err err;
    enum err_code rc =
        definitions_parse("features.json", features, sizeof features - 1, &definitions, &err);
    ASSERT(rc == ERR_OK);
    rc = store_define_features(store, &definitions, &err);
    ASSERT(rc == ERR_OK);
}

static bool next_row(const uint8_t **data, size_t *size, struct checkpoint_row *row)
{
    if (*size < 4)
        return false;
    size_t len = (size_t)((*data)[2] | (*data)[3] << 8);
    if (len > *size - 4)
        return false;
    *row =
        (struct checkpoint_row){(*data)[0], (*data)[1], {(const char *)*data + 4, (uint32_t)len}};
    *data += 4 + len;
    *size -= 4 + len;
    return true;
}

static void write_again(struct store *store)
{
    struct checkpoint_block block = {0};
    for (uint32_t kind = ROW_STATE; kind < ROW_END; kind++)
        for (uint32_t i = 0; i < store_row_count(store, (enum store_row)kind); i++)
            store_row_write(store, (enum store_row)kind, i, &block);
    buffer_deinit(&block.buffer);
    uint64_t sequence;
    (void)store_state_hash(store, &sequence);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store *store = NULL;
    struct store_numbering numbering = {0};
    struct checkpoint_row row;
    struct err err;
    if (store_create(&limits, clock_system(), &store, &err) != ERR_OK)
        return 0;
    define_features(store);
    const uint8_t *at = data;
    size_t left = size;
    bool good = true;
    while (good && next_row(&at, &left, &row))
        good = store_row_read_id(store, &row, &numbering, &err) == ERR_OK;
    at = data;
    left = size;
    while (good && next_row(&at, &left, &row))
        good = store_row_read(store, &row, &numbering, &err) == ERR_OK;
    write_again(store);
    store_numbering_deinit(&numbering);
    store_destroy(&store);
    return 0;
}
