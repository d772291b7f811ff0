/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/upload_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/rand.h"

#define UPLOAD_RIG_BODY_BYTES (512 * 1024)

int upload_rig_set_up(void **state)
{
    struct upload_rig *bench = calloc(1, sizeof *bench);
    char models[2 * TEMP_DIR_BYTES];
    if (bench == NULL)
        return -1;
    rig_create(&bench->rig);
    rig_start(&bench->rig);
    clock_manual_init(&bench->clock, 1000, 1700000000000);
    bench->body = malloc(UPLOAD_RIG_BODY_BYTES);
    bench->reply = malloc(CALL_REPLY_BYTES);
    if (bench->body == NULL || bench->reply == NULL ||
        arena_init(&bench->arena, 1 << 20, NULL) != ERR_OK ||
        model_ops_create(rig_path(&bench->rig, "models", models), bench->rig.registry, NULL,
                         &bench->clock.clock, &bench->ops, NULL) != ERR_OK)
        return -1;
    *state = bench;
    return 0;
}

int upload_rig_tear_down(void **state)
{
    struct upload_rig *bench = *state;
    model_ops_stop(bench->ops);
    registry_stop(bench->rig.registry);
    model_ops_destroy(&bench->ops);
    rig_destroy(&bench->rig);
    arena_deinit(&bench->arena);
    free(bench->body);
    free(bench->reply);
    free(bench);
    return 0;
}

struct upload_ask upload_ask(struct upload_rig *bench, const char *op)
{
    struct upload_ask ask = {
        .bench = bench, .pack = pack_into(bench->body, UPLOAD_RIG_BODY_BYTES), .pairs = 1};
    ask.mark = pack_map_open(&ask.pack);
    pack_key(&ask.pack, "op");
    pack_str(&ask.pack, op);
    return ask;
}

void upload_ask_text(struct upload_ask *ask, const char *key, const char *value)
{
    pack_str(&ask->pack, key);
    pack_str(&ask->pack, value);
    ask->pairs++;
}

static void call_complete(struct call *call)
{
    struct err none = {0};
    outcome_done(call->owner, ERR_OK, &none);
}

enum call_state upload_ask_start(struct upload_ask *ask)
{
    struct upload_rig *bench = ask->bench;
    struct request request;
    struct err err = {0};
    char field[REQUEST_FIELD_BYTES];
    const struct audit_who who = audit_who_named("a test");
    pack_map_close(&ask->pack, ask->mark, ask->pairs);
    assert_false(ask->pack.overflow);
    outcome_init(&ask->outcome);
    ask->call = (struct call){.request = bench->body,
                              .request_bytes = ask->pack.used,
                              .local = true,
                              .reply = bench->reply,
                              .reply_capacity = CALL_REPLY_BYTES,
                              .complete = call_complete,
                              .owner = &ask->outcome};
    arena_reset(&bench->arena);
    assert_int_equal(
        request_decode(bench->body, ask->pack.used, &bench->arena, &request, field, &err), ERR_OK);
    enum call_state call_state = model_ops_call(bench->ops, &ask->call, &request, &who);
    if (call_state == CALL_DONE)
        call_complete(&ask->call);
    memset(&request, 0x5a, sizeof request); /* nobody may look at it any more */
    return call_state;
}

enum reply_code upload_ask_finish(struct upload_ask *ask)
{
    const struct upload_rig *bench = ask->bench;
    assert_int_equal(outcome_wait(&ask->outcome), ERR_OK);
    assert_int_equal(cursor_check(bench->reply, ask->call.reply_bytes, CURSOR_VALUES_MAX, NULL),
                     ERR_OK);
    return ask->call.code;
}

enum reply_code upload_ask_send(struct upload_ask *ask)
{
    (void)upload_ask_start(ask);
    return upload_ask_finish(ask);
}

enum reply_code upload_rig_send_begin(struct upload_ask *ask, char ret_upload[ULID_BYTES])
{
    const struct upload_rig *bench = ask->bench;
    enum reply_code code = upload_ask_send(ask);
    if (code != REPLY_ok)
        return code;
    struct cursor at = cursor_of(bench->reply, ask->call.reply_bytes);
    uint32_t pairs = 0;
    assert_true(cursor_map(&at, &pairs));
    ret_upload[0] = '\0';
    for (uint32_t i = 0; i < pairs; i++) {
        struct text key, value;
        assert_true(cursor_text(&at, &key));
        if (text_is(key, "upload") && cursor_text(&at, &value))
            text_copy(value, ret_upload, ULID_BYTES);
        else
            cursor_skip(&at, NULL);
    }
    assert_int_equal(strlen(ret_upload), ULID_BYTES - 1);
    return code;
}

enum reply_code upload_rig_begin(struct upload_rig *bench, const char *name, const char *version,
                                 char ret_upload[ULID_BYTES])
{
    struct upload_ask ask = upload_ask(bench, "model_begin");
    upload_ask_text(&ask, "name", name);
    upload_ask_text(&ask, "version", version);
    return upload_rig_send_begin(&ask, ret_upload);
}

struct upload_ask upload_ask_chunk(struct upload_rig *bench, const char *upload, const char *path,
                                   int64_t offset, const void *bytes, size_t len)
{
    struct upload_ask ask = upload_ask(bench, "model_chunk");
    upload_ask_text(&ask, "upload", upload);
    upload_ask_text(&ask, "path", path);
    pack_key(&ask.pack, "offset");
    pack_int(&ask.pack, offset);
    pack_key(&ask.pack, "data");
    pack_bin(&ask.pack, bytes, (uint32_t)len);
    ask.pairs += 2;
    return ask;
}

enum reply_code upload_rig_chunk(struct upload_rig *bench, const char *upload, const char *path,
                                 int64_t offset, const void *bytes, size_t len)
{
    struct upload_ask ask = upload_ask_chunk(bench, upload, path, offset, bytes, len);
    return upload_ask_send(&ask);
}

int upload_rig_entries(const struct upload_rig *bench, const char *below)
{
    char path[2 * TEMP_DIR_BYTES];
    int count = 0;
    DIR *dir = opendir(rig_path(&bench->rig, below, path));
    if (dir == NULL)
        return -1;
    for (struct dirent *entry = NULL; (entry = readdir(dir)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}
