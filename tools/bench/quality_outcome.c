/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/quality_outcome.h"

#include <cjson/cJSON.h>

#include "base/clock.h"

/* The class of what makes a target, as a type of event. */
static const char *type_name(const struct targets *targets)
{
    switch (targets->event_class) {
    case EVENT_CLASS_PURCHASE: return event_type_name(EVENT_purchase);
    case EVENT_CLASS_CART: return event_type_name(EVENT_cart_add);
    default: return event_type_name(EVENT_view);
    }
}

/* Targets of the mode: `new` leaves out what the person had before. */
static bool is_hit(const struct quality *quality, const struct remote_answer *answer,
                   uint32_t column)
{
    if (column == DATASET_NONE || matrix_at(&quality->targets->items, answer->row, column) <= 0.0f)
        return false;
    return answer->mode == EVALUATE_ANY ||
           !targets_known(quality->targets,
                          matrix_at(&quality->dataset->pairs, answer->row, column));
}

static bool add_hits(const struct quality *quality, const struct remote_answer *answer,
                     cJSON *items)
{
    for (uint32_t i = 0; i < answer->count; i++) {
        if (!is_hit(quality, answer, answer->columns[i]))
            continue;
        cJSON *item = cJSON_CreateObject();
        if (item == NULL || !cJSON_AddItemToArray(items, item) ||
            cJSON_AddStringToObject(item, "id", answer->reply->items[i].id) == NULL)
            return false;
    }
    return true;
}

/* Told as of the newest event of the training part: what the daemon knows of the time stays. */
static bool fill(const struct quality *quality, const struct remote_answer *answer, cJSON *event)
{
    char id[96], who[ID_BYTES_MAX + 1], at[CLOCK_ISO_BYTES];
    bool anonymous = false;
    snprintf(id, sizeof id, "outcome-%.64s", answer->reply->decision);
    clock_format_iso((int64_t)quality->dataset->newest_s * 1000, at);
    text_copy(
        interactions_id(quality->interactions, quality->dataset->person[answer->row], &anonymous),
        who, sizeof who);
    cJSON *items = cJSON_AddArrayToObject(event, "items");
    return items != NULL && cJSON_AddStringToObject(event, "id", id) != NULL &&
           cJSON_AddStringToObject(event, "type", type_name(quality->targets)) != NULL &&
           cJSON_AddStringToObject(event, "ts", at) != NULL &&
           cJSON_AddStringToObject(event, anonymous ? "anon" : "user", who) != NULL &&
           cJSON_AddStringToObject(event, "decision", answer->reply->decision) != NULL &&
           add_hits(quality, answer, items);
}

bool quality_write_outcome(struct quality *quality, const struct remote_answer *answer)
{
    if (answer->reply->decision == NULL)
        return false;
    cJSON *event = cJSON_CreateObject();
    const bool filled = event != NULL && fill(quality, answer, event);
    const cJSON *items = cJSON_GetObjectItemCaseSensitive(event, "items");
    char *line = filled && cJSON_GetArraySize(items) > 0 ? cJSON_PrintUnformatted(event) : NULL;
    const bool written = line != NULL && fprintf(quality->outcomes, "%s\n", line) > 0;
    cJSON_free(line);
    cJSON_Delete(event);
    return written;
}
