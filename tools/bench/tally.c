/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/tally.h"

#include <stdbool.h>

/* What a level or a code consists of. */
static bool is_plain(struct text name)
{
    if (name.len == 0 || name.len >= TALLY_NAME_BYTES)
        return false;
    for (uint32_t i = 0; i < name.len; i++)
        if ((name.ptr[i] < 'a' || name.ptr[i] > 'z') && name.ptr[i] != '_')
            return false;
    return true;
}

void tally_add(struct tally *tally, struct text name, uint64_t count)
{
    struct text other = TEXT_LITERAL("other");
    if (!is_plain(name))
        name = other;
    for (;;) {
        for (uint32_t i = 0; i < tally->used; i++) {
            if (text_is(name, tally->rows[i].name)) {
                tally->rows[i].count += count;
                return;
            }
        }
        /* The last row is kept for what finds no other. */
        if (tally->used < TALLY_ROWS_MAX - 1 || text_equal(name, other)) {
            text_copy(name, tally->rows[tally->used].name, TALLY_NAME_BYTES);
            tally->rows[tally->used++].count = count;
            return;
        }
        name = other;
    }
}

void tally_merge(struct tally *into, const struct tally *from)
{
    for (uint32_t i = 0; i < from->used; i++)
        tally_add(into, text_of(from->rows[i].name), from->rows[i].count);
}

uint64_t tally_sum(const struct tally *tally)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < tally->used; i++)
        sum += tally->rows[i].count;
    return sum;
}
