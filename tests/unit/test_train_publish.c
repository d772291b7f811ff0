/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "models/model.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/temp_dir.h"
#include "tools/train/linear_algebra.h"
#include "tools/train/publish.h"

#define DAY 86400

/* A small shop, and a model of each kind of it. */
struct shop {
    struct temp_dir dir;
    struct interactions interactions;
    struct dataset dataset;
    struct train_options options;
    struct trained trained;
};

static void add(struct interactions *to, uint32_t user, uint32_t item, bool anonymous)
{
    char id[24], who[16], what[16];
    struct event_item one = {.qty = 1};
    struct event event = {.type = EVENT_purchase,
                          .ts_ms = (int64_t)(user + 1) * DAY * 1000,
                          .items = &one,
                          .item_count = 1};
    snprintf(id, sizeof id, "%u-%u-%d", user, item, anonymous);
    snprintf(who, sizeof who, "user %u", user);
    snprintf(what, sizeof what, "item-%u", item);
    event.id = text_of(id);
    *(anonymous ? &event.anon : &event.user) = text_of(who);
    one.id = text_of(what);
    assert_int_equal(interactions_add(to, &event, NULL), ERR_OK);
}

static void shop_open(struct shop *shop, enum train_command kind, uint32_t users, uint32_t items)
{
    *shop = (struct shop){.options = {.command = kind,
                                      .threads = 2,
                                      .factors = 4,
                                      .sweeps = 2,
                                      .regularization = 0.01,
                                      .regularization_exponent = 1.0,
                                      .unobserved_weight = 0.1,
                                      .method = "ease",
                                      .neighbor_count = 5,
                                      .lambda = 10.0}};
    temp_dir_create(&shop->dir);
    assert_int_equal(interactions_create(&shop->interactions, NULL), ERR_OK);
    for (uint32_t u = 0; u < users; u++) {
        for (uint32_t i = 0; i < items; i++) {
            if ((u + i) % 3 != 0)
                add(&shop->interactions, u, i, u % 5 == 4);
        }
    }
    assert_int_equal(
        dataset_build(&shop->interactions, (struct span){0, DATASET_ALL}, &shop->dataset, NULL),
        ERR_OK);
    assert_int_equal(trained_make(&shop->options, &shop->interactions, &shop->dataset,
                                  (struct trained_progress){0}, &shop->trained, NULL),
                     ERR_OK);
}

static void shop_close(struct shop *shop)
{
    trained_deinit(&shop->trained);
    dataset_deinit(&shop->dataset);
    interactions_destroy(&shop->interactions);
    temp_dir_remove(&shop->dir);
}

static enum err_code write_version(struct shop *shop, const char *version, struct err *err)
{
    struct publish_place place;
    enum err_code rc = publish_place(shop->dir.path, "model", version, &place, err);
    if (rc != ERR_OK)
        return rc;
    return publish(&place, &shop->trained, &shop->interactions, &shop->dataset, NULL, err);
}

static int entries_of(const char *path)
{
    int count = 0;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return -errno;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}

static void test_every_kind_is_a_bundle_that_the_daemon_takes(void **state)
{
    (void)state;
    static const struct {
        enum train_command command;
        enum model_kind kind;
        uint32_t files;
        const char *key;
    } kinds[] = {{TRAIN_FACTORS, MODEL_factors, 4, "user_ids"},
                 {TRAIN_NEIGHBORS, MODEL_neighbors, 2, "neighbors"},
                 {TRAIN_POPULARITY, MODEL_popularity, 2, "scores"}};
    for (size_t k = 0; k < 3; k++) {
        struct shop shop;
        char path[2 * TEMP_DIR_BYTES];
        struct bundle *bundle = NULL;
        struct bundle_file *file = NULL;
        struct model *model = NULL;
        struct err err = {0};
        shop_open(&shop, kinds[k].command, 20, 12);
        if (write_version(&shop, "v1", &err) != ERR_OK)
            fail_msg("%s", err.text);
        temp_dir_path(&shop.dir, "model/v1", path);
        if (bundle_open(path, "model", "v1", &bundle, &err) != ERR_OK)
            fail_msg("%s", err.text);
        assert_int_equal(bundle->kind, kinds[k].kind);
        assert_int_equal(bundle->file_count, kinds[k].files);
        assert_int_equal(bundle->trained_at_ms, 20LL * DAY * 1000); /* of the newest event */
        assert_int_equal(bundle_file(bundle, kinds[k].key, &file, &err), ERR_OK);
        if (kinds[k].command == TRAIN_FACTORS) {
            /* 16 users; the 4 anonymous people have no row. */
            uint32_t lines = 0;
            for (size_t i = 0; i < file->len; i++)
                lines += file->bytes[i] == '\n';
            assert_int_equal(lines, 16);
            assert_null(memmem(file->bytes, file->len, "user 4\n", 7));
        }
        if (model_load(bundle, &model, &err) != ERR_OK ||
            model_check_golden(model, bundle, &err) != ERR_OK)
            fail_msg("%s", err.text);
        assert_int_equal(model_row_count(model), 12);
        model_destroy(&model);
        bundle_close(&bundle);
        assert_int_equal(entries_of(shop.dir.path), 1);
        assert_int_equal(write_version(&shop, "v2", &err), ERR_OK);
        shop_close(&shop);
    }
}

