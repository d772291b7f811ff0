/* SPDX-License-Identifier: Apache-2.0 */
#include "client/message.h"

#include <msgpack/pack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/sp.h"

#define BUDGET_US_MAX UINT64_C(3600000000)

enum {
    CAPACITY_MIN = 512,
    MAP_HEAD_BYTES = 5,
    USED_MAX = SP_HEADER_BYTES_MAX + DECIDE_REQUEST_BYTES_MAX
};

/* msgpack-c's packer writes through this.  Its functions are inline: only headers are needed.  An
 * oversized message is not copied any further: copying takes time, and the call has a deadline. */
static int append(void *data, const char *bytes, size_t len)
{
    struct client_message *message = data;
    message->too_large = message->too_large || len > USED_MAX - message->used;
    if (message->failed || message->too_large)
        return -1;
    size_t needed = message->used + len;
    if (needed > message->capacity) {
        size_t capacity = message->capacity == 0 ? CAPACITY_MIN : message->capacity;
        while (capacity < needed)
            capacity *= 2;
        uint8_t *grown = realloc(message->bytes, capacity);
        if (grown == NULL) {
            message->failed = true;
            return -1;
        }
        message->bytes = grown;
        message->capacity = capacity;
    }
    memcpy(message->bytes + message->used, bytes, len);
    message->used = needed;
    return 0;
}

static void pack_text(msgpack_packer *packer, const char *s)
{
    size_t len = strnlen(s, DECIDE_REQUEST_BYTES_MAX + 1);
    msgpack_pack_str(packer, len);
    msgpack_pack_str_body(packer, s, len);
}

static void pack_pair(msgpack_packer *packer, const char *key, const char *value)
{
    pack_text(packer, key);
    pack_text(packer, value);
}

static msgpack_packer packer_of(struct client_message *message)
{
    msgpack_packer packer;
    msgpack_packer_init(&packer, message, append);
    return packer;
}

void client_message_begin(struct client_message *message, const char *op, const char *token)
{
    static const char room[SP_HEADER_BYTES_MAX + MAP_HEAD_BYTES];
    static const char budget[9] = {(char)0xcf}; /* a 64-bit number, to be filled in */
    *message = (struct client_message){0};
    msgpack_packer packer = packer_of(message);
    append(message, room, sizeof room);
    pack_pair(&packer, "op", op);
    pack_text(&packer, "budget_us");
    append(message, budget, sizeof budget);
    message->budget_at = message->used - 8;
    message->pair_count = 2;
    if (token != NULL) {
        pack_pair(&packer, "token", token);
        message->pair_count++;
    }
}

void client_message_add_map(struct client_message *message, struct client_reader map)
{
    uint32_t pair_count = 0;
    if (client_read_map(&map, &pair_count)) {
        append(message, (const char *)map.at, (size_t)(map.end - map.at));
        message->pair_count += pair_count;
    }
}

void client_message_add_raw(struct client_message *message, const char *key, const void *value,
                            size_t value_len)
{
    msgpack_packer packer = packer_of(message);
    pack_text(&packer, key);
    append(message, value, value_len);
    message->pair_count++;
}

enum decide_status client_message_end(struct client_message *message,
                                      char error[DECIDE_ERROR_BYTES])
{
    if (message->failed) {
        snprintf(error, DECIDE_ERROR_BYTES, "out of memory");
        return DECIDE_NOMEM;
    }
    if (message->too_large) {
        snprintf(error, DECIDE_ERROR_BYTES, "the request has more than %d bytes",
                 DECIDE_REQUEST_BYTES_MAX);
        return DECIDE_INVALID;
    }
    uint8_t *head = message->bytes + SP_HEADER_BYTES_MAX;
    head[0] = 0xdf; /* a map with a 32-bit count */
    for (int i = 0; i < 4; i++)
        head[4 - i] = (uint8_t)(message->pair_count >> (8 * i));
    return DECIDE_OK;
}

