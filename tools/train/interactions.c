/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/interactions.h"

#include <stdlib.h>

#include "tools/train/event_ids.h"

#define FIRST_CAPACITY 1024

enum err_code interactions_create(struct interactions *ret_interactions, struct err *err)
{
    struct interactions made = {0};
    enum err_code rc = idmap_create(INTERACTIONS_PEOPLE_MAX, &made.users, err);
    if (rc == ERR_OK)
        rc = idmap_create(INTERACTIONS_PEOPLE_MAX, &made.anonymous, err);
    if (rc == ERR_OK)
        rc = idmap_create(INTERACTIONS_ITEMS_MAX, &made.items, err);
    if (rc == ERR_OK)
        rc = event_ids_create(&made.seen, err);
    if (rc == ERR_OK)
        *ret_interactions = made;
    else
        interactions_destroy(&made);
    return rc;
}

void interactions_destroy(struct interactions *interactions)
{
    idmap_destroy(&interactions->users);
    idmap_destroy(&interactions->anonymous);
    idmap_destroy(&interactions->items);
    event_ids_destroy(&interactions->seen);
    free(interactions->list);
    *interactions = (struct interactions){0};
}

static enum err_code make_room(struct interactions *interactions, uint32_t wanted, struct err *err)
{
    uint64_t capacity = interactions->capacity > 0 ? interactions->capacity : FIRST_CAPACITY;
    while (capacity - interactions->count < wanted)
        capacity += capacity / 2;
    if (capacity == interactions->capacity)
        return ERR_OK;
    struct interaction *list = realloc(interactions->list, capacity * sizeof list[0]);
    if (list == NULL)
        return err_set(err, ERR_NOMEM, "%llu interactions: out of memory",
                       (unsigned long long)capacity);
    interactions->list = list;
    interactions->capacity = capacity;
    return ERR_OK;
}

enum err_code interactions_add(struct interactions *interactions, const struct event *event,
                               struct err *err)
{
    const bool anonymous = event->user.ptr == NULL;
    const struct text who = anonymous ? event->anon : event->user;
    const enum event_class event_class = event_type_class(event->type);
    if (event_class == EVENT_CLASS_NONE || who.ptr == NULL || event->item_count == 0) {
        interactions->unused++;
        return ERR_OK;
    }
    bool added = false;
    enum err_code rc = event_ids_add(interactions->seen, event->id, &added, err);
    if (rc != ERR_OK)
        return rc;
    if (!added) {
        interactions->duplicates++;
        return ERR_OK;
    }
    uint32_t person = 0;
    rc = idmap_add(anonymous ? interactions->anonymous : interactions->users, who, &person, NULL,
                   err);
    if (rc == ERR_OK)
        rc = make_room(interactions, event->item_count, err);
    for (uint32_t i = 0; i < event->item_count && rc == ERR_OK; i++) {
        struct interaction *next = &interactions->list[interactions->count];
        uint32_t item = 0;
        rc = idmap_add(interactions->items, event->items[i].id, &item, NULL, err);
        if (rc != ERR_OK)
            break;
        *next = (struct interaction){person, item, (uint32_t)(event->ts_ms / 1000),
                                     (uint8_t)event_class, anonymous};
        interactions->count++;
    }
    interactions->events += rc == ERR_OK;
    return rc;
}

struct text interactions_id(const struct interactions *interactions, uint32_t person,
                            bool *ret_anonymous)
{
    const uint32_t users = idmap_count(interactions->users);
    *ret_anonymous = person >= users;
    return *ret_anonymous ? idmap_text(interactions->anonymous, person - users)
                          : idmap_text(interactions->users, person);
}
