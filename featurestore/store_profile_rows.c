/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles in checkpoints. */
#include "featurestore/store_rows.h"

void store_profile_row_write(const struct people *people, enum store_row kind, uint32_t number,
                             struct checkpoint_block *block)
{
    const struct profile *profile = store_profile(people, number);
    if (profile == NULL)
        return;
    size_t mark = checkpoint_row_open(block, (uint8_t)kind, number);
    checkpoint_put_text(block, profile->attributes);
    checkpoint_row_close(block, mark);
}

static bool get_profile(struct checkpoint_fields *fields, struct profile *profile)
{
    if (!checkpoint_get_text(fields, &profile->attributes) || fields->at != fields->end)
        return false;
    /* Readers walk through the attributes without looking for their end. */
    const struct text *raw = &profile->attributes;
    return raw->ptr == NULL ||
           cursor_check((const uint8_t *)raw->ptr, raw->len, CURSOR_VALUES_MAX, NULL) == ERR_OK;
}

enum err_code store_profile_row_read(struct store *store, const struct checkpoint_row *row,
                                     const struct store_numbering *numbering, struct err *err)
{
    struct checkpoint_fields fields = checkpoint_fields_of(row);
    struct profile read = {0};
    uint32_t number = 0;
    if (!store_row_number(numbering, ROW_USER_ID, row->number, &number) ||
        !get_profile(&fields, &read))
        return store_row_corrupt(row, "expected a profile", err);
    _Atomic(const struct profile *) *slot = store_profile_slot_make(store, &store->users, number);
    struct profile *profile = slot == NULL ? NULL : profile_create(&read);
    if (profile == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a profile");
    store_profile_publish(store, slot, profile);
    return ERR_OK;
}
