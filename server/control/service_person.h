/* SPDX-License-Identifier: Apache-2.0 */
/* service_person - which records of the logs belong to one person.
 *
 * Those that name the user, and those that name no user but an anonymous id which stands for them:
 * the one that was asked for, and those that links (identify) say are the user.  An anonymous id
 * that more users are linked to is nobody's, so that nobody gets what another person did on a
 * shared device.
 *
 * Threads: one owner.  Limits: as many anonymous ids as a user may have links. */
#ifndef SERVER_CONTROL_SERVICE_PERSON_H
#define SERVER_CONTROL_SERVICE_PERSON_H

#include "featurestore/profile.h"

struct store;

struct person_ids {
    struct text user;       /* borrowed; .ptr NULL: none was given */
    struct text anon_asked; /* likewise */
    uint32_t anon_count;    /* linked ones */
    uint32_t anon_bytes;    /* used of `bytes` */
    struct text anon[PROFILE_ANONS_MAX];
    char bytes[PROFILE_ANONS_MAX * ID_BYTES_MAX];
};

/* As links are now.  `user` or `anon` is given, and outlives *ret_ids. */
void person_ids_find(const struct store *store, struct text user, struct text anon,
                     struct person_ids *ret_ids);

/* "user", "anon" (the one that was asked for) or "link"; NULL: it is somebody else's. */
const char *person_ids_match(const struct person_ids *ids, struct text user, struct text anon);

/* Whom an event of the log names; .ptr NULL for nobody. */
void person_of_event(struct text event, struct text *ret_user, struct text *ret_anon);

#endif
