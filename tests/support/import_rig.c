/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/import_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cursor.h"
#include "featurestore/event.h"

static bool is_new(struct import_fake *fake, uint64_t id)
{
    for (uint32_t i = 0; i < fake->count; i++) {
        if (fake->ids[i] == id)
            return false;
    }
    assert_true(fake->count < EVENTS_MAX);
    fake->ids[fake->count++] = id;
    return true;
}

static void take_event(struct import_fake *fake, struct cursor *cursor, uint32_t index,
                       struct import_reply *reply)
{
    struct text key;
    struct text id;
    uint32_t pairs;
    struct cursor event = *cursor;
    cursor_skip(cursor, NULL);
    assert_true(cursor_map(&event, &pairs) && cursor_text(&event, &key) && text_is(key, "id"));
    assert_true(cursor_text(&event, &id));
    char copy[65];
    uint64_t number = strtoull(text_copy(id, copy, sizeof copy), NULL, 10);
    if (fake->reject_every > 0 && number % fake->reject_every == 0) {
        reply->rejected++;
        if (reply->described < IMPORT_DESCRIBED_MAX) {
            reply->rejection[reply->described].index = index;
            snprintf(reply->rejection[reply->described].message, sizeof reply->rejection[0].message,
                     "items: no place left");
            reply->described++;
        }
    } else if (is_new(fake, number)) {
        reply->accepted++;
    } else {
        reply->duplicate++;
    }
}

enum import_answer import_rig_send(void *ctx, const void *events, size_t len,
                                   struct import_reply *ret_reply, struct err *err)
{
    struct import_fake *fake = ctx;
    uint32_t count;
    uint32_t call = fake->calls++;
    enum import_answer answer = call < fake->script_count ? fake->script[call] : IMPORT_TAKEN;
    if (fake->is_overloaded)
        answer = IMPORT_LATER;
    if (fake->stop_after_calls > 0 && fake->calls == fake->stop_after_calls)
        fake->stop = 1;
    if (answer != IMPORT_TAKEN) {
        err_set(err, ERR_IO, "answer %d", (int)answer);
        return answer;
    }
    assert_int_equal(cursor_check(events, len, UINT32_MAX, err), ERR_OK);
    struct cursor cursor = cursor_of(events, len);
    assert_true(cursor_array(&cursor, &count));
    fake->batch_events_max = count > fake->batch_events_max ? count : fake->batch_events_max;
    fake->batch_bytes_max = len > fake->batch_bytes_max ? len : fake->batch_bytes_max;
    memset(ret_reply, 0, sizeof *ret_reply);
    for (uint32_t i = 0; i < count; i++)
        take_event(fake, &cursor, i, ret_reply);
    return IMPORT_TAKEN;
}

void import_rig_pause(void *ctx, uint64_t us)
{
    struct import_fake *fake = ctx;
    fake->paused_us += us;
    fake->pauses++;
    clock_manual_advance_ns(&fake->clock, us * 1000);
}

void import_rig_create(struct import_rig *f, const char *name, const char *content)
{
    memset(f, 0, sizeof *f);
    temp_dir_create(&f->dir);
    temp_dir_write_text(&f->dir, name, content);
    clock_manual_init(&f->fake.clock, 1, INT64_C(1600000000000));
    f->job = (struct import_job){.path = temp_dir_path(&f->dir, name, f->path),
                                 .since_ms = INT64_MIN,
                                 .before_ms = INT64_MAX,
                                 .errors_max = UINT64_MAX,
                                 .stop = &f->fake.stop};
}

enum err_code import_rig_run(struct import_rig *f)
{
    struct import_link link = {&f->fake, &f->fake.clock.clock, import_rig_send, import_rig_pause};
    struct progress progress;
    free(f->messages);
    f->job.messages = open_memstream(&f->messages, &f->messages_len);
    progress_start_on(&progress, "importing", "lines", f->job.messages, false,
                      &f->fake.clock.clock);
    enum err_code rc = import_run(&f->job, &link, &progress, &f->result, &f->err);
    fclose(f->job.messages);
    return rc;
}

void import_rig_destroy(struct import_rig *f)
{
    free(f->messages);
    temp_dir_remove(&f->dir);
}

char *import_rig_lines(uint32_t count)
{
    struct buffer buffer = {0};
    size_t len;
    for (uint32_t i = 1; i <= count; i++)
        buffer_put_fmt(&buffer, "{\"id\":\"%u\",\"type\":\"view\",\"ts\":%llu,\"user\":\"u\"}\n", i,
                       1577836800000ULL + i * 1000ULL);
    char *text = buffer_take(&buffer, &len);
    assert_non_null(text);
    return text;
}