static void test_a_version_that_exists_stays(void **state)
{
    (void)state;
    struct shop shop;
    struct publish_place place;
    struct err err = {0};
    char path[2 * TEMP_DIR_BYTES];
    shop_open(&shop, TRAIN_POPULARITY, 5, 4);
    assert_int_equal(publish_place(shop.dir.path, "model", "v1", &place, &err), ERR_OK);
    temp_dir_write_text(&shop.dir, "model/v1/mine", "text");
    /* Looked at before training, and, for one that came since, when the folder is renamed. */
    assert_int_equal(write_version(&shop, "v1", &err), ERR_EXISTS);
    assert_non_null(strstr(err.text, "model/v1' exists already"));
    assert_int_equal(publish(&place, &shop.trained, &shop.interactions, &shop.dataset, NULL, &err),
                     ERR_EXISTS);
    assert_int_equal(entries_of(temp_dir_path(&shop.dir, "model/v1", path)), 1);
    assert_int_equal(entries_of(temp_dir_path(&shop.dir, "model", path)), 1);
    shop_close(&shop);
}

static void test_a_place_that_cannot_be_written(void **state)
{
    (void)state;
    struct shop shop;
    struct err err = {0};
    shop_open(&shop, TRAIN_POPULARITY, 5, 4);
    temp_dir_write_text(&shop.dir, "model", "a file where a folder should be");
    assert_int_equal(write_version(&shop, "v1", &err), ERR_EXISTS);
    assert_non_null(strstr(err.text, "model"));
    assert_int_equal(entries_of(shop.dir.path), 1);
    shop_close(&shop);
}

/* Whenever the signal comes: there is a whole bundle or nothing at all. */
static void test_an_interrupted_run_leaves_nothing_half_done(void **state)
{
    (void)state;
    struct shop shop;
    char parent[2 * TEMP_DIR_BYTES], final[2 * TEMP_DIR_BYTES];
    shop_open(&shop, TRAIN_FACTORS, 300, 60);
    temp_dir_path(&shop.dir, "model", parent);
    temp_dir_path(&shop.dir, "model/v1", final);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct err err = {0};
        enum err_code rc = write_version(&shop, "v1", &err);
        _exit(rc == ERR_OK ? 0 : 1);
    }
    int status = 0;
    while (entries_of(parent) <= 0 && waitpid(child, &status, WNOHANG) == 0)
        continue; /* until it has begun to write */
    kill(child, SIGINT);
    waitpid(child, &status, 0);
    struct stat st;
    if (stat(final, &st) == 0) {
        struct bundle *bundle = NULL;
        struct err err = {0};
        assert_int_equal(bundle_open(final, "model", "v1", &bundle, &err), ERR_OK);
        bundle_close(&bundle);
        assert_int_equal(entries_of(parent), 1);
    } else {
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
        assert_int_equal(entries_of(shop.dir.path), 0);
    }
    shop_close(&shop);
}

static void test_no_memory_leaves_nothing(void **state)
{
    (void)state;
    struct shop shop;
    shop_open(&shop, TRAIN_FACTORS, 4, 3);
    for (uint32_t n = 0;; n++) {
        struct err err = {0};
        alloc_fail_after(n);
        enum err_code rc = write_version(&shop, "v1", &err);
        if (!alloc_fail_off()) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_not_equal(rc, ERR_OK);
        assert_int_equal(entries_of(shop.dir.path), 0);
    }
    shop_close(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_is_a_bundle_that_the_daemon_takes),
        cmocka_unit_test(test_a_version_that_exists_stays),
        cmocka_unit_test(test_a_place_that_cannot_be_written),
        cmocka_unit_test(test_an_interrupted_run_leaves_nothing_half_done),
        cmocka_unit_test(test_no_memory_leaves_nothing),
    };
    linear_algebra_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
