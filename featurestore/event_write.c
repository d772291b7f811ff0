/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/event_write.h"

#include "featurestore/feature_input.h"

void event_write_pair(struct pack *pack, const char *key, struct text value)
{
    pack_str(pack, key);
    pack_text(pack, value);
}

static void write_int(struct pack *pack, const char *key, int64_t value)
{
    pack_str(pack, key);
    pack_int(pack, value);
}

/* ---- consent --------------------------------------------------------------------------------- */

static void write_flags(struct pack *pack, const struct event *event)
{
    static const char *const names[CONSENT_COUNT] = {
#define X(name) #name,
        EVENT_CONSENTS(X)
#undef X
    };
    pack_key(pack, "consent");
    pack_map(pack, (uint32_t)__builtin_popcount(event->consent_allowed | event->consent_denied));
    for (uint32_t i = 0; i < CONSENT_COUNT; i++) {
        if (((event->consent_allowed | event->consent_denied) >> i & 1) == 0)
            continue;
        pack_str(pack, names[i]);
        pack_bool(pack, (event->consent_allowed >> i & 1) != 0);
    }
}

void event_write_consent(struct pack *pack, const struct event *event)
{
    pack_map(pack, 4u + (event->user.ptr != NULL) + (event->anon.ptr != NULL));
    event_write_pair(pack, "id", event->id);
    event_write_pair(pack, "type", TEXT_LITERAL("consent"));
    write_int(pack, "ts", event->ts_ms);
    if (event->user.ptr != NULL)
        event_write_pair(pack, "user", event->user);
    if (event->anon.ptr != NULL)
        event_write_pair(pack, "anon", event->anon);
    write_flags(pack, event);
}

/* ---- forget ---------------------------------------------------------------------------------- */

static void write_ids(struct pack *pack, const char *key, const struct text *ids, uint32_t count)
{
    pack_str(pack, key);
    pack_array(pack, count);
    for (uint32_t i = 0; i < count; i++)
        pack_text(pack, ids[i]);
}

void event_write_forget(struct pack *pack, const struct event_forget *forget)
{
    pack_map(pack, 2u + (forget->id.ptr != NULL) + (forget->user.ptr != NULL) +
                       (forget->anon.ptr != NULL) + (forget->anon_count > 0) +
                       (forget->shared_count > 0));
    if (forget->id.ptr != NULL)
        event_write_pair(pack, "id", forget->id);
    event_write_pair(pack, "type", TEXT_LITERAL("forget"));
    write_int(pack, "ts", forget->ts_ms);
    if (forget->user.ptr != NULL)
        event_write_pair(pack, "user", forget->user);
    if (forget->anon.ptr != NULL)
        event_write_pair(pack, "anon", forget->anon);
    if (forget->anon_count > 0)
        write_ids(pack, "anons", forget->anons, forget->anon_count);
    if (forget->shared_count > 0)
        write_ids(pack, "shared", forget->shared, forget->shared_count);
}

/* ---- what is left ---------------------------------------------------------------------------- */

void event_make_nameless(struct event *event)
{
    const struct text none = {NULL, 0};
    event->erased = true;
    event->id = event->user = event->anon = event->session = event->decision = none;
    event->order = event->props = event->attributes = none;
    event->consent_allowed = event->consent_denied = 0;
}

static void write_item(struct pack *pack, const struct event_item *item)
{
    pack_map(pack, 1u + (item->qty != 1) + (item->price_minor != EVENT_ABSENT) +
                       (item->pos != EVENT_ABSENT));
    event_write_pair(pack, "id", item->id);
    if (item->qty != 1)
        write_int(pack, "qty", item->qty);
    if (item->price_minor != EVENT_ABSENT)
        write_int(pack, "price", item->price_minor);
    if (item->pos != EVENT_ABSENT)
        write_int(pack, "pos", item->pos);
}

static void write_type(struct pack *pack, const struct event *event)
{
    char name[sizeof EVENT_CUSTOM_PREFIX + EVENT_CUSTOM_BYTES_MAX];
    if (event->type != EVENT_custom) {
        event_write_pair(pack, "type", text_of(event_type_name(event->type)));
        return;
    }
    const uint32_t prefix = sizeof EVENT_CUSTOM_PREFIX - 1;
    memcpy(name, EVENT_CUSTOM_PREFIX, prefix);
    memcpy(name + prefix, event->custom.ptr, event->custom.len);
    event_write_pair(pack, "type", (struct text){name, prefix + event->custom.len});
}

/* What shoppers do counts on; what was said about the person does not. */
static bool is_about_person(enum event_type type)
{
    return type == EVENT_identify || type == EVENT_user_upsert || type == EVENT_consent;
}

void event_write_erased(struct pack *pack, const struct event *event, bool keeps_anon)
{
    bool has_consent = keeps_anon && event->anon.ptr != NULL &&
                       (event->consent_allowed | event->consent_denied) != 0;
    bool counts = !is_about_person(event->type);
    bool has_items = counts && event->item_count > 0;
    bool has_currency = counts && event->currency != 0;
    bool has_total = counts && event->total_minor != EVENT_ABSENT;
    bool has_list = counts && event->list.ptr != NULL;
    char buf[FEATURE_QUERY_KEY_BYTES];
    struct text query = feature_query_key(event->query, buf);
    bool has_query = counts && query.len > 0;
    pack_map(pack,
             2u + has_items + has_currency + has_total + has_list + has_query + 2u * has_consent);
    write_type(pack, event);
    write_int(pack, "ts", event->ts_ms);
    if (has_items) {
        pack_key(pack, "items");
        pack_array(pack, event->item_count);
        for (uint32_t i = 0; i < event->item_count; i++)
            write_item(pack, &event->items[i]);
    }
    if (has_currency) {
        char code[4];
        event_write_pair(pack, "currency", text_of(currency_format(event->currency, code)));
    }
    if (has_total)
        write_int(pack, "total", event->total_minor);
    if (has_list)
        event_write_pair(pack, "list", event->list);
    if (has_query)
        event_write_pair(pack, "query", query);
    if (has_consent) {
        event_write_pair(pack, "anon", event->anon);
        write_flags(pack, event);
    }
}
