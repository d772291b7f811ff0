/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/event_ids.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/hash.h"

#define FIRST_PLACES 1024

struct event_ids {
    uint64_t *place; /* owned; 0 is free */
    uint64_t mask;
    uint64_t count;
};

enum err_code event_ids_create(struct event_ids **ret_ids, struct err *err)
{
    struct event_ids *ids = calloc(1, sizeof *ids);
    if (ids != NULL) {
        ids->place = calloc(FIRST_PLACES, sizeof ids->place[0]);
        ids->mask = FIRST_PLACES - 1;
    }
    if (ids == NULL || ids->place == NULL) {
        free(ids);
        return err_set(err, ERR_NOMEM, "event ids: out of memory");
    }
    *ret_ids = ids;
    return ERR_OK;
}

void event_ids_destroy(struct event_ids **ids)
{
    if (*ids != NULL)
        free((*ids)->place);
    free(*ids);
    *ids = NULL;
}

/* True when it was not there. */
static bool put(uint64_t *place, uint64_t mask, uint64_t hash)
{
    uint64_t at = hash & mask;
    while (place[at] != 0) {
        if (place[at] == hash)
            return false;
        at = (at + 1) & mask;
    }
    place[at] = hash;
    return true;
}

static enum err_code grow(struct event_ids *ids, struct err *err)
{
    uint64_t mask = 2 * ids->mask + 1;
    uint64_t *place = calloc(mask + 1, sizeof place[0]);
    if (place == NULL)
        return err_set(err, ERR_NOMEM, "the ids of %llu events: out of memory",
                       (unsigned long long)ids->count);
    for (uint64_t i = 0; i <= ids->mask; i++) {
        if (ids->place[i] != 0)
            put(place, mask, ids->place[i]);
    }
    free(ids->place);
    ids->place = place;
    ids->mask = mask;
    return ERR_OK;
}

enum err_code event_ids_add(struct event_ids *ids, struct text id, bool *ret_added, struct err *err)
{
    uint64_t hash = hash_text(id, 0);
    if (4 * (ids->count + 1) > 3 * (ids->mask + 1)) {
        enum err_code rc = grow(ids, err);
        if (rc != ERR_OK)
            return rc;
    }
    *ret_added = put(ids->place, ids->mask, hash == 0 ? 1 : hash);
    ids->count += *ret_added;
    return ERR_OK;
}
