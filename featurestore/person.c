/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/person.h"

#include <stdlib.h>
#include <string.h>

enum { DAY_S = 86400, GAP_SHIFT = 4, GAP_MAX = 15, DAYS_MAX = 255 };

_Static_assert(1u << EVENT_CLASS_NONE <= 1u << GAP_SHIFT, "the classes fit into the lower half");

enum err_code person_edit_init(struct person_edit *edit, uint32_t items_max, struct err *err)
{
    *edit = (struct person_edit){.items_max = items_max};
    edit->item = calloc(items_max, sizeof *edit->item);
    edit->last_s = calloc(items_max, sizeof *edit->last_s);
    edit->classes = calloc(items_max, sizeof *edit->classes);
    edit->days = calloc(items_max, sizeof *edit->days);
    if (edit->item == NULL || edit->last_s == NULL || edit->classes == NULL || edit->days == NULL) {
        person_edit_deinit(edit);
        return err_set(err, ERR_NOMEM, "out of memory for a history of %u items", items_max);
    }
    return ERR_OK;
}

void person_edit_deinit(struct person_edit *edit)
{
    free(edit->item);
    free(edit->last_s);
    free(edit->classes);
    free(edit->days);
    *edit = (struct person_edit){0};
}

static uint32_t count_up(uint32_t value)
{
    return value == UINT32_MAX ? value : value + 1;
}

void person_edit_begin(struct person_edit *edit, const struct person *person)
{
    struct history history = person_history(person);
    edit->count = history.count;
    edit->events = history.events;
    edit->purchases = history.purchases;
    if (history.count == 0)
        return;
    memcpy(edit->item, history.item, history.count * sizeof *edit->item);
    memcpy(edit->last_s, history.last_s, history.count * sizeof *edit->last_s);
    memcpy(edit->classes, history.classes, history.count);
    memcpy(edit->days, history.days, history.count);
}

void person_edit_event(struct person_edit *edit, enum event_class event_class)
{
    edit->events = count_up(edit->events);
    if (event_class == EVENT_CLASS_PURCHASE)
        edit->purchases = count_up(edit->purchases);
}

/* ---- what stays ------------------------------------------------------------------------------ */

bool person_is_purchase(uint8_t classes, uint32_t items_max)
{
    return items_max > 1 && (classes & 1u << EVENT_CLASS_PURCHASE) != 0;
}

