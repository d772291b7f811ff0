/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads in pieces as a client sends them, good and abusive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/file.h"
#include "base/rand.h"
#include "server/control/model_ops.h"
#include "server/protocol/reply.h"
#include "tests/support/registry_rig.h"
#include "tests/support/upload_rig.h"

/* True when the reply holds the text somewhere. */
static bool replied(const struct upload_ask *ask, const char *text)
{
    return memmem(ask->bench->reply, ask->call.reply_bytes, text, strlen(text)) != NULL;
}

static enum reply_code begin_release(struct upload_rig *bench, const char *id,
                                     char ret_upload[ULID_BYTES])
{
    struct upload_ask ask = upload_ask(bench, "release_begin");
    upload_ask_text(&ask, "release", id);
    return upload_rig_send_begin(&ask, ret_upload);
}

static enum reply_code finish(struct upload_rig *bench, const char *op, const char *upload,
                              const char *told)
{
    struct upload_ask ask = upload_ask(bench, op);
    upload_ask_text(&ask, "upload", upload);
    enum reply_code code = upload_ask_send(&ask);
    assert_true(told == NULL || replied(&ask, told));
    return code;
}

/* Sends a file of a folder in pieces of `step` bytes. */
static void send_file(struct upload_rig *bench, const char *upload, const char *dir,
                      const char *name, size_t step)
{
    char path[4 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(file_read(path, 1 << 20, &bytes, &len, NULL), ERR_OK);
    for (size_t at = 0; at < len; at += step) {
        size_t piece = len - at < step ? len - at : step;
        assert_int_equal(upload_rig_chunk(bench, upload, name, (int64_t)at, bytes + at, piece),
                         REPLY_ok);
    }
    free(bytes);
}

static const char *const popularity_files[] = {"scores.safetensors", "golden.json", "item_ids.txt",
                                               "manifest.json"};

static void send_sample(struct upload_rig *bench, const char *upload, const char *name,
                        const char *version)
{
    char work[2 * TEMP_DIR_BYTES];
    model_sample_write(rig_path(&bench->rig, "work", work), name, version, MODEL_popularity);
    for (int i = 0; i < 4; i++)
        send_file(bench, upload, work, popularity_files[i], 37);
    assert_int_equal(file_remove_tree(work, NULL), ERR_OK);
}

static void test_an_upload_in_small_pieces_serves(void **state)
{
    struct upload_rig *bench = *state;
    char upload[ULID_BYTES];
    assert_int_equal(upload_rig_begin(bench, "m", "1", upload), REPLY_ok);
    send_sample(bench, upload, "m", "1");
    assert_int_equal(upload_rig_entries(bench, "models/.incoming"), 1);
    assert_int_equal(finish(bench, "model_commit", upload, "version"), REPLY_ok);
    assert_string_equal(rig_serving(&bench->rig, "m"), "1");
    assert_int_equal(upload_rig_entries(bench, "models/.incoming"), 0);
    assert_int_equal(finish(bench, "model_commit", upload, NULL), REPLY_not_found);

    /* The very same again, and another one, which can be taken back. */
    assert_int_equal(upload_rig_begin(bench, "m", "1", upload), REPLY_ok);
    send_sample(bench, upload, "m", "1");
    assert_int_equal(finish(bench, "model_commit", upload, NULL), REPLY_ok);
    assert_int_equal(upload_rig_begin(bench, "m", "2", upload), REPLY_ok);
    send_sample(bench, upload, "m", "2");
    assert_int_equal(finish(bench, "model_commit", upload, NULL), REPLY_ok);
    assert_string_equal(rig_serving(&bench->rig, "m"), "2");
    struct upload_ask ask = upload_ask(bench, "model_rollback");
    upload_ask_text(&ask, "name", "m");
    assert_int_equal(upload_ask_send(&ask), REPLY_ok);
    assert_string_equal(rig_serving(&bench->rig, "m"), "1");
    ask = upload_ask(bench, "model_rollback");
    upload_ask_text(&ask, "name", "m");
    assert_int_equal(upload_ask_send(&ask), REPLY_not_found);
    ask = upload_ask(bench, "model_list");
    assert_int_equal(upload_ask_send(&ask), REPLY_ok);
    assert_true(replied(&ask, "stable"));
    assert_true(replied(&ask, "loads"));
}

static void test_a_bad_bundle_leaves_nothing_behind(void **state)
{
    struct upload_rig *bench = *state;
    char upload[ULID_BYTES];
    assert_int_equal(upload_rig_begin(bench, "m", "1", upload), REPLY_ok);
    send_sample(bench, upload, "m", "1");
    assert_int_equal(upload_rig_chunk(bench, upload, "surplus", 0, "x", 1), REPLY_ok);
    assert_int_equal(finish(bench, "model_commit", upload, "surplus"), REPLY_bad_request);
    assert_int_equal(upload_rig_entries(bench, "models/.incoming"), 0);
    assert_int_equal(upload_rig_entries(bench, "models"), 2); /* .incoming and .lock */
    assert_int_equal(registry_serving_count(bench->rig.registry), 0);
    /* One without any file. */
    assert_int_equal(upload_rig_begin(bench, "m", "1", upload), REPLY_ok);
    assert_int_not_equal(finish(bench, "model_commit", upload, "manifest.json"), REPLY_ok);
    assert_int_equal(upload_rig_entries(bench, "models/.incoming"), 0);
}

static void test_names_and_paths_that_lead_elsewhere_are_refused(void **state)
{
    static const char *const names[] = {"",        ".",   "..",  "../m", "a/b",
                                        ".hidden", "-rf", "a b", "m\n",  "\xc3\xa9"};
    struct upload_rig *bench = *state;
    char upload[ULID_BYTES], long_name[80];
    memset(long_name, 'a', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(upload_rig_begin(bench, names[i], "1", upload), REPLY_bad_request);
        assert_int_equal(upload_rig_begin(bench, "m", names[i], upload), REPLY_bad_request);
    }
    assert_int_equal(upload_rig_begin(bench, long_name, "1", upload), REPLY_bad_request);
    assert_int_equal(upload_rig_entries(bench, "models/.incoming"), -1);

    assert_int_equal(upload_rig_begin(bench, "m", "1", upload), REPLY_ok);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(upload_rig_chunk(bench, upload, names[i], 0, "x", 1), REPLY_bad_request);
    assert_int_equal(upload_rig_chunk(bench, upload, "/etc/passwd", 0, "x", 1), REPLY_bad_request);
    assert_int_equal(upload_rig_chunk(bench, upload, long_name, 0, "x", 1), REPLY_bad_request);
    /* A NUL within the text must not shorten it. */
    struct upload_ask ask = upload_ask(bench, "model_chunk");
    upload_ask_text(&ask, "upload", upload);
    pack_key(&ask.pack, "path");
    pack_text(&ask.pack, (struct text){"ok\0/../../x", 11});
    pack_key(&ask.pack, "offset");
    pack_int(&ask.pack, 0);
    pack_key(&ask.pack, "data");
    pack_bin(&ask.pack, "x", 1);
    ask.pairs += 3;
    assert_int_equal(upload_ask_send(&ask), REPLY_bad_request);
    assert_int_equal(upload_rig_entries(bench, "models/.incoming"), 1);
    assert_int_equal(finish(bench, "model_abort", upload, NULL), REPLY_ok);
    assert_int_equal(upload_rig_entries(bench, "models/.incoming"), 0);
    assert_int_equal(finish(bench, "model_abort", upload, NULL), REPLY_not_found);
    assert_int_equal(upload_rig_chunk(bench, upload, "a", 0, "x", 1), REPLY_not_found);
    assert_int_equal(finish(bench, "model_commit", "../../etc", NULL), REPLY_not_found);
    assert_int_equal(finish(bench, "model_commit", "", NULL), REPLY_not_found);
}

static void expect_file(const struct upload_rig *bench, const char *upload, const char *name,
                        const uint8_t *expected, size_t expected_len)
{
    char below[128], path[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    snprintf(below, sizeof below, "models/.incoming/%s/%s", upload, name);
    assert_int_equal(file_read(rig_path(&bench->rig, below, path), 2 * MODEL_CHUNK_BYTES_MAX,
                               &bytes, &len, NULL),
                     ERR_OK);
    assert_int_equal(len, expected_len);
    assert_memory_equal(bytes, expected, len);
    free(bytes);
}

static void test_pieces_follow_each_other_and_the_last_may_come_again(void **state)
{
    struct upload_rig *bench = *state;
    char upload[ULID_BYTES];
    uint8_t *large = calloc(1, MODEL_CHUNK_BYTES_MAX + 1);
    assert_non_null(large);
    assert_int_equal(upload_rig_begin(bench, "m", "1", upload), REPLY_ok);
    assert_int_equal(upload_rig_chunk(bench, upload, "a", 1, "x", 1),
                     REPLY_bad_request); /* a gap */
    assert_int_equal(upload_rig_chunk(bench, upload, "a", -1, "x", 1), REPLY_bad_request);
    assert_int_equal(upload_rig_chunk(bench, upload, "a", INT64_MAX, "x", 1), REPLY_bad_request);
    assert_int_equal(upload_rig_chunk(bench, upload, "a", 0, "hello", 5), REPLY_ok);
    assert_int_equal(upload_rig_chunk(bench, upload, "a", 5, " wo", 3), REPLY_ok);
    assert_int_equal(upload_rig_chunk(bench, upload, "a", 5, " world", 6),
                     REPLY_ok); /* again, longer */
    assert_int_equal(upload_rig_chunk(bench, upload, "a", 0, "J", 1), REPLY_bad_request);
    assert_int_equal(upload_rig_chunk(bench, upload, "a", 12, "!", 1), REPLY_bad_request);
    assert_int_equal(upload_rig_chunk(bench, upload, "a", 5, ".", 1),
                     REPLY_ok);                                                 /* again, shorter */
    assert_int_equal(upload_rig_chunk(bench, upload, "b", 0, "", 0), REPLY_ok); /* an empty file */
    assert_int_equal(upload_rig_chunk(bench, upload, "c", 0, large, MODEL_CHUNK_BYTES_MAX),
                     REPLY_ok);
    assert_int_equal(upload_rig_chunk(bench, upload, "c", MODEL_CHUNK_BYTES_MAX, large,
                                      MODEL_CHUNK_BYTES_MAX + 1),
                     REPLY_too_large);
    expect_file(bench, upload, "a", (const uint8_t *)"hello.", 6);
    free(large);
}

/* A piece goes to disk in parts. */
static void test_large_pieces_are_written_as_they_came(void **state)
{
    enum { SHORTER = 100001 };
    struct upload_rig *bench = *state;
    char upload[ULID_BYTES];
    uint8_t *large = malloc(2 * MODEL_CHUNK_BYTES_MAX);
    assert_non_null(large);
    for (uint32_t i = 0; i < 2 * MODEL_CHUNK_BYTES_MAX; i++)
        large[i] = (uint8_t)((i * UINT32_C(2654435761)) >> 24);
    uint8_t *second = large + MODEL_CHUNK_BYTES_MAX;
    assert_int_equal(upload_rig_begin(bench, "m", "1", upload), REPLY_ok);
    assert_int_equal(upload_rig_chunk(bench, upload, "a", 0, large, MODEL_CHUNK_BYTES_MAX),
                     REPLY_ok);
    assert_int_equal(
        upload_rig_chunk(bench, upload, "a", MODEL_CHUNK_BYTES_MAX, second, MODEL_CHUNK_BYTES_MAX),
        REPLY_ok);
    expect_file(bench, upload, "a", large, 2 * MODEL_CHUNK_BYTES_MAX);
    assert_int_equal(upload_rig_chunk(bench, upload, "a", MODEL_CHUNK_BYTES_MAX, second, SHORTER),
                     REPLY_ok);
    expect_file(bench, upload, "a", large, MODEL_CHUNK_BYTES_MAX + SHORTER);
    assert_int_equal(upload_rig_chunk(bench, upload, "a", 1, second, SHORTER), REPLY_bad_request);
    expect_file(bench, upload, "a", large, MODEL_CHUNK_BYTES_MAX + SHORTER);
    free(large);
}

static void test_uploads_and_files_are_bounded(void **state)
{
    struct upload_rig *bench = *state;
    char upload[MODEL_UPLOADS_MAX][ULID_BYTES], name[ULID_BYTES];
    for (int i = 0; i < MODEL_UPLOADS_MAX; i++)
        assert_int_equal(upload_rig_begin(bench, "m", "1", upload[i]), REPLY_ok);
    assert_int_equal(upload_rig_begin(bench, "m", "1", name), REPLY_overloaded);
    for (int i = 0; i < BUNDLE_FILES_MAX + 3; i++) {
        snprintf(name, sizeof name, "f%d", i);
        assert_int_equal(upload_rig_chunk(bench, upload[0], name, 0, "x", 1), REPLY_ok);
    }
    assert_int_equal(upload_rig_chunk(bench, upload[0], "more", 0, "x", 1), REPLY_too_large);
    assert_int_equal(finish(bench, "model_abort", upload[0], NULL), REPLY_ok);
    assert_int_equal(upload_rig_begin(bench, "m", "1", upload[0]), REPLY_ok);
}

/* The hint of the refusal. */
static uint32_t refused_for_ms(struct upload_rig *bench)
{
    static const char key[] = "\xaeretry_after_ms";
    struct upload_ask ask = upload_ask(bench, "model_begin");
    int64_t ms = 0;
    upload_ask_text(&ask, "name", "m");
    upload_ask_text(&ask, "version", "1");
    assert_int_equal(upload_ask_send(&ask), REPLY_overloaded);
    const uint8_t *at = memmem(bench->reply, ask.call.reply_bytes, key, sizeof key - 1);
    assert_non_null(at);
    at += sizeof key - 1;
    struct cursor value = cursor_of(at, (size_t)(bench->reply + ask.call.reply_bytes - at));
    assert_true(cursor_int(&value, &ms));
    return (uint32_t)ms;
}

static void test_who_is_one_too_many_is_told_when_there_may_be_room(void **state)
{
    const uint64_t ms_ns = 1000000;
    struct upload_rig *bench = *state;
    char upload[MODEL_UPLOADS_MAX][ULID_BYTES], name[ULID_BYTES];
    for (int i = 0; i < MODEL_UPLOADS_MAX; i++)
        assert_int_equal(upload_rig_begin(bench, "m", "1", upload[i]), REPLY_ok);
    assert_int_equal(refused_for_ms(bench), 60000); /* somebody may finish before */
    clock_manual_advance_ns(&bench->clock, (MODEL_UPLOAD_IDLE_MS - 20000) * ms_ns);
    assert_int_equal(refused_for_ms(bench), 20000);
    for (int i = 1; i < MODEL_UPLOADS_MAX; i++)
        assert_int_equal(upload_rig_chunk(bench, upload[i], "a", 0, "x", 1), REPLY_ok);
    clock_manual_advance_ns(&bench->clock, 19999 * ms_ns);
    assert_int_equal(refused_for_ms(bench), 1); /* of the one that was silent */
    clock_manual_advance_ns(&bench->clock, ms_ns);
    assert_int_equal(upload_rig_begin(bench, "m", "1", name), REPLY_ok);
    assert_int_equal(refused_for_ms(bench), 60000);
}

static void test_paths_of_a_release_stay_within_it(void **state)
{
    static const char *const bad[] = {"../x",     "a/../x", "/etc/x",  "a//b",      "a/1/",
                                      "a/.hid/x", "a/1/..", ".hidden", "a/1/2/3/4", "",
                                      "a b",      "./a",    "a/-x"};
    struct upload_rig *bench = *state;
    char upload[ULID_BYTES], long_path[400];
    assert_int_equal(begin_release(bench, "..", upload), REPLY_bad_request);
    assert_int_equal(begin_release(bench, "r1", upload), REPLY_ok);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(upload_rig_chunk(bench, upload, bad[i], 0, "x", 1), REPLY_bad_request);
    memset(long_path, 'a', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(upload_rig_chunk(bench, upload, long_path, 0, "x", 1), REPLY_bad_request);
    assert_int_equal(upload_rig_chunk(bench, upload, "a/1/x", 0, "x", 1), REPLY_ok);
    assert_int_equal(upload_rig_chunk(bench, upload, "a/1/x", 1, "y", 1), REPLY_ok);
    /* Neither is what the other is committed as. */
    assert_int_equal(finish(bench, "model_commit", upload, "begun for a release"),
                     REPLY_bad_request);
    assert_int_equal(upload_rig_entries(bench, "models/.incoming"), 0);
    assert_int_equal(upload_rig_begin(bench, "m", "1", upload), REPLY_ok);
    assert_int_equal(upload_rig_chunk(bench, upload, "a/1/x", 0, "x", 1), REPLY_bad_request);
    assert_int_equal(finish(bench, "release_commit", upload, "begun for a model"),
                     REPLY_bad_request);
    /* What is no release leaves nothing behind. */
    assert_int_equal(begin_release(bench, "r1", upload), REPLY_ok);
    assert_int_equal(upload_rig_chunk(bench, upload, "a/1/x", 0, "x", 1), REPLY_ok);
    assert_int_equal(finish(bench, "release_commit", upload, "a/1: "), REPLY_not_found);
    assert_int_equal(upload_rig_entries(bench, "models/.incoming"), 0);
    struct upload_ask ask = upload_ask(bench, "release_list");
    assert_int_equal(upload_ask_send(&ask), REPLY_ok);
    assert_false(replied(&ask, "r1"));
    ask = upload_ask(bench, "release_rollback");
    assert_int_equal(upload_ask_send(&ask), REPLY_not_found);
}

static void test_missing_and_mistyped_keys_are_named(void **state)
{
    struct upload_rig *bench = *state;
    struct upload_ask ask = upload_ask(bench, "model_begin");
    assert_int_equal(upload_ask_send(&ask), REPLY_bad_request);
    assert_true(replied(&ask, "name"));
    ask = upload_ask(bench, "model_begin");
    upload_ask_text(&ask, "name", "m");
    pack_key(&ask.pack, "version");
    pack_int(&ask.pack, 1);
    ask.pairs++;
    assert_int_equal(upload_ask_send(&ask), REPLY_bad_request);
    assert_true(replied(&ask, "version"));
    ask = upload_ask(bench, "model_chunk");
    upload_ask_text(&ask, "upload", "x");
    upload_ask_text(&ask, "path", "a");
    upload_ask_text(&ask, "offset", "0");
    assert_int_equal(upload_ask_send(&ask), REPLY_bad_request);
    assert_true(replied(&ask, "offset"));
    ask = upload_ask(bench, "model_rollback");
    upload_ask_text(&ask, "name", "..");
    assert_int_equal(upload_ask_send(&ask), REPLY_bad_request);
    ask = upload_ask(bench, "model_commit");
    assert_int_equal(upload_ask_send(&ask), REPLY_bad_request);
}

#define WITH_BENCH(test) \
    cmocka_unit_test_setup_teardown(test, upload_rig_set_up, upload_rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(test_an_upload_in_small_pieces_serves),
        WITH_BENCH(test_a_bad_bundle_leaves_nothing_behind),
        WITH_BENCH(test_names_and_paths_that_lead_elsewhere_are_refused),
        WITH_BENCH(test_pieces_follow_each_other_and_the_last_may_come_again),
        WITH_BENCH(test_large_pieces_are_written_as_they_came),
        WITH_BENCH(test_uploads_and_files_are_bounded),
        WITH_BENCH(test_who_is_one_too_many_is_told_when_there_may_be_room),
        WITH_BENCH(test_paths_of_a_release_stay_within_it),
        WITH_BENCH(test_missing_and_mistyped_keys_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
