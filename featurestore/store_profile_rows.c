/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles in checkpoints. */
#include <string.h>

#include "featurestore/store_apply.h"
#include "featurestore/store_rows.h"

void store_profile_row_write(const struct people *people, enum store_row kind, uint32_t number,
                             struct checkpoint_block *block)
{
    if (store_profile_block(people, number) == NULL)
        return;
    const struct profile kept = store_profile(people, number), *profile = &kept;
    size_t mark = checkpoint_row_open(block, (uint8_t)kind, number);
    checkpoint_put_u32(block, profile->allowed);
    checkpoint_put_u32(block, profile->denied);
    for (uint32_t i = 0; i < CONSENT_COUNT; i++)
        checkpoint_put_u64(block, (uint64_t)profile->consent_at_ms[i]);
    checkpoint_put_text(block, profile->attributes);
    checkpoint_put_u32(block, profile->was_shared);
    checkpoint_put_u32(block, profile->link_count);
    for (uint32_t i = 0; i < profile->link_count; i++) {
        const struct profile_link *link = &profile->links[i];
        checkpoint_put_u32(block, link->user);
        checkpoint_put_u64(block, (uint64_t)link->at_ms);
        checkpoint_put_text(block, (struct text){link->event, link->event_bytes});
    }
    checkpoint_put_u32(block, profile->anon_count);
    for (uint32_t i = 0; i < profile->anon_count; i++)
        checkpoint_put_u32(block, profile->anons[i]);
    checkpoint_row_close(block, mark);
}

/* What a profile is read into. */
struct profile_reading {
    struct profile profile;
    struct profile_link links[PROFILE_LINKS_MAX];
    uint32_t anons[PROFILE_ANONS_MAX];
};

static bool get_consent(struct checkpoint_fields *fields, struct profile *profile)
{
    uint32_t allowed = 0, denied = 0;
    if (!checkpoint_get_u32(fields, &allowed) || !checkpoint_get_u32(fields, &denied) ||
        (allowed | denied) > CONSENT_ALL || (allowed & denied) != 0)
        return false;
    profile->allowed = (uint8_t)allowed;
    profile->denied = (uint8_t)denied;
    for (uint32_t i = 0; i < CONSENT_COUNT; i++) {
        uint64_t at_ms = 0;
        if (!checkpoint_get_u64(fields, &at_ms))
            return false;
        profile->consent_at_ms[i] = (int64_t)at_ms;
    }
    return true;
}

static bool get_attributes(struct checkpoint_fields *fields, struct text *attributes)
{
    /* Readers walk through them without looking for their end. */
    return checkpoint_get_text(fields, attributes) && attributes->len <= EVENT_BYTES_MAX &&
           (attributes->ptr == NULL ||
            cursor_check((const uint8_t *)attributes->ptr, attributes->len, CURSOR_VALUES_MAX,
                         NULL) == ERR_OK);
}

static bool get_links(struct checkpoint_fields *fields, const struct store_numbering *numbering,
                      struct profile_reading *reading)
{
    struct profile *profile = &reading->profile;
    uint32_t was_shared = 0;
    if (!checkpoint_get_u32(fields, &was_shared) || was_shared > 1 ||
        !checkpoint_get_u32(fields, &profile->link_count) ||
        profile->link_count > PROFILE_LINKS_MAX)
        return false;
    profile->was_shared = was_shared == 1;
    profile->links = reading->links;
    uint32_t count = profile->link_count;
    profile->link_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct profile_link *link = &reading->links[profile->link_count];
        uint32_t user = 0;
        uint64_t at_ms = 0;
        struct text event;
        if (!checkpoint_get_u32(fields, &user) || !checkpoint_get_u64(fields, &at_ms) ||
            !checkpoint_get_text(fields, &event) || event.ptr == NULL ||
            event.len > EVENT_ID_BYTES_MAX ||
            !store_row_number(numbering, ROW_USER_ID, user, &link->user))
            return false;
        link->at_ms = (int64_t)at_ms;
        link->event_bytes = (uint8_t)event.len;
        memcpy(link->event, event.ptr, event.len);
        profile->link_count += link->user != IDMAP_NONE;
    }
    return true;
}

static bool get_anons(struct checkpoint_fields *fields, const struct store_numbering *numbering,
                      struct profile_reading *reading)
{
    struct profile *profile = &reading->profile;
    if (!checkpoint_get_u32(fields, &profile->anon_count) ||
        profile->anon_count > PROFILE_ANONS_MAX)
        return false;
    profile->anons = reading->anons;
    uint32_t count = profile->anon_count;
    profile->anon_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t anon = 0, *number = &reading->anons[profile->anon_count];
        if (!checkpoint_get_u32(fields, &anon) ||
            !store_row_number(numbering, ROW_ANON_ID, anon, number))
            return false;
        profile->anon_count += *number != IDMAP_NONE;
    }
    return true;
}

enum err_code store_profile_row_read(struct store *store, const struct checkpoint_row *row,
                                     const struct store_numbering *numbering, struct err *err)
{
    bool of_user = row->kind == ROW_USER_PROFILE;
    struct people *people = of_user ? &store->users : &store->anons;
    struct checkpoint_fields fields = checkpoint_fields_of(row);
    struct profile_reading reading = {0};
    uint32_t number = 0;
    if (!store_row_number(numbering, of_user ? ROW_USER_ID : ROW_ANON_ID, row->number, &number) ||
        !get_consent(&fields, &reading.profile) ||
        !get_attributes(&fields, &reading.profile.attributes) ||
        !get_links(&fields, numbering, &reading) || !get_anons(&fields, numbering, &reading) ||
        fields.at != fields.end)
        return store_row_corrupt(row, "expected a profile", err);
    if (number == IDMAP_NONE)
        return ERR_OK;
    _Atomic(const struct profile_block *) *slot = store_profile_slot_make(store, people, number);
    struct profile_block *profile =
        slot == NULL ? NULL : profile_create(&reading.profile, store->slabs);
    if (profile == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a profile");
    store_counter_add(store, COUNTER_LINKS, profile->link_count);
    store_profile_publish(store, slot, profile);
    return ERR_OK;
}
