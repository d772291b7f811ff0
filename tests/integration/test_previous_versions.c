/* SPDX-License-Identifier: Apache-2.0 */
/* Rollbacks in a real daemon: to versions that stayed in memory, whatever became of their folders,
 * and to versions that were let go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "models/safetensors.h"
#include "tests/support/daemon_client.h"
#include "tests/support/model_sample.h"
#include "tests/support/program.h"

#define ROWS 400000 /* a version is large enough to be seen in the resident memory */
#define PATH (2 * TEMP_DIR_BYTES)
#define PAGE 262144

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* freed memory is kept, so the resident size says nothing */
#endif
#if !defined(SANITIZED)
#define SANITIZED 0
#endif

struct bench {
    struct daemon daemon;
    struct program program;
};

static int setup_with(void **state, const char *config)
{
    struct bench *bench = calloc(1, sizeof *bench);
    if (bench == NULL)
        return -1;
    daemon_start(&bench->daemon, config);
    *state = bench;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, NULL);
}

static int setup_without_budget(void **state)
{
    return setup_with(state, "\"models_previous_bytes_max\": 0");
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    daemon_stop(&bench->daemon);
    free(bench);
    return 0;
}

/* decidectl; its output is in bench->program. */
static int ctl(struct bench *bench, const char *const *args)
{
    return program_run_ctl(&bench->program, bench->daemon.url, args);
}

static const char *at(const struct bench *bench, const char *below, char path[PATH])
{
    return temp_dir_path(&bench->daemon.dir, below, path);
}

static void push(struct bench *bench, const char *dir)
{
    const char *const args[] = {"model", "push", dir, NULL};
    if (ctl(bench, args) != 0)
        fail_msg("%s", bench->program.err);
}

static void push_sample(struct bench *bench, const char *version)
{
    char dir[PATH];
    model_sample_write(at(bench, version, dir), "m", version, MODEL_popularity);
    push(bench, dir);
}

/* The loader has done what it left for after its last reply. */
static void settle(struct bench *bench)
{
    cJSON *reply = daemon_ask_nng(&bench->daemon, "model_rollback", "{\"name\": \"nothing\"}");
    assert_string_equal(reply_error_text(reply, "code"), "not_found");
    cJSON_Delete(reply);
}

/* Rolls m back; where the version was that serves now. */
static void rolls_back(struct bench *bench, const char *version, const char *from, bool warns)
{
    cJSON *reply = daemon_ask_nng(&bench->daemon, "model_rollback", "{\"name\": \"m\"}");
    if (!reply_ok(reply))
        fail_msg("%s", reply_error_text(reply, "message"));
    assert_string_equal(reply_text(reply, "version"), version);
    assert_string_equal(reply_text(reply, "state"), "serving");
    assert_string_equal(reply_text(reply, "from"), from);
    assert_int_equal(strstr(reply_text(reply, "warning"), "a restart will not find it") != NULL,
                     warns);
    cJSON_Delete(reply);
}

static void answers_with(struct bench *bench, const char *version)
{
    char wanted[32];
    cJSON *reply = daemon_ask_nng(&bench->daemon, "recommend", "{\"n\": 3}");
    assert_true(reply_ok(reply));
    const cJSON *models = cJSON_GetObjectItem(reply, "models");
    snprintf(wanted, sizeof wanted, "m@%s", version);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetArrayItem(models, 0)), wanted);
    cJSON_Delete(reply);
}

static double number(const cJSON *map, const char *key, const char *inner)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItem(cJSON_GetObjectItem(map, key), inner));
}