static uint32_t less(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

struct person_share person_share(const uint8_t *classes, uint32_t count, uint32_t items_max)
{
    uint32_t purchases = 0;
    for (uint32_t i = 0; i < count; i++)
        purchases += person_is_purchase(classes[i], items_max);
    uint32_t others = less(count - purchases, PERSON_OTHERS_MIN(items_max));
    uint32_t kept = less(purchases, items_max - others);
    return (struct person_share){kept, less(count - purchases, items_max - kept)};
}

/* Which kind of entries of a full history, and of one more that comes, has one too many. */
static bool purchases_must_yield(const struct person_edit *edit, bool comes_a_purchase)
{
    uint32_t others = comes_a_purchase ? 0 : 1;
    uint32_t others_min = PERSON_OTHERS_MIN(edit->items_max);
    for (uint32_t i = 0; i < edit->count && others <= others_min; i++)
        others += !person_is_purchase(edit->classes[i], edit->items_max);
    return others <= others_min;
}

static void take_out(struct person_edit *edit, uint32_t at)
{
    uint32_t count = --edit->count - at;
    memmove(edit->item + at, edit->item + at + 1, count * sizeof *edit->item);
    memmove(edit->last_s + at, edit->last_s + at + 1, count * sizeof *edit->last_s);
    memmove(edit->classes + at, edit->classes + at + 1, count);
    memmove(edit->days + at, edit->days + at + 1, count);
}

/* Takes an entry out of a full history for one of `classes` that is to stand at *to.  False: that
 * one is the oldest of those that have to make room. */
static bool make_room(struct person_edit *edit, uint8_t classes, uint32_t *to)
{
    bool comes_a_purchase = person_is_purchase(classes, edit->items_max);
    bool purchase_goes = purchases_must_yield(edit, comes_a_purchase);
    uint32_t end = edit->count;
    while (person_is_purchase(edit->classes[end - 1], edit->items_max) != purchase_goes) {
        ASSERT(end > 1); /* there are at least two of the kind, with the one that comes */
        end--;
    }
    if (comes_a_purchase == purchase_goes && *to >= end)
        return false;
    take_out(edit, end - 1);
    if (*to >= end)
        --*to;
    return true;
}

/* ---- editing --------------------------------------------------------------------------------- */

/* Opens a place at `to` by moving the entries from there up to `from`, whose own is lost. */
static void move_down(struct person_edit *edit, uint32_t to, uint32_t from)
{
    uint32_t count = from - to;
    memmove(edit->item + to + 1, edit->item + to, count * sizeof *edit->item);
    memmove(edit->last_s + to + 1, edit->last_s + to, count * sizeof *edit->last_s);
    memmove(edit->classes + to + 1, edit->classes + to, count);
    memmove(edit->days + to + 1, edit->days + to, count);
}

/* What is known about one item, with the day of its newest purchase. */
struct entry {
    uint32_t last_s;
    uint8_t classes; /* lower half only */
    uint8_t days;
    uint32_t purchase_gap; /* days from the newest purchase to last_s, at most GAP_MAX */
};

static void count_purchase(struct entry *entry, uint32_t last_s, uint32_t time_s)
{
    uint32_t last_day = last_s / DAY_S;
    uint32_t day = time_s / DAY_S;
    uint32_t purchase_day = last_day - entry->purchase_gap; /* or before, at GAP_MAX */
    bool known = entry->purchase_gap < GAP_MAX;
    bool bought_before = (entry->classes & 1u << EVENT_CLASS_PURCHASE) != 0;
    if (!bought_before) {
        entry->days = 1;
        purchase_day = day;
    } else if (!known || day != purchase_day) {
        entry->days = entry->days == DAYS_MAX ? DAYS_MAX : entry->days + 1;
        if (day > purchase_day)
            purchase_day = day;
    }
    uint32_t gap = entry->last_s / DAY_S - purchase_day;
    entry->purchase_gap = gap > GAP_MAX ? GAP_MAX : gap;
}

static struct entry entry_after(struct entry entry, enum event_class event_class, uint32_t time_s)
{
    uint32_t last_s = entry.last_s;
    if (time_s > last_s) {
        uint32_t gap = entry.purchase_gap + (time_s / DAY_S - last_s / DAY_S);
        entry.last_s = time_s;
        if (event_class != EVENT_CLASS_PURCHASE)
            entry.purchase_gap = gap > GAP_MAX ? GAP_MAX : gap;
    }
    if (event_class == EVENT_CLASS_PURCHASE)
        count_purchase(&entry, last_s, time_s);
    entry.classes |= (uint8_t)(1u << event_class);
    return entry;
}

static void put(struct person_edit *edit, uint32_t at, uint32_t item, struct entry entry)
{
    edit->item[at] = item;
    edit->last_s[at] = entry.last_s;
    edit->classes[at] = (uint8_t)(entry.classes | entry.purchase_gap << GAP_SHIFT);
    edit->days[at] = entry.days;
}

void person_edit_item(struct person_edit *edit, uint32_t item, enum event_class event_class,
                      uint32_t time_s)
{
    struct entry entry = {.last_s = time_s};
    uint32_t from = 0;
    while (from < edit->count && edit->item[from] != item)
        from++;
    uint32_t to = 0;
    while (to < edit->count && edit->last_s[to] > time_s)
        to++;
    if (from < edit->count) {
        entry.last_s = edit->last_s[from];
        entry.classes = edit->classes[from] & ((1u << GAP_SHIFT) - 1);
        entry.purchase_gap = edit->classes[from] >> GAP_SHIFT;
        entry.days = edit->days[from];
        if (to > from)
            to = from; /* a late event leaves the entry where it is */
    } else {
        if (edit->count == edit->items_max && !make_room(edit, (uint8_t)(1u << event_class), &to))
            return;
        from = edit->count++;
    }
    move_down(edit, to, from);
    put(edit, to, item, entry_after(entry, event_class, time_s));
}

static uint32_t add_up(uint32_t a, uint32_t b, uint32_t most)
{
    return a > most - b ? most : a + b;
}

static void merge_entry(struct person_edit *edit, uint32_t item, struct entry entry)
{
    uint32_t from = 0;
    while (from < edit->count && edit->item[from] != item)
        from++;
    if (from < edit->count) {
        uint32_t last_s = edit->last_s[from];
        entry.last_s = entry.last_s > last_s ? entry.last_s : last_s;
        entry.classes |= edit->classes[from] & ((1u << GAP_SHIFT) - 1);
        entry.days = (uint8_t)add_up(entry.days, edit->days[from], DAYS_MAX);
    }
    uint32_t to = 0;
    while (to < from && edit->last_s[to] >= entry.last_s)
        to++;
    if (from == edit->count) {
        if (edit->count == edit->items_max && !make_room(edit, entry.classes, &to))
            return;
        from = edit->count++;
    }
    move_down(edit, to, from);
    put(edit, to, item, entry);
}

void person_edit_merge(struct person_edit *edit, const struct history *other)
{
    edit->events = add_up(edit->events, other->events, UINT32_MAX);
    edit->purchases = add_up(edit->purchases, other->purchases, UINT32_MAX);
    for (uint32_t i = 0; i < other->count; i++) {
        struct entry entry = {.last_s = other->last_s[i],
                              .classes = other->classes[i] & ((1u << GAP_SHIFT) - 1),
                              .days = other->days[i]};
        merge_entry(edit, other->item[i], entry);
    }
}

/* ---- in place -------------------------------------------------------------------------------- */

bool person_has_room(const struct person *person, uint32_t more, uint32_t items_max)
{
    return person != NULL &&
           (person->capacity == items_max || person->count + more <= person->capacity);
}

struct person_edit person_edit_open(struct person *person, uint32_t items_max)
{
    uint32_t capacity = person->capacity;
    uint8_t *classes = (uint8_t *)(person->entry + 2 * capacity);
    return (struct person_edit){.items_max = items_max,
                                .count = person->count,
                                .events = person->events,
                                .purchases = person->purchases,
                                .item = person->entry,
                                .last_s = person->entry + capacity,
                                .classes = classes,
                                .days = classes + capacity};
}

void person_edit_close(const struct person_edit *edit, struct person *person)
{
    ASSERT(edit->item == person->entry && edit->count <= person->capacity);
    person->events = edit->events;
    person->purchases = edit->purchases;
    person->count = (uint16_t)edit->count;
}

/* ---- a new block ----------------------------------------------------------------------------- */

/* Four sizes to each doubling, and the limit. */
static uint32_t capacity_for(uint32_t count, uint32_t items_max)
{
    uint32_t step = 1;
    while (step * 8 < count)
        step *= 2;
    uint32_t capacity = (count + step - 1) / step * step;
    return capacity > items_max ? items_max : capacity;
}

struct person *person_edit_finish(const struct person_edit *edit, struct slabs *slabs)
{
    uint32_t capacity = capacity_for(edit->count, edit->items_max);
    const struct person head = {.events = edit->events,
                                .purchases = edit->purchases,
                                .count = (uint16_t)edit->count,
                                .capacity = (uint16_t)capacity};
    struct person *person = slabs_alloc(slabs, person_bytes(&head));
    if (person == NULL)
        return NULL;
    *person = head;
    uint32_t *item = person->entry;
    uint32_t *last_s = item + capacity;
    uint8_t *classes = (uint8_t *)(last_s + capacity);
    memcpy(item, edit->item, edit->count * sizeof *item);
    memcpy(last_s, edit->last_s, edit->count * sizeof *last_s);
    memcpy(classes, edit->classes, edit->count);
    memcpy(classes + capacity, edit->days, edit->count);
    return person;
}