const uint8_t *client_message_frame(struct client_message *message, uint32_t id, bool ipc,
                                    uint64_t budget_us, size_t *ret_len)
{
    if (budget_us > BUDGET_US_MAX)
        budget_us = BUDGET_US_MAX;
    for (int i = 0; i < 8; i++)
        message->bytes[message->budget_at + 7 - i] = (uint8_t)(budget_us >> (8 * i));
    uint8_t *body = message->bytes + SP_HEADER_BYTES_MAX;
    size_t body_len = message->used - SP_HEADER_BYTES_MAX;
    *ret_len = body_len + sp_header_bytes(ipc);
    return sp_put_header(body, body_len, id, ipc);
}

struct client_reader client_message_map(const struct client_message *message)
{
    return client_reader_of(message->bytes + SP_HEADER_BYTES_MAX,
                            message->used - SP_HEADER_BYTES_MAX);
}

void client_message_deinit(struct client_message *message)
{
    free(message->bytes);
    *message = (struct client_message){0};
}

/* Packs a key and an array head; DECIDE_INVALID: the count is out of range. */
static enum decide_status begin_array(struct client_message *message, msgpack_packer *packer,
                                      const char *key, const void *array, size_t count,
                                      char error[DECIDE_ERROR_BYTES])
{
    if (array == NULL || count > DECIDE_LIST_MAX) {
        snprintf(error, DECIDE_ERROR_BYTES, "%s: %zu of them, %s", key, count,
                 array == NULL ? "but the pointer is NULL" : "more than a request can hold");
        return DECIDE_INVALID;
    }
    pack_text(packer, key);
    msgpack_pack_array(packer, count);
    message->pair_count++;
    return DECIDE_OK;
}

static enum decide_status refuse_null(const char *key, size_t index, char error[DECIDE_ERROR_BYTES])
{
    snprintf(error, DECIDE_ERROR_BYTES, "%s[%zu]: a string is NULL", key, index);
    return DECIDE_INVALID;
}

static enum decide_status add_texts(struct client_message *message, const char *key,
                                    const char *const *texts, size_t count,
                                    char error[DECIDE_ERROR_BYTES])
{
    if (count == 0)
        return DECIDE_OK;
    msgpack_packer packer = packer_of(message);
    enum decide_status status = begin_array(message, &packer, key, texts, count, error);
    for (size_t i = 0; status == DECIDE_OK && i < count; i++) {
        if (texts[i] == NULL)
            return refuse_null(key, i, error);
        pack_text(&packer, texts[i]);
    }
    return status;
}

static enum decide_status add_items(struct client_message *message, bool rank,
                                    const struct decide_request *request,
                                    char error[DECIDE_ERROR_BYTES])
{
    msgpack_packer packer = packer_of(message);
    size_t count = request->item_count;
    if (count == 0) {
        snprintf(error, DECIDE_ERROR_BYTES, "items: at least one is needed");
        return DECIDE_INVALID;
    }
    enum decide_status status =
        begin_array(message, &packer, "items", request->items, count, error);
    for (size_t i = 0; status == DECIDE_OK && i < count; i++) {
        const struct decide_query_item *item = &request->items[i];
        bool score = rank && item->has_score;
        bool qty = !rank && item->qty != 0;
        bool price = !rank && item->has_price;
        if (item->id == NULL)
            return refuse_null("items", i, error);
        msgpack_pack_map(&packer, 1U + score + qty + price);
        pack_pair(&packer, "id", item->id);
        if (score) {
            pack_text(&packer, "score");
            msgpack_pack_double(&packer, item->score);
        }
        if (qty) {
            pack_text(&packer, "qty");
            msgpack_pack_int64(&packer, item->qty);
        }
        if (price) {
            pack_text(&packer, "price");
            msgpack_pack_int64(&packer, item->price_minor);
        }
    }
    return status;
}

