/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/lists.h"

#include <stdlib.h>
#include <string.h>

#include "server/decide/lists_internal.h"

/* ---- building one ---------------------------------------------------------------------------- */

/* Grows the array by one element; on failure it is unchanged. */
bool list_grow(void **array, uint32_t count, uint32_t *capacity, size_t element_bytes)
{
    if (count < *capacity)
        return true;
    uint32_t wanted = *capacity == 0 ? 64 : 2 * *capacity;
    void *bigger = realloc(*array, wanted * element_bytes);
    if (bigger == NULL)
        return false;
    *array = bigger;
    *capacity = wanted;
    return true;
}

bool list_is_stopped(struct list_builder *builder)
{
    builder->stopped =
        builder->stop.is_wanted != NULL && builder->stop.is_wanted(builder->stop.ctx);
    return builder->stopped;
}

bool list_begin_span(struct list_builder *builder)
{
    void *array = builder->span;
    bool has_room =
        list_grow(&array, builder->span_count, &builder->span_capacity, sizeof builder->span[0]);
    builder->span = array;
    if (has_room)
        builder->span[builder->span_count++] = (struct list_span){builder->entry_count, 0};
    return has_room;
}

bool list_add(struct list_builder *builder, uint32_t item, float value)
{
    void *array = builder->entry;
    bool has_room =
        list_grow(&array, builder->entry_count, &builder->entry_capacity, sizeof builder->entry[0]);
    builder->entry = array;
    if (!has_room)
        return false;
    builder->entry[builder->entry_count++] = (struct list_entry){item, value};
    builder->span[builder->span_count - 1].count++;
    return true;
}

bool list_begin_segment(struct list_builder *builder, uint64_t segment)
{
    void *array = builder->segment;
    bool has_room = list_grow(&array, builder->segment_count, &builder->segment_capacity,
                              sizeof builder->segment[0]);
    builder->segment = array;
    if (!has_room || !list_begin_span(builder))
        return false;
    builder->segment[builder->segment_count++] = segment;
    return true;
}

/* Copies the result into a single allocation; NULL: out of memory. */
static struct list *finish(const struct list_builder *builder)
{
    size_t span_bytes = builder->span_count * sizeof builder->span[0];
    size_t entry_bytes = builder->entry_count * sizeof builder->entry[0];
    size_t segment_bytes = builder->segment_count * sizeof builder->segment[0];
    struct list *list = malloc(sizeof *list + segment_bytes + span_bytes + entry_bytes);
    if (list == NULL)
        return NULL;
    uint64_t *segment = (uint64_t *)(list + 1);
    struct list_span *span = (struct list_span *)(segment + builder->segment_count);
    struct list_entry *entry = (struct list_entry *)(span + builder->span_count);
    if (segment_bytes > 0)
        memcpy(segment, builder->segment, segment_bytes);
    if (span_bytes > 0)
        memcpy(span, builder->span, span_bytes);
    if (entry_bytes > 0)
        memcpy(entry, builder->entry, entry_bytes);
    *list = (struct list){.span = span,
                          .entry = entry,
                          .segment = segment_bytes > 0 ? segment : NULL,
                          .span_count = builder->span_count,
                          .kind = builder->spec->kind,
                          .unknown_count = builder->unknown_count,
                          .user_count = 1};
    return list;
}

/* Similar items are expensive to compute and change only with the catalogue: reuse them. */
static struct list *find_unchanged(const struct policy_list *spec, const struct store *store,
                                   struct lists_before before)
{
    for (uint32_t i = 0; before.set != NULL && i < before.set->count; i++) {
        struct list *list = before.set->list[i];
        if (spec->kind == LIST_CONTENT && list->kind == LIST_CONTENT &&
            (before.however_old || list->content_version == store_content_version(store)))
            return list;
    }
    return NULL;
}

static enum err_code make(const struct policy_list *spec, const struct store *store,
                          struct lists_before before, struct list_stop stop, struct list **ret_list,
                          struct err *err)
{
    *ret_list = find_unchanged(spec, store, before);
    if (*ret_list != NULL) {
        (*ret_list)->user_count++;
        return ERR_OK;
    }
    uint64_t content_version = store_content_version(store); /* before anything is read */
    struct list_builder builder = {.spec = spec, .store = store, .stop = stop};
    bool made = false;
    switch (spec->kind) {
    case LIST_EDITOR: made = list_make_editor(&builder); break;
    case LIST_NEW: made = list_make_new(&builder); break;
    case LIST_TRENDING: made = list_make_trending(&builder); break;
    case LIST_CONTENT: made = list_make_content(&builder); break;
    }
    struct list *list = made ? finish(&builder) : NULL;
    if (list != NULL)
        list->content_version = content_version;
    free(builder.segment);
    free(builder.span);
    free(builder.entry);
    *ret_list = list;
    if (builder.stopped)
        return err_set(err, ERR_BUSY,
                       "a list of the policies was not finished: something else comes first");
    return list != NULL ? ERR_OK : err_set(err, ERR_NOMEM, "no memory for a list of the policies");
}

/* ---- sets ------------------------------------------------------------------------------------ */

enum err_code lists_make(const struct policy_set *policies, const struct store *store,
                         struct lists_before before, struct list_stop stop,
                         struct list_set **ret_set, struct err *err)
{
    struct list_set *set = calloc(1, sizeof *set);
    if (set == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the lists of the policies");
    for (uint32_t i = 0; i < policies->list_count; i++) {
        enum err_code rc = make(&policies->list[i], store, before, stop, &set->list[i], err);
        if (rc != ERR_OK) {
            lists_destroy(&set);
            return rc;
        }
        set->count++;
    }
    *ret_set = set;
    return ERR_OK;
}

void lists_destroy(struct list_set **set)
{
    struct list_set *old = *set;
    *set = NULL;
    for (uint32_t i = 0; old != NULL && i < old->count; i++) {
        if (--old->list[i]->user_count == 0)
            free(old->list[i]);
    }
    free(old);
}
