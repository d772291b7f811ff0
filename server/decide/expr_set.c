/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/hash.h"
#include "server/decide/expr_internal.h"
#include "server/decide/expr_set.h"

static int by_integer(const void *left, const void *right)
{
    const union expr_value *a = left, *b = right;
    return (a->integer > b->integer) - (a->integer < b->integer);
}

static int by_real(const void *left, const void *right)
{
    const union expr_value *a = left, *b = right;
    return (a->real > b->real) - (a->real < b->real);
}

static enum err_code make_slots(struct expr_set *set, struct err *err)
{
    uint32_t slots = 16;
    while (slots < 2 * set->count)
        slots *= 2;
    set->slot = calloc(slots, sizeof *set->slot);
    if (set->slot == NULL)
        return err_set(err, ERR_NOMEM, "no memory for a list of %u", set->count);
    set->mask = slots - 1;
    for (uint32_t i = 0; i < set->count; i++) {
        uint32_t at = (uint32_t)hash_text(set->value[i].text, 0) & set->mask;
        while (set->slot[at] != 0)
            at = (at + 1) & set->mask;
        set->slot[at] = i + 1;
    }
    return ERR_OK;
}

enum err_code expr_set_make(struct expr_set *set, struct err *err)
{
    if (set->type == EXPR_STRING)
        return set->count > EXPR_SET_SCAN_MAX ? make_slots(set, err) : ERR_OK;
    if (set->count > 1)
        qsort(set->value, set->count, sizeof *set->value,
              set->type == EXPR_INT ? by_integer : by_real);
    return ERR_OK;
}

void expr_set_free(struct expr_set *set)
{
    free(set->value);
    free(set->slot);
}
