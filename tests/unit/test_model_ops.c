/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads in pieces as a client sends them, good and abusive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/file.h"
#include "base/rand.h"
#include "server/control/model_ops.h"
#include "server/protocol/reply.h"
#include "tests/support/registry_rig.h"

#define BODY_BYTES (512 * 1024)

struct bench {
    struct registry_rig rig;
    struct clock_manual clock;
    struct model_ops *ops;
    struct arena arena;
    uint8_t *body, *reply;
};

/* One request, built key by key, and what was answered. */
struct ask {
    struct bench *bench;
    struct pack pack;
    size_t mark;
    uint32_t pairs;
    struct call call;
    struct outcome outcome;
};

static int setup(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    char models[2 * TEMP_DIR_BYTES];
    if (bench == NULL)
        return -1;
    rig_create(&bench->rig);
    rig_start(&bench->rig);
    clock_manual_init(&bench->clock, 1000, 1700000000000);
    bench->body = malloc(BODY_BYTES);
    bench->reply = malloc(CALL_REPLY_BYTES);
    if (bench->body == NULL || bench->reply == NULL ||
        arena_init(&bench->arena, 1 << 20, NULL) != ERR_OK ||
        model_ops_create(rig_path(&bench->rig, "models", models), bench->rig.registry, NULL,
                         &bench->clock.clock, &bench->ops, NULL) != ERR_OK)
        return -1;
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;
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

static struct ask ask_begin(struct bench *bench, const char *op)
{
    struct ask ask = {.bench = bench, .pack = pack_into(bench->body, BODY_BYTES), .pairs = 1};
    ask.mark = pack_map_open(&ask.pack);
    pack_key(&ask.pack, "op");
    pack_str(&ask.pack, op);
    return ask;
}

static void ask_text(struct ask *ask, const char *key, const char *value)
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

static enum call_state ask_start(struct ask *ask)
{
    struct bench *bench = ask->bench;
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

static enum reply_code ask_finish(struct ask *ask)
{
    const struct bench *bench = ask->bench;
    assert_int_equal(outcome_wait(&ask->outcome), ERR_OK);
    assert_int_equal(cursor_check(bench->reply, ask->call.reply_bytes, CURSOR_VALUES_MAX, NULL),
                     ERR_OK);
    return ask->call.code;
}

/* Sends it and waits for the reply. */
static enum reply_code ask_send(struct ask *ask)
{
    (void)ask_start(ask);
    return ask_finish(ask);
}

/* True when the reply holds the text somewhere. */
static bool replied(const struct ask *ask, const char *text)
{
    return memmem(ask->bench->reply, ask->call.reply_bytes, text, strlen(text)) != NULL;
}

/* Sends a request whose reply names an upload. */
static enum reply_code send_begin(struct ask *ask, char ret_upload[ULID_BYTES])
{
    const struct bench *bench = ask->bench;
    enum reply_code code = ask_send(ask);
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

static enum reply_code begin(struct bench *bench, const char *name, const char *version,
                             char ret_upload[ULID_BYTES])
{
    struct ask ask = ask_begin(bench, "model_begin");
    ask_text(&ask, "name", name);
    ask_text(&ask, "version", version);
    return send_begin(&ask, ret_upload);
}

static enum reply_code begin_release(struct bench *bench, const char *id,
                                     char ret_upload[ULID_BYTES])
{
    struct ask ask = ask_begin(bench, "release_begin");
    ask_text(&ask, "release", id);
    return send_begin(&ask, ret_upload);
}

static struct ask ask_chunk(struct bench *bench, const char *upload, const char *path,
                            int64_t offset, const void *bytes, size_t len)
{
    struct ask ask = ask_begin(bench, "model_chunk");
    ask_text(&ask, "upload", upload);
    ask_text(&ask, "path", path);
    pack_key(&ask.pack, "offset");
    pack_int(&ask.pack, offset);
    pack_key(&ask.pack, "data");
    pack_bin(&ask.pack, bytes, (uint32_t)len);
    ask.pairs += 2;
    return ask;
}

static enum reply_code chunk(struct bench *bench, const char *upload, const char *path,
                             int64_t offset, const void *bytes, size_t len)
{
    struct ask ask = ask_chunk(bench, upload, path, offset, bytes, len);
    return ask_send(&ask);
}

static enum reply_code finish(struct bench *bench, const char *op, const char *upload,
                              const char *told)
{
    struct ask ask = ask_begin(bench, op);
    ask_text(&ask, "upload", upload);
    enum reply_code code = ask_send(&ask);
    assert_true(told == NULL || replied(&ask, told));
    return code;
}

/* Sends a file of a folder in pieces of `step` bytes. */
static void send_file(struct bench *bench, const char *upload, const char *dir, const char *name,
                      size_t step)
{
    char path[4 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(file_read(path, 1 << 20, &bytes, &len, NULL), ERR_OK);
    for (size_t at = 0; at < len; at += step) {
        size_t piece = len - at < step ? len - at : step;
        assert_int_equal(chunk(bench, upload, name, (int64_t)at, bytes + at, piece), REPLY_ok);
    }
    free(bytes);
}

static const char *const popularity_files[] = {"scores.safetensors", "golden.json", "item_ids.txt",
                                               "manifest.json"};

static void send_sample(struct bench *bench, const char *upload, const char *name,
                        const char *version)
{
    char work[2 * TEMP_DIR_BYTES];
    model_sample_write(rig_path(&bench->rig, "work", work), name, version, MODEL_popularity);
    for (int i = 0; i < 4; i++)
        send_file(bench, upload, work, popularity_files[i], 37);
    assert_int_equal(file_remove_tree(work, NULL), ERR_OK);
}

/* Entries of a folder below DIR, -1 when it is not there. */
static int entries(const struct bench *bench, const char *below)
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

static void test_an_upload_in_small_pieces_serves(void **state)
{
    struct bench *bench = *state;
    char upload[ULID_BYTES];
    assert_int_equal(begin(bench, "m", "1", upload), REPLY_ok);
    send_sample(bench, upload, "m", "1");
    assert_int_equal(entries(bench, "models/.incoming"), 1);
    assert_int_equal(finish(bench, "model_commit", upload, "version"), REPLY_ok);
    assert_string_equal(rig_serving(&bench->rig, "m"), "1");
    assert_int_equal(entries(bench, "models/.incoming"), 0);
    assert_int_equal(finish(bench, "model_commit", upload, NULL), REPLY_not_found);

    /* The very same again, and another one, which can be taken back. */
    assert_int_equal(begin(bench, "m", "1", upload), REPLY_ok);
    send_sample(bench, upload, "m", "1");
    assert_int_equal(finish(bench, "model_commit", upload, NULL), REPLY_ok);
    assert_int_equal(begin(bench, "m", "2", upload), REPLY_ok);
    send_sample(bench, upload, "m", "2");
    assert_int_equal(finish(bench, "model_commit", upload, NULL), REPLY_ok);
    assert_string_equal(rig_serving(&bench->rig, "m"), "2");
    struct ask ask = ask_begin(bench, "model_rollback");
    ask_text(&ask, "name", "m");
    assert_int_equal(ask_send(&ask), REPLY_ok);
    assert_string_equal(rig_serving(&bench->rig, "m"), "1");
    ask = ask_begin(bench, "model_rollback");
    ask_text(&ask, "name", "m");
    assert_int_equal(ask_send(&ask), REPLY_not_found);
    ask = ask_begin(bench, "model_list");
    assert_int_equal(ask_send(&ask), REPLY_ok);
    assert_true(replied(&ask, "stable"));
    assert_true(replied(&ask, "loads"));
}

static void test_a_bad_bundle_leaves_nothing_behind(void **state)
{
    struct bench *bench = *state;
    char upload[ULID_BYTES];
    assert_int_equal(begin(bench, "m", "1", upload), REPLY_ok);
    send_sample(bench, upload, "m", "1");
    assert_int_equal(chunk(bench, upload, "surplus", 0, "x", 1), REPLY_ok);
    assert_int_equal(finish(bench, "model_commit", upload, "surplus"), REPLY_bad_request);
    assert_int_equal(entries(bench, "models/.incoming"), 0);
    assert_int_equal(entries(bench, "models"), 2); /* .incoming and .lock */
    assert_int_equal(registry_serving_count(bench->rig.registry), 0);
    /* One without any file. */
    assert_int_equal(begin(bench, "m", "1", upload), REPLY_ok);
    assert_int_not_equal(finish(bench, "model_commit", upload, "manifest.json"), REPLY_ok);
    assert_int_equal(entries(bench, "models/.incoming"), 0);
}

static void test_names_and_paths_that_lead_elsewhere_are_refused(void **state)
{
    static const char *const names[] = {"",        ".",   "..",  "../m", "a/b",
                                        ".hidden", "-rf", "a b", "m\n",  "\xc3\xa9"};
    struct bench *bench = *state;
    char upload[ULID_BYTES], long_name[80];
    memset(long_name, 'a', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(begin(bench, names[i], "1", upload), REPLY_bad_request);
        assert_int_equal(begin(bench, "m", names[i], upload), REPLY_bad_request);
    }
    assert_int_equal(begin(bench, long_name, "1", upload), REPLY_bad_request);
    assert_int_equal(entries(bench, "models/.incoming"), -1);

    assert_int_equal(begin(bench, "m", "1", upload), REPLY_ok);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(chunk(bench, upload, names[i], 0, "x", 1), REPLY_bad_request);
    assert_int_equal(chunk(bench, upload, "/etc/passwd", 0, "x", 1), REPLY_bad_request);
    assert_int_equal(chunk(bench, upload, long_name, 0, "x", 1), REPLY_bad_request);
    /* A NUL within the text must not shorten it. */
    struct ask ask = ask_begin(bench, "model_chunk");
    ask_text(&ask, "upload", upload);
    pack_key(&ask.pack, "path");
    pack_text(&ask.pack, (struct text){"ok\0/../../x", 11});
    pack_key(&ask.pack, "offset");
    pack_int(&ask.pack, 0);
    pack_key(&ask.pack, "data");
    pack_bin(&ask.pack, "x", 1);
    ask.pairs += 3;
    assert_int_equal(ask_send(&ask), REPLY_bad_request);
    assert_int_equal(entries(bench, "models/.incoming"), 1);
    assert_int_equal(finish(bench, "model_abort", upload, NULL), REPLY_ok);
    assert_int_equal(entries(bench, "models/.incoming"), 0);
    assert_int_equal(finish(bench, "model_abort", upload, NULL), REPLY_not_found);
    assert_int_equal(chunk(bench, upload, "a", 0, "x", 1), REPLY_not_found);
    assert_int_equal(finish(bench, "model_commit", "../../etc", NULL), REPLY_not_found);
    assert_int_equal(finish(bench, "model_commit", "", NULL), REPLY_not_found);
}

static void expect_file(const struct bench *bench, const char *upload, const char *name,
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
    struct bench *bench = *state;
    char upload[ULID_BYTES];
    uint8_t *large = calloc(1, MODEL_CHUNK_BYTES_MAX + 1);
    assert_non_null(large);
    assert_int_equal(begin(bench, "m", "1", upload), REPLY_ok);
    assert_int_equal(chunk(bench, upload, "a", 1, "x", 1), REPLY_bad_request); /* a gap */
    assert_int_equal(chunk(bench, upload, "a", -1, "x", 1), REPLY_bad_request);
    assert_int_equal(chunk(bench, upload, "a", INT64_MAX, "x", 1), REPLY_bad_request);
    assert_int_equal(chunk(bench, upload, "a", 0, "hello", 5), REPLY_ok);
    assert_int_equal(chunk(bench, upload, "a", 5, " wo", 3), REPLY_ok);
    assert_int_equal(chunk(bench, upload, "a", 5, " world", 6), REPLY_ok); /* again, longer */
    assert_int_equal(chunk(bench, upload, "a", 0, "J", 1), REPLY_bad_request);
    assert_int_equal(chunk(bench, upload, "a", 12, "!", 1), REPLY_bad_request);
    assert_int_equal(chunk(bench, upload, "a", 5, ".", 1), REPLY_ok); /* again, shorter */
    assert_int_equal(chunk(bench, upload, "b", 0, "", 0), REPLY_ok);  /* an empty file */
    assert_int_equal(chunk(bench, upload, "c", 0, large, MODEL_CHUNK_BYTES_MAX), REPLY_ok);
    assert_int_equal(
        chunk(bench, upload, "c", MODEL_CHUNK_BYTES_MAX, large, MODEL_CHUNK_BYTES_MAX + 1),
        REPLY_too_large);
    expect_file(bench, upload, "a", (const uint8_t *)"hello.", 6);
    free(large);
}

/* A piece goes to disk in parts. */
static void test_large_pieces_are_written_as_they_came(void **state)
{
    enum { SHORTER = 100001 };
    struct bench *bench = *state;
    char upload[ULID_BYTES];
    uint8_t *large = malloc(2 * MODEL_CHUNK_BYTES_MAX);
    assert_non_null(large);
    for (uint32_t i = 0; i < 2 * MODEL_CHUNK_BYTES_MAX; i++)
        large[i] = (uint8_t)((i * UINT32_C(2654435761)) >> 24);
    uint8_t *second = large + MODEL_CHUNK_BYTES_MAX;
    assert_int_equal(begin(bench, "m", "1", upload), REPLY_ok);
    assert_int_equal(chunk(bench, upload, "a", 0, large, MODEL_CHUNK_BYTES_MAX), REPLY_ok);
    assert_int_equal(
        chunk(bench, upload, "a", MODEL_CHUNK_BYTES_MAX, second, MODEL_CHUNK_BYTES_MAX), REPLY_ok);
    expect_file(bench, upload, "a", large, 2 * MODEL_CHUNK_BYTES_MAX);
    assert_int_equal(chunk(bench, upload, "a", MODEL_CHUNK_BYTES_MAX, second, SHORTER), REPLY_ok);
    expect_file(bench, upload, "a", large, MODEL_CHUNK_BYTES_MAX + SHORTER);
    assert_int_equal(chunk(bench, upload, "a", 1, second, SHORTER), REPLY_bad_request);
    expect_file(bench, upload, "a", large, MODEL_CHUNK_BYTES_MAX + SHORTER);
    free(large);
}

static void test_uploads_and_files_are_bounded(void **state)
{
    struct bench *bench = *state;
    char upload[MODEL_UPLOADS_MAX][ULID_BYTES], name[ULID_BYTES];
    for (int i = 0; i < MODEL_UPLOADS_MAX; i++)
        assert_int_equal(begin(bench, "m", "1", upload[i]), REPLY_ok);
    assert_int_equal(begin(bench, "m", "1", name), REPLY_overloaded);
    for (int i = 0; i < BUNDLE_FILES_MAX + 3; i++) {
        snprintf(name, sizeof name, "f%d", i);
        assert_int_equal(chunk(bench, upload[0], name, 0, "x", 1), REPLY_ok);
    }
    assert_int_equal(chunk(bench, upload[0], "more", 0, "x", 1), REPLY_too_large);
    assert_int_equal(finish(bench, "model_abort", upload[0], NULL), REPLY_ok);
    assert_int_equal(begin(bench, "m", "1", upload[0]), REPLY_ok);
}

static void test_paths_of_a_release_stay_within_it(void **state)
{
    static const char *const bad[] = {"../x",     "a/../x", "/etc/x",  "a//b",      "a/1/",
                                      "a/.hid/x", "a/1/..", ".hidden", "a/1/2/3/4", "",
                                      "a b",      "./a",    "a/-x"};
    struct bench *bench = *state;
    char upload[ULID_BYTES], long_path[400];
    assert_int_equal(begin_release(bench, "..", upload), REPLY_bad_request);
    assert_int_equal(begin_release(bench, "r1", upload), REPLY_ok);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(chunk(bench, upload, bad[i], 0, "x", 1), REPLY_bad_request);
    memset(long_path, 'a', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(chunk(bench, upload, long_path, 0, "x", 1), REPLY_bad_request);
    assert_int_equal(chunk(bench, upload, "a/1/x", 0, "x", 1), REPLY_ok);
    assert_int_equal(chunk(bench, upload, "a/1/x", 1, "y", 1), REPLY_ok);
    /* Neither is what the other is committed as. */
    assert_int_equal(finish(bench, "model_commit", upload, "begun for a release"),
                     REPLY_bad_request);
    assert_int_equal(entries(bench, "models/.incoming"), 0);
    assert_int_equal(begin(bench, "m", "1", upload), REPLY_ok);
    assert_int_equal(chunk(bench, upload, "a/1/x", 0, "x", 1), REPLY_bad_request);
    assert_int_equal(finish(bench, "release_commit", upload, "begun for a model"),
                     REPLY_bad_request);
    /* What is no release leaves nothing behind. */
    assert_int_equal(begin_release(bench, "r1", upload), REPLY_ok);
    assert_int_equal(chunk(bench, upload, "a/1/x", 0, "x", 1), REPLY_ok);
    assert_int_equal(finish(bench, "release_commit", upload, "a/1: "), REPLY_not_found);
    assert_int_equal(entries(bench, "models/.incoming"), 0);
    struct ask ask = ask_begin(bench, "release_list");
    assert_int_equal(ask_send(&ask), REPLY_ok);
    assert_false(replied(&ask, "r1"));
    ask = ask_begin(bench, "release_rollback");
    assert_int_equal(ask_send(&ask), REPLY_not_found);
}

static void test_an_upload_that_nobody_goes_on_with_is_removed(void **state)
{
    struct bench *bench = *state;
    char idle[ULID_BYTES], busy[ULID_BYTES];
    assert_int_equal(begin(bench, "m", "1", idle), REPLY_ok);
    assert_int_equal(begin(bench, "m", "2", busy), REPLY_ok);
    clock_manual_advance_ns(&bench->clock, (MODEL_UPLOAD_IDLE_MS - 1) * UINT64_C(1000000));
    assert_int_equal(chunk(bench, busy, "a", 0, "x", 1), REPLY_ok);
    model_ops_expire(bench->ops);
    assert_int_equal(entries(bench, "models/.incoming"), 2);
    clock_manual_advance_ns(&bench->clock, 1000000);
    model_ops_expire(bench->ops);
    assert_int_equal(entries(bench, "models/.incoming"), 1);
    assert_int_equal(chunk(bench, idle, "a", 0, "x", 1), REPLY_not_found);
    assert_int_equal(chunk(bench, busy, "a", 1, "x", 1), REPLY_ok);
}

static void test_a_full_disk_ends_the_upload_and_is_said(void **state)
{
    struct bench *bench = *state;
    char upload[ULID_BYTES];
    uint8_t bytes[2048] = {0};
    struct rlimit was, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small = was;
    small.rlim_cur = 1024;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(begin(bench, "m", "1", upload), REPLY_ok);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum reply_code code = chunk(bench, upload, "a", 0, bytes, sizeof bytes);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(code, REPLY_disk_full);
    assert_int_equal(entries(bench, "models/.incoming"), 0);
    assert_int_equal(chunk(bench, upload, "a", 0, bytes, 1), REPLY_not_found);
}

/* A pipe stands for a disk that is slow: opening it waits for a reader. */
static void test_a_slow_disk_holds_up_nobody_who_serves(void **state)
{
    struct bench *bench = *state;
    char upload[ULID_BYTES], place[3 * TEMP_DIR_BYTES];
    assert_int_equal(begin(bench, "m", "1", upload), REPLY_ok);
    snprintf(place, sizeof place, "%s/models/.incoming/%s/a", bench->rig.dir.path, upload);
    assert_int_equal(mkfifo(place, 0600), 0);
    struct ask ask = ask_chunk(bench, upload, "a", 0, "x", 1);
    assert_int_equal(ask_start(&ask), CALL_DEFERRED);
    int reader = open(place, O_RDONLY | O_CLOEXEC);
    assert_true(reader >= 0);
    assert_int_equal(ask_finish(&ask), REPLY_internal); /* a pipe has no offsets */
    close(reader);
    assert_int_equal(entries(bench, "models/.incoming"), 0);
}

/* After the stop nothing is taken that would never be answered. */
static void test_uploads_are_refused_after_the_stop(void **state)
{
    struct bench *bench = *state;
    char upload[ULID_BYTES];
    assert_int_equal(begin(bench, "m", "1", upload), REPLY_ok);
    model_ops_stop(bench->ops);
    assert_int_equal(chunk(bench, upload, "a", 0, "x", 1), REPLY_overloaded);
}

static void test_missing_and_mistyped_keys_are_named(void **state)
{
    struct bench *bench = *state;
    struct ask ask = ask_begin(bench, "model_begin");
    assert_int_equal(ask_send(&ask), REPLY_bad_request);
    assert_true(replied(&ask, "name"));
    ask = ask_begin(bench, "model_begin");
    ask_text(&ask, "name", "m");
    pack_key(&ask.pack, "version");
    pack_int(&ask.pack, 1);
    ask.pairs++;
    assert_int_equal(ask_send(&ask), REPLY_bad_request);
    assert_true(replied(&ask, "version"));
    ask = ask_begin(bench, "model_chunk");
    ask_text(&ask, "upload", "x");
    ask_text(&ask, "path", "a");
    ask_text(&ask, "offset", "0");
    assert_int_equal(ask_send(&ask), REPLY_bad_request);
    assert_true(replied(&ask, "offset"));
    ask = ask_begin(bench, "model_rollback");
    ask_text(&ask, "name", "..");
    assert_int_equal(ask_send(&ask), REPLY_bad_request);
    ask = ask_begin(bench, "model_commit");
    assert_int_equal(ask_send(&ask), REPLY_bad_request);
}

static void test_what_an_earlier_daemon_left_is_removed(void **state)
{
    struct bench *bench = *state;
    struct model_ops *second = NULL;
    char models[2 * TEMP_DIR_BYTES];
    temp_dir_write_text(&bench->rig.dir, "models/.incoming/OLD/a", "x");
    assert_int_equal(model_ops_create(rig_path(&bench->rig, "models", models), bench->rig.registry,
                                      NULL, &bench->clock.clock, &second, NULL),
                     ERR_OK);
    assert_int_equal(entries(bench, "models/.incoming"), -1);
    model_ops_destroy(&second);
}

#define WITH_BENCH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(test_an_upload_in_small_pieces_serves),
        WITH_BENCH(test_a_bad_bundle_leaves_nothing_behind),
        WITH_BENCH(test_names_and_paths_that_lead_elsewhere_are_refused),
        WITH_BENCH(test_pieces_follow_each_other_and_the_last_may_come_again),
        WITH_BENCH(test_large_pieces_are_written_as_they_came),
        WITH_BENCH(test_uploads_and_files_are_bounded),
        WITH_BENCH(test_paths_of_a_release_stay_within_it),
        WITH_BENCH(test_an_upload_that_nobody_goes_on_with_is_removed),
        WITH_BENCH(test_a_full_disk_ends_the_upload_and_is_said),
        WITH_BENCH(test_a_slow_disk_holds_up_nobody_who_serves),
        WITH_BENCH(test_uploads_are_refused_after_the_stop),
        WITH_BENCH(test_missing_and_mistyped_keys_are_named),
        WITH_BENCH(test_what_an_earlier_daemon_left_is_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