/* `count` previous versions; what list, status and metrics say of them agrees.  Their bytes. */
static double previous(struct bench *bench, int count)
{
    char body[PAGE], line[128];
    cJSON *list = daemon_ask_nng(&bench->daemon, "model_list", "{}");
    cJSON *status = daemon_ask_nng(&bench->daemon, "status", "{}");
    double bytes = number(list, "previous", "bytes"), max = number(list, "previous", "bytes_max");
    double sum = 0;
    const cJSON *model = NULL;
    cJSON_ArrayForEach(model,
                       cJSON_GetObjectItem(list, "models")) if (strcmp(reply_text(model, "state"),
                                                                       "previous") == 0) sum +=
        cJSON_GetNumberValue(cJSON_GetObjectItem(model, "bytes"));
    assert_true(sum >= bytes && sum <= bytes);
    assert_int_equal(number(list, "previous", "count"), count);
    assert_int_equal(number(status, "models_previous", "count"), count);
    assert_true(fabs(number(status, "models_previous", "bytes_max") - max) < 0.5);
    assert_int_equal(daemon_get(&bench->daemon, "/metrics", body, sizeof body), 200);
    snprintf(line, sizeof line, "\ndecided_models_previous %d\n", count);
    assert_non_null(strstr(body, line));
    snprintf(line, sizeof line, "\ndecided_models_previous_bytes %.0f\n", bytes);
    assert_non_null(strstr(body, line));
    snprintf(line, sizeof line, "\ndecided_models_previous_bytes_max %.0f\n", max);
    assert_non_null(strstr(body, line));
    cJSON_Delete(list);
    cJSON_Delete(status);
    return bytes;
}

/* What the table says of a rollback of m. */
static void table_has(struct bench *bench, const char *text)
{
    const char *const args[] = {"model", "list", NULL};
    assert_int_equal(ctl(bench, args), 0);
    if (strstr(bench->program.out, text) == NULL)
        fail_msg("expected %s in %s", text, bench->program.out);
}

static void test_a_version_in_memory_needs_no_folder(void **state)
{
    struct bench *bench = *state;
    char path[PATH];
    for (int i = 1; i <= 4; i++)
        push_sample(bench, (const char *[]){"1", "2", "3", "4"}[i - 1]);
    settle(bench);
    assert_true(previous(bench, 3) > 0);
    table_has(bench, "3 (memory)");
    table_has(bench, "previous versions in memory: 3, 0.00 MB of 1073.74 MB");
    assert_int_equal(truncate(at(bench, "models/m/2/scores.safetensors", path), 40), 0);
    assert_int_equal(file_remove_tree(at(bench, "models/m/1", path), NULL), ERR_OK);
    rolls_back(bench, "3", "memory", false);
    rolls_back(bench, "2", "memory", true);
    answers_with(bench, "2");
    const char *const args[] = {"model", "rollback", "m", NULL};
    assert_int_equal(ctl(bench, args), 0);
    assert_non_null(strstr(bench->program.out, "m: version 1 serves; it was in memory\n"));
    assert_non_null(strstr(bench->program.err, "a restart will not find it"));
    answers_with(bench, "1");
    settle(bench);
    (void)previous(bench, 3); /* those that were rolled back: for a promotion */
    cJSON *reply =
        daemon_ask_nng(&bench->daemon, "model_promote", "{\"name\": \"m\", \"version\": \"4\"}");
    assert_string_equal(reply_text(reply, "from"), "memory");
    cJSON_Delete(reply);
    answers_with(bench, "4");
}

static void test_a_restart_says_what_is_in_memory(void **state)
{
    struct bench *bench = *state;
    push_sample(bench, "1");
    push_sample(bench, "2");
    push_sample(bench, "3");
    push_sample(bench, "4");
    rolls_back(bench, "3", "memory", false);
    daemon_signal(&bench->daemon, SIGTERM);
    assert_int_equal(daemon_wait(&bench->daemon), 0);
    daemon_restart(&bench->daemon);
    settle(bench);
    answers_with(bench, "3");
    (void)previous(bench, 1);
    table_has(bench, "2 (memory)");
    rolls_back(bench, "2", "memory", false);
    rolls_back(bench, "1", "memory", false); /* loaded meanwhile: it is the next */
    answers_with(bench, "1");
}

