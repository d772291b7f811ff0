/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/transcode.h"
#include "featurestore/store_apply.h"

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "events: %s\n", what);
    abort();
}

void events_begin(struct events *events)
{
    events->pack = pack_into(events->bytes, sizeof events->bytes);
    events->mark = pack_array_open(&events->pack);
    events->count = 0;
}

void events_add(struct events *events, const char *type, const char *user, const char *item,
                int64_t ts_ms)
{
    char id[32];
    snprintf(id, sizeof id, "e%llu", (unsigned long long)++events->id_count);
    struct pack *pack = &events->pack;
    pack_map(pack, 5);
    pack_key(pack, "id");
    pack_str(pack, id);
    pack_key(pack, "type");
    pack_str(pack, type);
    pack_key(pack, "ts");
    pack_int(pack, ts_ms);
    pack_key(pack, "user");
    pack_str(pack, user);
    pack_key(pack, "items");
    pack_array(pack, 1);
    pack_map(pack, 1);
    pack_key(pack, "id");
    pack_str(pack, item);
    events->count++;
}

void events_add_json(struct events *events, const char *json)
{
    struct err err;
    char with_id[65536];
    const char *text = json;
    if (strstr(json, "{\"id\":") != json) {
        int needed = snprintf(with_id, sizeof with_id, "{\"id\":\"e%llu\",%s",
                              (unsigned long long)++events->id_count, json + 1);
        if (needed < 0 || (size_t)needed >= sizeof with_id)
            die("an event is too long");
        text = with_id;
    }
    if (transcode_from_json(text, strlen(text), &events->pack, &err) != ERR_OK)
        die(err.text);
    events->count++;
}

size_t events_end(struct events *events)
{
    pack_array_close(&events->pack, events->mark, events->count);
    if (events->pack.overflow)
        die("the batch is full");
    return events->pack.used;
}

void events_apply(struct store *store, const struct events *events, size_t len, int64_t arrival_ms)
{
    struct event_rules rules = {.strictness = EVENT_LENIENT, .arrival_ms = arrival_ms};
    store_apply_batch(store, events->bytes, len, &rules);
}
