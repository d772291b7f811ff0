/* SPDX-License-Identifier: Apache-2.0 */
/* A small bundle of each kind, cut off at every place and with every byte made another one: it is
 * refused, or what loads still gives the golden rows.  And a folder that is exchanged while it is
 * read: one version or the other, or a refusal, never a mixture. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "models/model.h"
#include "tests/support/model_sample.h"
#include "tests/support/temp_dir.h"

enum { FILES_MAX = 8, FILE_BYTES_MAX = 1 << 20, FLIP = 0x01, EXCHANGES = 300 };

static struct temp_dir dir;
static char bundle_dir[2 * TEMP_DIR_BYTES];

static int set_up(void **state)
{
    (void)state;
    temp_dir_create(&dir);
    temp_dir_path(&dir, "m", bundle_dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

/* As the daemon does it. */
static enum err_code load(struct model **ret_model, struct err *err)
{
    struct bundle *bundle = NULL;
    struct model *model = NULL;
    enum err_code rc = bundle_open(bundle_dir, "m", NULL, &bundle, err);
    if (rc == ERR_OK)
        rc = model_load(bundle, &model, err);
    if (rc == ERR_OK)
        rc = model_check_golden(model, bundle, err);
    bundle_close(&bundle);
    if (rc != ERR_OK)
        model_destroy(&model);
    *ret_model = model;
    return rc;
}

/* True when it was refused, for a reason that is said. */
static bool is_refused(const char *what, size_t at)
{
    struct model *model = NULL;
    struct err err = {.text = ""};
    enum err_code rc = load(&model, &err);
    model_destroy(&model);
    if (rc != ERR_OK && err.text[0] == '\0')
        fail_msg("%s at %zu: refused without a reason", what, at);
    return rc != ERR_OK;
}

/* What the hashes cover is refused wherever it is damaged; of the rest some is harmless. */
static void damage(const char *name)
{
    char path[2 * TEMP_DIR_BYTES], below[128];
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct err err;
    snprintf(below, sizeof below, "m/%.63s", name);
    temp_dir_path(&dir, below, path);
    assert_int_equal(file_read(path, FILE_BYTES_MAX, &bytes, &len, &err), ERR_OK);
    bool is_covered = strcmp(name, "manifest.json") != 0;
    for (size_t at = 0; at < len; at++) {
        temp_dir_write(&dir, below, bytes, at);
        bool is_cut = is_refused("cut", at);
        if (!is_cut && (is_covered || at + 1 < len)) /* a newline may end a manifest */
            fail_msg("%s, cut off at %zu of %zu: not refused", name, at, len);
        bytes[at] ^= FLIP;
        temp_dir_write(&dir, below, bytes, len);
        bytes[at] ^= FLIP;
        if (!is_refused("flipped", at) && is_covered)
            fail_msg("%s, byte %zu of %zu changed: not refused", name, at, len);
    }
    temp_dir_write(&dir, below, bytes, len);
    free(bytes);
}

static void test_damage_is_refused_or_harmless(void **state)
{
    (void)state;
    for (int kind = 0; kind < MODEL_KIND_COUNT; kind++) {
        char names[FILES_MAX][64];
        uint32_t count = 0;
        model_sample_write(bundle_dir, "m", "1", (enum model_kind)kind);
        DIR *list = opendir(bundle_dir);
        assert_non_null(list);
        for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
            if (entry->d_name[0] == '.')
                continue;
            assert_true(count < FILES_MAX);
            snprintf(names[count++], sizeof names[0], "%.63s", entry->d_name);
        }
        closedir(list);
        for (uint32_t i = 0; i < count; i++)
            damage(names[i]);
        assert_false(is_refused("mended", 0));
        tear_down(NULL);
        set_up(NULL);
    }
}

/* ---- exchanged while it is read -------------------------------------------------------------- */

static _Atomic bool exchanging; /* sequentially consistent: tells the reader when to end */

static void *exchange(void *arg)
{
    char other[2 * TEMP_DIR_BYTES], aside[2 * TEMP_DIR_BYTES];
    (void)arg;
    temp_dir_path(&dir, "other", other);
    temp_dir_path(&dir, "aside", aside);
    for (int i = 0; i < EXCHANGES; i++) {
        if (rename(bundle_dir, aside) != 0 || rename(other, bundle_dir) != 0 ||
            rename(aside, other) != 0)
            abort();
    }
    atomic_store(&exchanging, false);
    return NULL;
}

static void test_a_folder_that_is_exchanged_is_one_version_or_refused(void **state)
{
    (void)state;
    char other[2 * TEMP_DIR_BYTES];
    pthread_t thread;
    model_sample_write(bundle_dir, "m", "1", MODEL_linear);
    model_sample_write(temp_dir_path(&dir, "other", other), "m", "2", MODEL_neighbors);
    atomic_store(&exchanging, true);
    assert_int_equal(pthread_create(&thread, NULL, exchange, NULL), 0);
    do {
        struct model *model = NULL;
        struct err err = {.text = ""};
        if (load(&model, &err) == ERR_OK)
            assert_int_equal(model->kind,
                             strcmp(model->version, "1") == 0 ? MODEL_linear : MODEL_neighbors);
        else
            assert_true(err.text[0] != '\0');
        model_destroy(&model);
    } while (atomic_load(&exchanging));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(is_refused("in the end", 0));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_damage_is_refused_or_harmless),
        TEST(test_a_folder_that_is_exchanged_is_one_version_or_refused),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
