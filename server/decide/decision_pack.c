/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "server/decide/decision.h"
#include "server/protocol/reply.h"

static void pack_price(struct pack *pack, const struct decision_item *item)
{
    char currency[4];
    pack_map(pack, 2u + (item->currency != 0) + (item->bound != NULL));
    pack_key(pack, "amount");
    pack_int(pack, item->amount_minor);
    if (item->currency != 0) {
        pack_key(pack, "currency");
        pack_str(pack, currency_format(item->currency, currency));
    }
    pack_key(pack, "rule");
    pack_str(pack, item->rule);
    if (item->bound != NULL) {
        pack_key(pack, "bound");
        pack_str(pack, item->bound);
    }
}

static void pack_why(struct pack *pack, const struct decision_why *why, uint32_t count)
{
    pack_array(pack, count);
    for (uint32_t i = 0; i < count; i++) {
        pack_map(pack, 2);
        pack_key(pack, "source");
        pack_str(pack, why[i].source);
        pack_key(pack, "value");
        pack_real32(pack, why[i].value);
    }
}

static void pack_contributions(struct pack *pack, const struct decision_contributions *told)
{
    pack_map(pack, 4);
    pack_key(pack, "model");
    pack_str(pack, told->model);
    pack_key(pack, "base");
    pack_real(pack, told->base);
    pack_key(pack, "rest");
    pack_real(pack, told->rest);
    pack_key(pack, "top");
    pack_array(pack, told->count);
    for (uint32_t i = 0; i < told->count; i++) {
        const struct decision_contribution *one = &told->top[i];
        pack_map(pack, 3);
        pack_key(pack, "feature");
        pack_str(pack, one->feature);
        pack_key(pack, "value");
        if (isfinite(one->value))
            pack_real(pack, one->value);
        else
            pack_nil(pack);
        pack_key(pack, "adds");
        pack_real(pack, one->adds);
    }
}

static void pack_item(struct pack *pack, const struct decision_item *item)
{
    pack_map(pack, 2u + item->priced + (item->why != NULL) + (item->contributions != NULL));
    pack_key(pack, "id");
    pack_text(pack, item->id);
    pack_key(pack, "score");
    pack_real32(pack, item->score);
    if (item->priced) {
        pack_key(pack, "price");
        pack_price(pack, item);
    }
    if (item->why != NULL) {
        pack_key(pack, "why");
        pack_why(pack, item->why, item->why_count);
    }
    if (item->contributions != NULL) {
        pack_key(pack, "contributions");
        pack_contributions(pack, item->contributions);
    }
}

static void pack_why_not(struct pack *pack, const struct decision_why_not *why_not)
{
    bool scored = !isnan(why_not->score), compared = !isnan(why_not->needed);
    pack_map(pack, 3u + (why_not->rule != NULL) + (why_not->slot != NULL) + (why_not->place > 0) +
                       scored + compared);
    pack_key(pack, "item");
    pack_text(pack, why_not->item);
    pack_key(pack, "stage");
    pack_str(pack, why_not->stage);
    if (why_not->rule != NULL) {
        pack_key(pack, "rule");
        pack_str(pack, why_not->rule);
    }
    if (why_not->slot != NULL) {
        pack_key(pack, "slot");
        pack_str(pack, why_not->slot);
    }
    if (why_not->place > 0) {
        pack_key(pack, "place");
        pack_int(pack, why_not->place);
    }
    if (scored) {
        pack_key(pack, "score");
        pack_real32(pack, why_not->score);
    }
    if (compared) {
        pack_key(pack, "needed");
        pack_real32(pack, why_not->needed);
    }
    pack_key(pack, "why");
    pack_why(pack, why_not->why, why_not->why_count);
}

static void pack_left_out(struct pack *pack, uint32_t stages)
{
    pack_array(pack, (uint32_t)__builtin_popcount(stages));
    for (uint32_t i = 0; i < LEFT_OUT_COUNT; i++) {
        if ((stages >> i & 1) != 0)
            pack_str(pack, left_out_name((enum left_out)i));
    }
}

static void pack_retrieval(struct pack *pack, const struct decision_retrieval *one)
{
    bool is_indexed = one->lists > 0;
    pack_map(pack, is_indexed ? 5 : 2);
    pack_key(pack, "model");
    pack_str(pack, one->model);
    pack_key(pack, "by");
    pack_str(pack, one->by);
    if (!is_indexed)
        return;
    pack_key(pack, "lists");
    pack_int(pack, one->lists);
    pack_key(pack, "lists_read");
    pack_int(pack, one->lists_read);
    pack_key(pack, "recall");
    pack_real(pack, one->recall);
}

void decision_pack(const struct decision *decision, struct reply *reply)
{
    struct pack *pack = &reply->pack;
    reply_key(reply, "decision");
    pack_str(pack, decision->id);
    reply_key(reply, "items");
    pack_array(pack, decision->count);
    for (uint32_t i = 0; i < decision->count; i++)
        pack_item(pack, &decision->items[i]);
    reply_key(reply, "policy");
    pack_str(pack, decision->policy);
    reply_key(reply, "models");
    pack_array(pack, decision->model_count);
    for (uint32_t i = 0; i < decision->model_count; i++)
        pack_str(pack, decision->models[i]);
    reply_key(reply, "experiments");
    pack_array(pack, 0);
    reply_key(reply, "level");
    pack_str(pack, level_name(decision->level));
    if (decision->level != LEVEL_full) {
        reply_key(reply, "reason");
        pack_str(pack, reason_name(decision->reason));
    }
    if (decision->left_out != 0) {
        reply_key(reply, "left_out");
        pack_left_out(pack, decision->left_out);
    }
    if (decision->retrieval_count > 0) {
        reply_key(reply, "retrieval");
        pack_array(pack, decision->retrieval_count);
        for (uint32_t i = 0; i < decision->retrieval_count; i++)
            pack_retrieval(pack, &decision->retrieval[i]);
    }
    if (decision->fallback != NULL) {
        reply_key(reply, "fallback");
        pack_str(pack, decision->fallback);
    }
    reply_key(reply, "epoch");
    pack_int(pack, (int64_t)decision->epoch);
    if (decision->why_not != NULL) {
        reply_key(reply, "why_not");
        pack_why_not(pack, decision->why_not);
    }
}
