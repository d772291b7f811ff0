/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/pipeline.h"
#include "server/metrics.h"

/* Fills in the price's inputs from store and request; false: there is no list price, or it is in a
 * currency other than the requested one (nothing is converted). */
static bool price_input_of(const struct pipeline *p, const struct decision_item *item,
                           const struct request_item *asked, struct price_input *input)
{
    const struct item *record =
        item->item == IDMAP_NONE ? NULL : store_item(p->env->store, item->item);
    *input =
        (struct price_input){.item = item->id,
                             .price_minor = EVENT_ABSENT,
                             .cost_minor = INT64_MIN,
                             .currency = p->request->currency,
                             .qty = asked != NULL ? asked->qty : 1,
                             .context = p->context,
                             .context_count = p->context != NULL ? p->request->context_count : 0};
    if (record != NULL) {
        bool same = p->request->currency == 0 || record->currency == 0 ||
                    record->currency == p->request->currency;
        if (record->category != IDMAP_NONE)
            input->category = store_category_name(p->env->store, record->category);
        if (record->brand != IDMAP_NONE)
            input->brand = store_brand_name(p->env->store, record->brand);
        if (same) {
            input->price_minor = record->price_minor;
            input->cost_minor = record->cost_minor;
        }
        if (input->currency == 0)
            input->currency = record->currency;
    }
    if (asked != NULL && asked->price_minor != INT64_MIN)
        input->price_minor = asked->price_minor;
    return input->price_minor != EVENT_ABSENT;
}

static void price_item(struct pipeline *p, struct decision_item *item,
                       const struct request_item *asked)
{
    struct price_input input;
    if (!price_input_of(p, item, asked, &input))
        return;
    struct price_output output = {.amount_minor = input.price_minor};
    if (p->models->prices != NULL)
        prices_apply(p->models->prices->as.prices, &input, &output);
    item->priced = true;
    item->amount_minor = output.amount_minor;
    item->currency = input.currency;
    item->rule = output.rule;
    item->bound = output.bound;
}

static void copy_context(struct pipeline *p)
{
    struct price_context *context =
        ARENA_NEW(p->arena, struct price_context, p->request->context_count);
    p->no_room = p->no_room || context == NULL;
    for (uint32_t i = 0; context != NULL && i < p->request->context_count; i++)
        context[i] =
            (struct price_context){p->request->context[i].key, p->request->context[i].value};
    p->context = context;
}

void price_items(struct pipeline *p)
{
    copy_context(p);
    for (uint32_t i = 0; i < p->out->count; i++)
        price_item(p, &p->out->items[i], NULL);
    if (p->models->prices != NULL && p->out->count > 0)
        pipeline_use_model(p, p->models->prices);
    pipeline_stage(p, STAGE_PRICE);
}

void price_callers_items(struct pipeline *p)
{
    copy_context(p);
    for (uint32_t i = 0; i < p->request->item_count; i++) {
        const struct request_item *asked = &p->request->items[i];
        struct decision_item *item = &p->out->items[p->out->count++];
        *item = (struct decision_item){.item = store_item_find(p->env->store, asked->id),
                                       .id = asked->id};
        price_item(p, item, asked);
    }
    if (p->models->prices != NULL)
        pipeline_use_model(p, p->models->prices);
    pipeline_stage(p, STAGE_PRICE);
}
