/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/decision_write.h"

#include <float.h>
#include <math.h>

#include "featurestore/decision_record.h"

#define EXACT_INTEGER 9007199254740992.0 /* 2^53 */

/* Packs a float64, or an integer if it has the same value (shorter, and equal to any reader). */
static void pack_value(struct pack *pack, double value)
{
    if (isnan(value))
        pack_nil(pack);
    else if (!isfinite(value))
        pack_real(pack, value > 0 ? DBL_MAX : -DBL_MAX); /* a record holds finite numbers alone */
    else if (fabs(value) < EXACT_INTEGER && (double)(int64_t)value == value)
        pack_int(pack, (int64_t)value);
    else
        pack_real(pack, value);
}

struct writer {
    struct pack *pack;
    uint32_t pair_count;
};

static struct pack *write_key(struct writer *writer, struct text key)
{
    writer->pair_count++;
    pack_text(writer->pack, key);
    return writer->pack;
}

#define KEY(writer, literal) write_key((writer), TEXT_LITERAL(literal))

static void write_given(struct writer *writer, struct text key, struct text value)
{
    if (value.ptr != NULL)
        pack_text(write_key(writer, key), value);
}

static void write_list(struct writer *writer, struct text key, const struct text_list *list)
{
    if (list->count == 0)
        return;
    pack_array(write_key(writer, key), list->count);
    for (uint32_t i = 0; i < list->count; i++)
        pack_text(writer->pack, list->ptr[i]);
}

/* ---- what was asked -------------------------------------------------------------------------- */

static void write_filters(struct writer *writer, const struct request_filters *filters)
{
    struct writer inner = {.pack = writer->pack};
    bool is_given = filters->categories.count > 0 || filters->brands.count > 0 ||
                    filters->min_price_minor != INT64_MIN ||
                    filters->max_price_minor != INT64_MAX || filters->in_stock;
    if (!is_given)
        return;
    (void)KEY(writer, "filters");
    size_t mark = pack_map_open(inner.pack);
    write_list(&inner, TEXT_LITERAL("categories"), &filters->categories);
    write_list(&inner, TEXT_LITERAL("brands"), &filters->brands);
    if (filters->min_price_minor != INT64_MIN)
        pack_int(KEY(&inner, "min_price"), filters->min_price_minor);
    if (filters->max_price_minor != INT64_MAX)
        pack_int(KEY(&inner, "max_price"), filters->max_price_minor);
    if (filters->in_stock)
        pack_bool(KEY(&inner, "in_stock"), true);
    pack_map_close(inner.pack, mark, inner.pair_count);
}

static void write_context(struct writer *writer, const struct request *request)
{
    if (request->context_count == 0)
        return;
    pack_map(KEY(writer, "context"), request->context_count);
    for (uint32_t i = 0; i < request->context_count; i++) {
        pack_text(writer->pack, request->context[i].key);
        pack_text(writer->pack, request->context[i].value);
    }
}

/* [id, score, qty, price, {features}], without trailing elements that were not given */
static void write_asked_item(struct pack *pack, const struct request_item *item)
{
    pack_array(pack, item->feature_count > 0 ? 5 : 4);
    pack_text(pack, item->id);
    pack_value(pack, item->score);
    pack_int(pack, item->qty);
    if (item->price_minor == INT64_MIN)
        pack_nil(pack);
    else
        pack_int(pack, item->price_minor);
    if (item->feature_count == 0)
        return;
    pack_map(pack, item->feature_count);
    for (uint32_t i = 0; i < item->feature_count; i++) {
        pack_text(pack, item->features[i].name);
        pack_value(pack, item->features[i].value);
    }
}

/* [id, qty] of a cart, [id, score] of the caller's candidates */
static void write_pairs(struct writer *writer, struct text key, const struct request_item *items,
                        uint32_t count, bool scores)
{
    if (count == 0)
        return;
    pack_array(write_key(writer, key), count);
    for (uint32_t i = 0; i < count; i++) {
        pack_array(writer->pack, 2);
        pack_text(writer->pack, items[i].id);
        if (scores)
            pack_value(writer->pack, items[i].score);
        else
            pack_int(writer->pack, items[i].qty);
    }
}

static void write_request(struct writer *writer, const struct request *request)
{
    char currency[4];
    struct writer inner = {.pack = writer->pack};
    (void)KEY(writer, "request");
    size_t mark = pack_map_open(inner.pack);
    if (request->op != OP_price)
        pack_uint(KEY(&inner, "n"), request->n);
    write_list(&inner, TEXT_LITERAL("seeds"), &request->seeds);
    write_list(&inner, TEXT_LITERAL("exclude"), &request->exclude);
    write_pairs(&inner, TEXT_LITERAL("cart"), request->cart, request->cart_count, false);
    write_pairs(&inner, TEXT_LITERAL("candidates"), request->candidates, request->candidate_count,
                true);
    write_filters(&inner, &request->filters);
    write_context(&inner, request);
    write_given(&inner, TEXT_LITERAL("query"), request->query);
    if (request->currency != 0)
        pack_str(KEY(&inner, "currency"), currency_format(request->currency, currency));
    if (request->want_price)
        pack_bool(KEY(&inner, "price"), true);
    if (request->item_count > 0) {
        pack_array(KEY(&inner, "items"), request->item_count);
        for (uint32_t i = 0; i < request->item_count; i++)
            write_asked_item(inner.pack, &request->items[i]);
    }
    pack_map_close(inner.pack, mark, inner.pair_count);
}

