/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/replay_show.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/ctl/table.h"

/* ---- for people ------------------------------------------------------------------------------ */

static void show_differences(const struct replay *replay)
{
    for (uint32_t i = 0; i < replay->count; i++) {
        const struct replay_item *item = &replay->item[i];
        if (item->is_ranked && !item->is_equal)
            printf("differs: place %u, %.*s: logged %.9g, computed %.9g\n", i + 1,
                   (int)item->item.len, item->item.ptr, (double)item->logged,
                   (double)item->computed);
    }
    if (replay->order_differs)
        printf("differs: scores of the answer rise from one item to the next\n");
}

/* Places among those that the rankers saw. */
static void show_other(const struct model *model, const struct model *other,
                       const struct replay *replay, const struct replay *with)
{
    struct table table;
    char heads[4 * MODEL_NAME_BYTES + 64];
    snprintf(heads, sizeof heads, ">#  ITEM  >%s  >%s  >PLACE  >CHANGE", model->label,
             strcmp(model->label, other->label) != 0 ? other->label : "--with");
    table_init(&table, heads);
    for (uint32_t place = 1; place <= replay->ranked_count; place++) {
        uint32_t i = 0;
        while (i < replay->count && replay->item[i].place != place)
            i++;
        const struct replay_item *was = &replay->item[i], *now = &with->item[i];
        table_put_fmt(&table, "%u", place);
        table_put(&table, was->item);
        table_put_fmt(&table, "%.5g", (double)was->computed);
        table_put_fmt(&table, "%.5g", (double)now->computed);
        table_put_fmt(&table, "%u", now->place);
        if (now->place == place)
            table_put_fmt(&table, "=");
        else
            table_put_fmt(&table, "%+d", (int)place - (int)now->place);
    }
    table_print(&table, stdout);
    table_deinit(&table);
}

static void show_for_people(const struct decision_record *decision, const struct model *model,
                            const struct replay *replay, const struct model *other,
                            const struct replay *with)
{
    printf("%.*s: %.*s, policy %.*s, level %.*s, %u items, %u of them scored by %s\n",
           (int)decision->decision.len, decision->decision.ptr, (int)decision->op.len,
           decision->op.ptr, (int)decision->policy.len, decision->policy.ptr,
           (int)decision->level.len, decision->level.ptr, replay->count, replay->ranked_count,
           model->label);
    show_differences(replay);
    if (replay->differing_count == 0 && !replay->order_differs)
        printf("equal: the features as served give the logged scores, %s\n",
               replay_rounds(model) ? "to rounding" : "bit for bit");
    if (other != NULL)
        show_other(model, other, replay, with);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void add_text(cJSON *to, const char *key, struct text text)
{
    char buf[256];
    cJSON_AddStringToObject(to, key, text_copy(text, buf, sizeof buf));
}

static void add_item(cJSON *items, const struct replay_item *item, const struct replay_item *with)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToArray(items, object);
    add_text(object, "id", item->item);
    cJSON_AddNumberToObject(object, "score", item->score);
    if (!item->is_ranked)
        return;
    cJSON_AddNumberToObject(object, "logged", (double)item->logged);
    cJSON_AddNumberToObject(object, "computed", (double)item->computed);
    cJSON_AddBoolToObject(object, "equal", item->is_equal);
    cJSON_AddNumberToObject(object, "place", item->place);
    if (with == NULL)
        return;
    cJSON_AddNumberToObject(object, "with_score", (double)with->computed);
    cJSON_AddNumberToObject(object, "with_place", with->place);
}

static void show_json(const struct decision_record *decision, const struct model *model,
                      const struct replay *replay, const struct model *other,
                      const struct replay *with)
{
    cJSON *root = cJSON_CreateObject();
    add_text(root, "decision", decision->decision);
    cJSON_AddStringToObject(root, "ranker", model->label);
    if (other != NULL)
        cJSON_AddStringToObject(root, "with", other->label);
    cJSON_AddBoolToObject(root, "equal", replay->differing_count == 0 && !replay->order_differs);
    cJSON_AddNumberToObject(root, "differing", replay->differing_count);
    cJSON *items = cJSON_AddArrayToObject(root, "items");
    for (uint32_t i = 0; i < replay->count; i++)
        add_item(items, &replay->item[i], other != NULL ? &with->item[i] : NULL);
    char *text = cJSON_PrintUnformatted(root);
    if (text != NULL)
        puts(text);
    cJSON_free(text);
    cJSON_Delete(root);
}

void replay_show_one(const struct decision_record *decision, const struct model *model,
                     const struct replay *replay, const struct model *other,
                     const struct replay *with, bool json)
{
    if (json)
        show_json(decision, model, replay, other, with);
    else
        show_for_people(decision, model, replay, other, with);
}

void replay_show_counts(const struct replay_counts *counts, bool json)
{
    if (json)
        printf("{\"equal\": %" PRIu64 ", \"differing\": %" PRIu64 ", \"unranked\": %" PRIu64
               ", \"refused\": %" PRIu64 "}\n",
               counts->equal, counts->differing, counts->unranked, counts->refused);
    else
        printf("%" PRIu64 " equal, %" PRIu64 " differ, %" PRIu64
               " were scored by no ranker, %" PRIu64 " could not be replayed\n",
               counts->equal, counts->differing, counts->unranked, counts->refused);
}