static void test_without_a_budget_a_rollback_reads_the_folder(void **state)
{
    struct bench *bench = *state;
    char path[PATH];
    push_sample(bench, "1");
    push_sample(bench, "2");
    push_sample(bench, "3");
    push_sample(bench, "4");
    settle(bench);
    (void)previous(bench, 0);
    table_has(bench, "3 (disk)");
    rolls_back(bench, "3", "disk", false);
    answers_with(bench, "3");
    assert_int_equal(truncate(at(bench, "models/m/2/scores.safetensors", path), 40), 0);
    cJSON *reply = daemon_ask_nng(&bench->daemon, "model_rollback", "{\"name\": \"m\"}");
    assert_false(reply_ok(reply));
    const char *message = reply_error_text(reply, "message");
    assert_non_null(strstr(message, "version 2 of 'm', which was not in memory, does not serve, 3 "
                                    "serves on: scores.safetensors"));
    cJSON_Delete(reply);
    answers_with(bench, "3");
    rolls_back(bench, "1", "disk", false); /* the one before what is broken */
    answers_with(bench, "1");
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void push_large(struct bench *bench, const char *version)
{
    static const struct bundle_write_file files[] = {{"scores", "scores.safetensors"},
                                                     {"item_ids", "item_ids.txt"}};
    static float scores[ROWS];
    char dir[PATH], path[FILE_PATH_BYTES];
    struct buffer ids = {0};
    size_t len = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        buffer_put_fmt(&ids, "item-%u\n", i);
        scores[i] = (float)(i + 1);
    }
    char *text = buffer_take(&ids, &len);
    assert_non_null(text);
    assert_int_equal(file_make_dir(at(bench, version, dir), NULL), ERR_OK);
    assert_int_equal(file_join(dir, "item_ids.txt", path, sizeof path, NULL), ERR_OK);
    assert_int_equal(file_write_atomic(path, text, len, NULL), ERR_OK);
    free(text);
    const struct tensor tensor = {.name = "scores",
                                  .type = TENSOR_F32,
                                  .dim_count = 1,
                                  .dim = {ROWS},
                                  .count = ROWS,
                                  .data = scores};
    assert_int_equal(file_join(dir, "scores.safetensors", path, sizeof path, NULL), ERR_OK);
    assert_int_equal(safetensors_write(path, &tensor, 1, NULL), ERR_OK);
    cJSON *rows = cJSON_Parse("[{\"item\": \"item-6\", \"score\": 7}]");
    assert_int_equal(bundle_write_golden(dir, rows, NULL), ERR_OK);
    cJSON_Delete(rows);
    assert_int_equal(
        bundle_write_manifest(dir, "m", version, MODEL_popularity, files, 2, NULL, NULL), ERR_OK);
    push(bench, dir);
}

static void reload_with(struct bench *bench, const char *config)
{
    daemon_keep_port(&bench->daemon, config);
    cJSON *reply = daemon_ask_nng(&bench->daemon, "reload", "{}");
    assert_true(reply_ok(reply));
    cJSON_Delete(reply);
}

static void test_a_lower_budget_returns_memory_at_once(void **state)
{
    struct bench *bench = *state;
    char config[128];
    push_large(bench, "1");
    settle(bench);
    double alone = 1024 * (double)daemon_resident_kib(&bench->daemon);
    push_large(bench, "2");
    push_large(bench, "3");
    settle(bench);
    double bytes = previous(bench, 2);
    double before = 1024 * (double)daemon_resident_kib(&bench->daemon);
    assert_true(bytes > 2.0 * ROWS * 16);
    snprintf(config, sizeof config, "\"models_previous_bytes_max\": %.0f", bytes / 2);
    reload_with(bench, config);
    double with_one = 1024 * (double)daemon_resident_kib(&bench->daemon);
    assert_true(fabs(previous(bench, 1) - bytes / 2) < 0.5);
    reload_with(bench, "\"models_previous_bytes_max\": 0");
    double with_none = 1024 * (double)daemon_resident_kib(&bench->daemon);
    (void)previous(bench, 0);
    printf("versions of %.1f MB; resident %.1f MB before two came, %.1f with both, %.1f with one, "
           "%.1f with none\n",
           bytes / 2e6, alone / 1e6, before / 1e6, with_one / 1e6, with_none / 1e6);
    /* All that the other two took is returned, but for a tenth of one. */
    if (!SANITIZED) {
        assert_true(before - with_one > 0.9 * (before - alone) / 2);
        assert_true(with_none < alone + 0.1 * (before - alone) / 2);
    }
    answers_with(bench, "3");
    rolls_back(bench, "2", "disk", false);
    reload_with(bench, NULL);
    settle(bench);
    (void)previous(bench, 1);
    rolls_back(bench, "1", "memory", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_version_in_memory_needs_no_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_restart_says_what_is_in_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_a_budget_a_rollback_reads_the_folder,
                                        setup_without_budget, teardown),
        cmocka_unit_test_setup_teardown(test_a_lower_budget_returns_memory_at_once, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