/* ---- what was shown -------------------------------------------------------------------------- */

static void write_prices(struct writer *writer, const struct decision *decision)
{
    char currency[4];
    bool any = false;
    for (uint32_t i = 0; i < decision->count; i++)
        any = any || decision->items[i].priced;
    if (!any)
        return;
    pack_array(KEY(writer, "prices"), decision->count);
    for (uint32_t i = 0; i < decision->count; i++) {
        if (decision->items[i].priced)
            pack_int(writer->pack, decision->items[i].amount_minor);
        else
            pack_nil(writer->pack);
    }
    pack_array(KEY(writer, "currencies"), decision->count);
    for (uint32_t i = 0; i < decision->count; i++) {
        const struct decision_item *item = &decision->items[i];
        bool is_known = item->priced && item->currency != 0;
        pack_str(writer->pack, is_known ? currency_format(item->currency, currency) : NULL);
    }
}

static void write_features(struct writer *writer, const struct decision *decision)
{
    struct pack *pack = writer->pack;
    if (decision->ranker == NULL)
        return;
    uint32_t count = decision->ranker->feature_count;
    pack_str(KEY(writer, "ranker"), decision->ranker->label);
    pack_array(KEY(writer, "names"), count);
    for (uint32_t f = 0; f < count; f++)
        pack_str(pack, decision->ranker->feature[f].name);
    pack_array(KEY(writer, "features"), decision->count);
    for (uint32_t i = 0; i < decision->count; i++) {
        const double *features = decision->items[i].features;
        if (features == NULL) {
            pack_nil(pack);
            continue;
        }
        pack_array(pack, count);
        for (uint32_t f = 0; f < count; f++)
            pack_value(pack, features[f]);
    }
}

static void write_ranked(struct writer *writer, const struct decision *decision)
{
    if (decision->ranker == NULL)
        return;
    pack_array(KEY(writer, "ranked"), decision->count);
    for (uint32_t i = 0; i < decision->count; i++) {
        if (decision->items[i].features != NULL)
            pack_real32(writer->pack, decision->items[i].ranked);
        else
            pack_nil(writer->pack);
    }
}

static void write_shown(struct writer *writer, const struct decision *decision)
{
    pack_array(KEY(writer, "items"), decision->count);
    for (uint32_t i = 0; i < decision->count; i++)
        pack_text(writer->pack, decision->items[i].id);
    pack_array(KEY(writer, "scores"), decision->count);
    for (uint32_t i = 0; i < decision->count; i++)
        pack_real32(writer->pack, decision->items[i].score);
    write_prices(writer, decision);
    write_features(writer, decision);
    write_ranked(writer, decision);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void write_made_by(struct writer *writer, const struct decide_env *env,
                          const struct decision *decision)
{
    pack_str(KEY(writer, "level"), level_name(decision->level));
    if (decision->level != LEVEL_full)
        pack_str(KEY(writer, "reason"), reason_name(decision->reason));
    if (decision->left_out != 0) {
        pack_array(KEY(writer, "left_out"), (uint32_t)__builtin_popcount(decision->left_out));
        for (uint32_t i = 0; i < LEFT_OUT_COUNT; i++) {
            if ((decision->left_out >> i & 1) != 0)
                pack_str(writer->pack, left_out_name((enum left_out)i));
        }
    }
    if (decision->fallback != NULL)
        pack_str(KEY(writer, "fallback"), decision->fallback);
    pack_str(KEY(writer, "policy"), decision->policy);
    pack_array(KEY(writer, "models"), decision->model_count);
    for (uint32_t i = 0; i < decision->model_count; i++)
        pack_str(writer->pack, decision->models[i]);
    pack_uint(KEY(writer, "epoch"), decision->epoch);
    pack_array(KEY(writer, "experiments"), 0);
    pack_int(KEY(writer, "watermark"), store_watermark_ms(env->store));
    if (env->spared_permille > 0)
        pack_uint(KEY(writer, "spared"), env->spared_permille);
}

void decision_write(const struct decide_env *env, const struct request *request,
                    const struct decision *decision, struct pack *pack)
{
    struct writer writer = {.pack = pack};
    size_t mark = pack_map_open(pack);
    pack_uint(KEY(&writer, "v"), DECISION_RECORD_VERSION);
    pack_str(KEY(&writer, "decision"), decision->id);
    pack_int(KEY(&writer, "ts"), env->wall_ms);
    pack_str(KEY(&writer, "op"), op_name(request->op));
    write_given(&writer, TEXT_LITERAL("slot"), request->slot);
    write_given(&writer, TEXT_LITERAL("user"), request->user);
    write_given(&writer, TEXT_LITERAL("anon"), request->anon);
    write_given(&writer, TEXT_LITERAL("session"), request->session);
    write_made_by(&writer, env, decision);
    write_shown(&writer, decision);
    write_request(&writer, request);
    pack_map_close(pack, mark, writer.pair_count);
}
