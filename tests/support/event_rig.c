/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/event_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h needs some of the above */
#include <cmocka.h>

#include "base/transcode.h"

void event_rig_create(struct event_rig *rig)
{
    rig->rules =
        (struct event_rules){.strictness = EVENT_LENIENT, .arrival_ms = EVENT_RIG_ARRIVAL_MS};
    assert_int_equal(arena_init(&rig->arena, 1 << 18, &rig->err), ERR_OK);
}

void event_rig_destroy(struct event_rig *rig)
{
    arena_deinit(&rig->arena);
}

enum err_code event_rig_decode_packed(struct event_rig *rig, struct event *ret_event)
{
    arena_reset(&rig->arena);
    rig->err = (struct err){0};
    assert_int_equal(cursor_check(rig->bytes, rig->len, CURSOR_VALUES_MAX, &rig->err), ERR_OK);
    struct cursor cursor = cursor_of(rig->bytes, rig->len);
    enum err_code rc = event_decode_by(&cursor, &rig->rules, &rig->arena, ret_event, &rig->err);
    assert_ptr_equal(cursor.at, rig->bytes + rig->len); /* behind the event, also after a refusal */
    return rc;
}

enum err_code event_rig_decode(struct event_rig *rig, const char *json, struct event *ret_event)
{
    struct pack pack = pack_into(rig->bytes, sizeof rig->bytes);
    assert_int_equal(transcode_from_json(json, strlen(json), &pack, &rig->err), ERR_OK);
    rig->len = pack.used;
    return event_rig_decode_packed(rig, ret_event);
}

void event_rig_assert_refused(struct event_rig *rig, const char *json, enum err_code code,
                              const char *text)
{
    struct event event = {.ts_ms = 77};
    enum err_code rc = event_rig_decode(rig, json, &event);
    if (rc != code || strcmp(rig->err.text, text) != 0)
        fail_msg("%s\n  gave %d '%s'", json, rc, rig->err.text);
    assert_int_equal(event.ts_ms, 77); /* a refused event leaves the output alone */
}

uint32_t event_rig_map_count(struct event_rig *rig, struct text raw)
{
    struct cursor cursor = cursor_of((const uint8_t *)raw.ptr, raw.len);
    uint32_t count = 0;
    assert_int_equal(cursor_check(cursor.at, raw.len, CURSOR_VALUES_MAX, &rig->err), ERR_OK);
    assert_true(cursor_map(&cursor, &count));
    return count;
}

struct pack event_rig_pack_view(struct event_rig *rig, const char *key)
{
    struct pack pack = pack_into(rig->bytes, sizeof rig->bytes);
    pack_map(&pack, 4);
    pack_key(&pack, "id");
    pack_str(&pack, "e");
    pack_key(&pack, "type");
    pack_str(&pack, "view");
    pack_key(&pack, "user");
    pack_str(&pack, "u");
    pack_str(&pack, key);
    return pack;
}
