/* SPDX-License-Identifier: Apache-2.0 */
#include "client/reply.h"

#include <stdlib.h>
#include <string.h>

/* Returned if not even a reply can be allocated; never written to. */
static struct decide_reply out_of_memory = {.status = DECIDE_NOMEM,
                                            .error_message = "out of memory"};

/* A reply with room for its items, then its texts. */
struct block {
    struct decide_reply *reply;
    struct decide_item *items;
    char *texts; /* where the next text goes */
};

static bool block_create(struct block *block, size_t item_count, size_t text_bytes)
{
    size_t items_bytes = item_count * sizeof *block->items;
    block->reply = calloc(1, sizeof *block->reply + items_bytes + text_bytes);
    if (block->reply == NULL)
        return false;
    block->items = (struct decide_item *)(block->reply + 1);
    block->texts = (char *)(block->items + item_count);
    block->reply->items = block->items;
    return true;
}

static const char *put_text(struct block *block, const char *ptr, size_t len)
{
    char *text = block->texts;
    memcpy(text, ptr, len);
    text[len] = '\0';
    block->texts += len + 1;
    return text;
}

/* Copies a text into the block.  A text with a NUL inside is refused: the NUL would hide the rest.
 */
static bool read_text(struct block *block, struct client_reader *reader, const char **ret_text)
{
    struct client_text text;
    if (!client_read_text(reader, &text) || memchr(text.ptr, '\0', text.len) != NULL)
        return false;
    *ret_text = put_text(block, text.ptr, text.len);
    return true;
}

static bool read_nil_or_text(struct block *block, struct client_reader *reader,
                             const char **ret_text)
{
    return client_read_nil(reader) || read_text(block, reader, ret_text);
}

static bool read_price(struct block *block, struct client_reader *reader, struct decide_item *item)
{
    uint32_t pair_count = 0;
    bool has_amount = false;
    if (!client_read_map(reader, &pair_count))
        return false;
    for (uint32_t i = 0; i < pair_count; i++) {
        struct client_text key = {0};
        bool fine = client_read_text(reader, &key);
        if (client_text_is(key, "amount"))
            fine = has_amount = client_read_int(reader, &item->amount_minor);
        else if (client_text_is(key, "currency"))
            fine = read_nil_or_text(block, reader, &item->currency);
        else if (client_text_is(key, "rule"))
            fine = read_nil_or_text(block, reader, &item->rule);
        else
            client_read_skip(reader);
        if (!fine)
            return false;
    }
    item->priced = has_amount;
    return has_amount;
}

static bool read_item(struct block *block, struct client_reader *reader, struct decide_item *item)
{
    uint32_t pair_count = 0;
    if (!client_read_map(reader, &pair_count))
        return false;
    for (uint32_t i = 0; i < pair_count; i++) {
        struct client_text key = {0};
        bool fine = client_read_text(reader, &key);
        if (client_text_is(key, "id"))
            fine = read_text(block, reader, &item->id);
        else if (client_text_is(key, "score"))
            fine = client_read_nil(reader) || client_read_real(reader, &item->score);
        else if (client_text_is(key, "price"))
            fine = client_read_nil(reader) || read_price(block, reader, item);
        else
            client_read_skip(reader);
        if (!fine)
            return false;
    }
    return item->id != NULL;
}

static bool read_error(struct block *block, struct client_reader *reader)
{
    struct decide_reply *reply = block->reply;
    uint32_t pair_count = 0;
    int64_t retry_after_ms = 0;
    if (!client_read_map(reader, &pair_count))
        return false;
    for (uint32_t i = 0; i < pair_count; i++) {
        struct client_text key = {0};
        bool fine = client_read_text(reader, &key);
        if (client_text_is(key, "code"))
            fine = read_text(block, reader, &reply->error_code);
        else if (client_text_is(key, "message"))
            fine = read_text(block, reader, &reply->error_message);
        else if (client_text_is(key, "field"))
            fine = read_nil_or_text(block, reader, &reply->error_field);
        else if (client_text_is(key, "retry_after_ms"))
            fine = client_read_int(reader, &retry_after_ms) && retry_after_ms >= 0 &&
                   retry_after_ms <= UINT32_MAX;
        else
            client_read_skip(reader);
        if (!fine)
            return false;
    }
    reply->retry_after_ms = (uint32_t)retry_after_ms;
    return reply->error_code != NULL;
}