static enum decide_status add_context(struct client_message *message,
                                      const struct decide_request *request,
                                      char error[DECIDE_ERROR_BYTES])
{
    if (request->context_count == 0)
        return DECIDE_OK;
    if (request->context == NULL || request->context_count > DECIDE_LIST_MAX) {
        snprintf(error, DECIDE_ERROR_BYTES, "context: %zu pairs cannot be sent",
                 request->context_count);
        return DECIDE_INVALID;
    }
    msgpack_packer packer = packer_of(message);
    pack_text(&packer, "context");
    msgpack_pack_map(&packer, request->context_count);
    message->pair_count++;
    for (size_t i = 0; i < request->context_count; i++) {
        if (request->context[i].key == NULL || request->context[i].value == NULL)
            return refuse_null("context", i, error);
        pack_pair(&packer, request->context[i].key, request->context[i].value);
    }
    return DECIDE_OK;
}

static enum decide_status add_filters(struct client_message *message,
                                      const struct decide_filters *filters,
                                      char error[DECIDE_ERROR_BYTES])
{
    if (filters == NULL)
        return DECIDE_OK;
    bool min = filters->min_price_minor != 0;
    bool max = filters->max_price_minor != 0;
    msgpack_packer packer = packer_of(message);
    uint32_t outer_count = message->pair_count + 1;
    pack_text(&packer, "filters");
    msgpack_pack_map(&packer, (size_t)(filters->category_count > 0) + (filters->brand_count > 0) +
                                  min + max + filters->in_stock);
    enum decide_status status =
        add_texts(message, "categories", filters->categories, filters->category_count, error);
    if (status == DECIDE_OK)
        status = add_texts(message, "brands", filters->brands, filters->brand_count, error);
    if (min) {
        pack_text(&packer, "min_price");
        msgpack_pack_int64(&packer, filters->min_price_minor);
    }
    if (max) {
        pack_text(&packer, "max_price");
        msgpack_pack_int64(&packer, filters->max_price_minor);
    }
    if (filters->in_stock) {
        pack_text(&packer, "in_stock");
        msgpack_pack_true(&packer);
    }
    message->pair_count = outer_count; /* do not count the nested pairs */
    return status;
}

static void add_scalars(struct client_message *message, const struct decide_request *request)
{
    const struct {
        const char *key, *value;
    } texts[] = {{"user", request->user},
                 {"anon", request->anon},
                 {"session", request->session},
                 {"slot", request->slot},
                 {"currency", request->currency}};
    msgpack_packer packer = packer_of(message);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].value == NULL)
            continue;
        pack_pair(&packer, texts[i].key, texts[i].value);
        message->pair_count++;
    }
    if (request->n != 0) {
        pack_text(&packer, "n");
        msgpack_pack_uint32(&packer, request->n);
        message->pair_count++;
    }
    const struct {
        const char *key;
        bool value;
    } flags[] = {{"price", request->want_price}, {"explain", request->explain}};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (!flags[i].value)
            continue;
        pack_text(&packer, flags[i].key);
        msgpack_pack_true(&packer);
        message->pair_count++;
    }
}

enum decide_status client_message_add_request(struct client_message *message, const char *op,
                                              const struct decide_request *request,
                                              char error[DECIDE_ERROR_BYTES])
{
    bool rank = strcmp(op, "rank") == 0;
    bool similar = strcmp(op, "similar") == 0;
    add_scalars(message, request);
    enum decide_status status = add_context(message, request, error);
    if (status != DECIDE_OK)
        return status;
    if (rank || strcmp(op, "price") == 0)
        return add_items(message, rank, request, error);
    if (similar && request->seed_count == 0) {
        snprintf(error, DECIDE_ERROR_BYTES, "seeds: similar needs at least one item");
        return DECIDE_INVALID;
    }
    status =
        add_texts(message, similar ? "items" : "seeds", request->seeds, request->seed_count, error);
    if (status == DECIDE_OK)
        status = add_texts(message, "exclude", request->exclude, request->exclude_count, error);
    if (status == DECIDE_OK)
        status = add_filters(message, request->filters, error);
    return status;
}