/* Positions of the parts whose size or meaning must be known before the reply is allocated. */
struct outline {
    bool has_ok, ok;
    struct client_reader items; /* .at NULL: there are none */
    uint32_t item_count;
    bool twice; /* duplicate `ok` or `items` */
};

static bool read_outline(struct client_reader reader, bool wants_items, struct outline *outline)
{
    uint32_t pair_count = 0;
    if (!client_read_map(&reader, &pair_count))
        return false;
    for (uint32_t i = 0; i < pair_count; i++) {
        struct client_text key = {0};
        if (!client_read_text(&reader, &key))
            return false;
        if (client_text_is(key, "ok")) {
            outline->twice |= outline->has_ok;
            outline->has_ok = client_read_bool(&reader, &outline->ok);
            if (!outline->has_ok)
                return false;
        } else if (wants_items && client_text_is(key, "items")) {
            outline->twice |= outline->items.at != NULL;
            outline->items = reader;
            if (!client_read_array(&outline->items, &outline->item_count))
                return false;
            client_read_skip(&reader);
        } else {
            client_read_skip(&reader);
        }
    }
    bool items_are_due = wants_items && outline->ok && outline->items.at == NULL;
    return outline->has_ok && !outline->twice && !items_are_due &&
           outline->item_count <= CLIENT_REPLY_ITEMS_MAX;
}

/* Decodes the pairs of the reply, except items. */
static bool read_pairs(struct block *block, struct client_reader *reader)
{
    struct decide_reply *reply = block->reply;
    uint32_t pair_count = 0;
    if (!client_read_map(reader, &pair_count))
        return false;
    for (uint32_t i = 0; i < pair_count; i++) {
        struct client_text key = {0};
        int64_t took_us = 0;
        bool fine = client_read_text(reader, &key);
        if (client_text_is(key, "took_us")) {
            fine = client_read_int(reader, &took_us) && took_us >= 0;
            reply->took_us = (uint64_t)took_us;
        } else if (client_text_is(key, "error")) {
            fine = read_error(block, reader);
        } else if (client_text_is(key, "decision")) {
            fine = read_nil_or_text(block, reader, &reply->decision);
        } else if (client_text_is(key, "level")) {
            fine = read_nil_or_text(block, reader, &reply->level);
        } else if (client_text_is(key, "reason")) {
            fine = read_nil_or_text(block, reader, &reply->reason);
        } else if (client_text_is(key, "policy")) {
            fine = read_nil_or_text(block, reader, &reply->policy);
        } else {
            client_read_skip(reader);
        }
        if (!fine)
            return false;
    }
    return true;
}

static bool read_items(struct block *block, struct outline *outline)
{
    for (uint32_t i = 0; i < outline->item_count; i++)
        if (!read_item(block, &outline->items, &block->items[i]))
            return false;
    block->reply->item_count = outline->item_count;
    return true;
}

enum decide_status client_reply_decode(const uint8_t *bytes, size_t len, bool wants_items,
                                       struct decide_reply **ret_reply)
{
    struct outline outline = {0};
    if (!client_reader_check(bytes, len) ||
        !read_outline(client_reader_of(bytes, len), wants_items, &outline))
        return DECIDE_PROTOCOL;
    /* A text and its NUL take no more than the text and its head in the message. */
    struct block block;
    if (!block_create(&block, outline.item_count, 2 * len))
        return DECIDE_NOMEM;
    struct decide_reply *reply = block.reply;
    reply->bytes = memcpy(block.texts, bytes, len);
    reply->bytes_len = len;
    block.texts += len;
    struct client_reader reader = client_reader_of(bytes, len);
    bool fine = read_pairs(&block, &reader) && read_items(&block, &outline);
    if (outline.ok) {
        reply->error_code = reply->error_message = reply->error_field = NULL;
        reply->retry_after_ms = 0;
    } else {
        reply->status = DECIDE_REFUSED;
        fine = fine && reply->error_code != NULL;
        if (reply->error_message == NULL)
            reply->error_message = reply->error_code;
    }
    if (!fine) {
        free(reply);
        return DECIDE_PROTOCOL;
    }
    *ret_reply = reply;
    return DECIDE_OK;
}

struct decide_reply *client_reply_failure(enum decide_status status, const char *message)
{
    struct block block;
    if (status == DECIDE_NOMEM || !block_create(&block, 0, strlen(message) + 1))
        return &out_of_memory;
    block.reply->status = status;
    block.reply->error_message = put_text(&block, message, strlen(message));
    return block.reply;
}

struct decide_reply *client_reply_overloaded(const char *message, uint32_t retry_after_ms)
{
    static const char code[] = "overloaded";
    struct block block;
    if (!block_create(&block, 0, sizeof code + strlen(message) + 1))
        return &out_of_memory;
    block.reply->status = DECIDE_REFUSED;
    block.reply->error_code = put_text(&block, code, sizeof code - 1);
    block.reply->error_message = put_text(&block, message, strlen(message));
    block.reply->retry_after_ms = retry_after_ms;
    return block.reply;
}

/* The parts of the request that select items. */
struct wish {
    int64_t n;
    struct client_reader lists[3]; /* exclude, seeds, items: not to be shown */
    uint32_t counts[3];
};

static struct wish read_wish(struct client_reader request)
{
    static const char *const keys[3] = {"exclude", "seeds", "items"};
    struct wish wish = {.n = DECIDE_N_DEFAULT};
    uint32_t pair_count = 0;
    (void)client_read_map(&request, &pair_count);
    for (uint32_t i = 0; i < pair_count; i++) {
        struct client_text key = {0};
        (void)client_read_text(&request, &key);
        struct client_reader value = request;
        client_read_skip(&request);
        if (client_text_is(key, "n"))
            (void)client_read_int(&value, &wish.n);
        for (size_t k = 0; k < 3; k++)
            if (client_text_is(key, keys[k]) && client_read_array(&value, &wish.counts[k]))
                wish.lists[k] = value;
    }
    return wish;
}

static bool is_excluded(const struct wish *wish, const char *id)
{
    for (size_t k = 0; k < 3; k++) {
        struct client_reader list = wish->lists[k];
        for (uint32_t i = 0; i < wish->counts[k]; i++) {
            struct client_text text = {0};
            if (!client_read_text(&list, &text))
                client_read_skip(&list);
            else if (client_text_is(text, id))
                return true;
        }
    }
    return false;
}

struct decide_reply *client_reply_stand_in(const struct client_stand_in *stand_in,
                                           struct client_reader request,
                                           const struct decide_reply *failed)
{
    const char *reason =
        failed->error_code != NULL ? failed->error_code : decide_status_name(failed->status);
    size_t text_bytes =
        strlen(stand_in->level) + strlen(reason) + strlen(failed->error_message) + 3;
    for (size_t i = 0; i < stand_in->count; i++)
        text_bytes += strlen(stand_in->ids[i]) + 1;
    struct block block;
    if (!block_create(&block, stand_in->count, text_bytes))
        return NULL;
    struct wish wish = read_wish(request);
    struct decide_reply *reply = block.reply;
    for (size_t i = 0; i < stand_in->count && (int64_t)reply->item_count < wish.n; i++) {
        const char *id = stand_in->ids[i];
        if (is_excluded(&wish, id))
            continue;
        struct decide_item *item = &block.items[reply->item_count++];
        item->id = put_text(&block, id, strlen(id));
        item->score = stand_in->scores == NULL ? 0 : stand_in->scores[i];
    }
    reply->status = DECIDE_OK;
    reply->fallback = true;
    reply->age_us = stand_in->age_us;
    reply->level = put_text(&block, stand_in->level, strlen(stand_in->level));
    reply->reason = put_text(&block, reason, strlen(reason));
    reply->error_message = put_text(&block, failed->error_message, strlen(failed->error_message));
    return reply;
}

void client_reply_set_waited(struct decide_reply *reply, uint64_t waited_us)
{
    if (reply != &out_of_memory)
        reply->waited_us = waited_us;
}

void decide_reply_free(struct decide_reply *reply)
{
    if (reply != &out_of_memory)
        free(reply);
}
