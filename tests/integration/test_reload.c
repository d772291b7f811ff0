/* SPDX-License-Identifier: Apache-2.0 */
/* Versions of a model are swapped under load: no request fails, every answer is of exactly one
 * version, and memory does not grow.
 *
 * RELOAD_SECONDS (3) is how long it swaps, RELOAD_SWAPS (1) how many times at least, and
 * RELOAD_EVERY_MS (0: as soon as the last one serves) at which pace; the ctest `soak_reload` sets
 * 30 and 1000, `soak_swaps` 1,000 swaps.  Version k says that the neighbors of "seed" are the items
 * k, k+1, k+2 ... of a ring, so items and version must fit together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "client/decide.h"
#include "models/bundle.h"
#include "models/safetensors.h"
#include "tests/support/daemon.h"
#include "tools/cli/value.h"

#define CLIENTS       4
#define ROWS          40000 /* a version is large enough for a leak of one to show */
#define WANTED        5
#define CALL_US       5000000
#define WAIT_NS       UINT64_C(30000000000)
#define WARM_VERSIONS 5 /* before memory is measured first */
#define KEPT_VERSIONS 5
#define GROWTH_KIB    8192 /* versions that are not freed come to three times that */

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

struct load {
    struct daemon *daemon;
    struct decide_client *client;
    _Atomic bool stop;
    _Atomic uint64_t answers, failures, mistakes;
    _Atomic int64_t newest; /* version that was seen in an answer */
};

/* ---- bundles --------------------------------------------------------------------------------- */

static void write_ids(const char *dir)
{
    char path[FILE_PATH_BYTES];
    struct buffer buffer = {0};
    size_t len = 0;
    buffer_put_str(&buffer, "seed\n");
    for (uint32_t i = 0; i + 1 < ROWS; i++)
        buffer_put_fmt(&buffer, "item-%u\n", i);
    char *text = buffer_take(&buffer, &len);
    assert_non_null(text);
    assert_int_equal(file_join(dir, "item_ids.txt", path, sizeof path, NULL), ERR_OK);
    assert_int_equal(file_write_atomic(path, text, len, NULL), ERR_OK);
    free(text);
}

/* Row 0 is "seed", row 1 + i is item i. */
static void write_neighbors(const char *dir, uint32_t version)
{
    static int64_t offsets[ROWS + 1];
    uint32_t rows[WANTED];
    float weights[WANTED];
    char path[FILE_PATH_BYTES];
    for (uint32_t i = 0; i < WANTED; i++) {
        rows[i] = 1 + (version + i) % (ROWS - 1);
        weights[i] = (float)(WANTED - i);
    }
    for (uint32_t i = 1; i <= ROWS; i++)
        offsets[i] = WANTED;
    const struct tensor tensors[] = {
        {.name = "offsets",
         .type = TENSOR_I64,
         .dim_count = 1,
         .dim = {ROWS + 1},
         .count = ROWS + 1,
         .data = offsets},
        {.name = "rows",
         .type = TENSOR_U32,
         .dim_count = 1,
         .dim = {WANTED},
         .count = WANTED,
         .data = rows},
        {.name = "weights",
         .type = TENSOR_F32,
         .dim_count = 1,
         .dim = {WANTED},
         .count = WANTED,
         .data = weights},
    };
    assert_int_equal(file_join(dir, "neighbors.safetensors", path, sizeof path, NULL), ERR_OK);
    assert_int_equal(safetensors_write(path, tensors, 3, NULL), ERR_OK);
}

/* Written aside in the same file system, then renamed in. */
static void publish(const struct daemon *daemon, uint32_t version)
{
    static const struct bundle_write_file files[] = {{"neighbors", "neighbors.safetensors"},
                                                     {"item_ids", "item_ids.txt"}};
    char work[2 * TEMP_DIR_BYTES], place[2 * TEMP_DIR_BYTES], below[64], row[128], name[16];
    temp_dir_path(&daemon->dir, "work", work);
    assert_int_equal(file_make_dir(work, NULL), ERR_OK);
    write_ids(work);
    write_neighbors(work, version);
    snprintf(row, sizeof row, "[{\"item\": \"seed\", \"neighbor\": \"item-%u\", \"weight\": %d}]",
             version % (ROWS - 1), WANTED);
    cJSON *rows = cJSON_Parse(row);
    assert_int_equal(bundle_write_golden(work, rows, NULL), ERR_OK);
    cJSON_Delete(rows);
    snprintf(name, sizeof name, "%u", version);
    assert_int_equal(
        bundle_write_manifest(work, "ring", name, MODEL_neighbors, files, 2, NULL, NULL), ERR_OK);
    assert_int_equal(file_make_dir(temp_dir_path(&daemon->dir, "models/ring", place), NULL),
                     ERR_OK);
    snprintf(below, sizeof below, "models/ring/%u", version);
    assert_int_equal(rename(work, temp_dir_path(&daemon->dir, below, place)), 0);
}

/* ---- load ------------------------------------------------------------------------------------ */

/* The version of an answer that names one model and whose items are those of that version; -1. */
static int64_t version_of(const struct decide_reply *reply)
{
    struct cursor at = {0};
    struct text label = {0};
    char text[64];
    if (reply->item_count != WANTED || strcmp(reply->level, "full") != 0 ||
        value_array(cursor_of(reply->bytes, reply->bytes_len), "models", &at) != 1 ||
        !cursor_text(&at, &label) || label.len <= 5 || memcmp(label.ptr, "ring@", 5) != 0)
        return -1;
    text_copy(label, text, sizeof text);
    char *end = NULL;
    uint32_t version = (uint32_t)strtoul(text + 5, &end, 10);
    if (*end != '\0')
        return -1;
    for (uint32_t i = 0; i < WANTED; i++) {
        snprintf(text, sizeof text, "item-%u", (version + i) % (ROWS - 1));
        if (strcmp(reply->items[i].id, text) != 0)
            return -1;
    }
    return version;
}

static void tell_first(_Atomic uint64_t *count, const struct decide_reply *reply)
{
    if (atomic_fetch_add(count, 1) > 0)
        return;
    fprintf(stderr, "status %s, level %s, reason %s, %zu items, error %s\n",
            decide_status_name(reply->status), reply->level == NULL ? "-" : reply->level,
            reply->reason == NULL ? "-" : reply->reason, reply->item_count,
            reply->error_message == NULL ? "-" : reply->error_message);
}

static void *ask_on(void *arg)
{
    static const char *const seeds[] = {"seed"};
    struct load *load = arg;
    const struct decide_request request = {
        .seeds = seeds, .seed_count = 1, .n = WANTED, .timeout_us = CALL_US};
    int64_t last = 0;
    while (!atomic_load(&load->stop)) {
        struct decide_reply *reply = decide_similar(load->client, &request);
        int64_t version = reply->status == DECIDE_OK ? version_of(reply) : last;
        if (reply->status != DECIDE_OK)
            tell_first(&load->failures, reply);
        else if (version < last) /* no version at all, or an older one than this thread has seen */
            tell_first(&load->mistakes, reply);
        last = version > last ? version : last;
        int64_t newest = atomic_load(&load->newest);
        while (last > newest && !atomic_compare_exchange_weak(&load->newest, &newest, last))
            ;
        atomic_fetch_add(&load->answers, 1);
        decide_reply_free(reply);
    }
    return NULL;
}

static void wait_for_version(const struct load *load, uint32_t version)
{
    uint64_t until_ns = clock_now_ns(clock_system()) + WAIT_NS;
    while (atomic_load(&load->newest) < version) {
        assert_true(clock_now_ns(clock_system()) < until_ns);
        sched_yield();
    }
}

static uint64_t number_of_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

/* As an operator keeps a disk from filling: the one before must stay for a rollback. */
static void remove_old(const struct daemon *daemon, uint32_t version)
{
    char place[2 * TEMP_DIR_BYTES], below[64];
    if (version <= KEPT_VERSIONS)
        return;
    snprintf(below, sizeof below, "models/ring/%u", version - KEPT_VERSIONS);
    assert_int_equal(file_remove_tree(temp_dir_path(&daemon->dir, below, place), NULL), ERR_OK);
}

/* Publishes until the time is over and there were so many swaps; returns the last version. */
static uint32_t swap_on(struct load *load, uint64_t seconds, uint64_t every_ms,
                        uint64_t *ret_resident_kib)
{
    uint64_t swaps = number_of_environment("RELOAD_SWAPS", 1);
    uint64_t began_ns = clock_now_ns(clock_system());
    uint32_t version = 1;
    while (clock_now_ns(clock_system()) - began_ns < seconds * 1000000000 || version <= swaps) {
        remove_old(load->daemon, version);
        publish(load->daemon, ++version);
        wait_for_version(load, version);
        if (version == WARM_VERSIONS)
            *ret_resident_kib = daemon_resident_kib(load->daemon);
        uint64_t next_ns = began_ns + (version - 1) * every_ms * 1000000;
        const struct timespec until = {.tv_sec = (time_t)(next_ns / 1000000000),
                                       .tv_nsec = (long)(next_ns % 1000000000)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
            ; /* the pace of the soak, not a wait for anything */
    }
    return version;
}

static void test_swaps_under_load(void **state)
{
    uint64_t seconds = number_of_environment("RELOAD_SECONDS", 3);
    uint64_t every_ms = number_of_environment("RELOAD_EVERY_MS", 0);
    struct daemon daemon;
    struct load load = {.daemon = &daemon};
    pthread_t client[CLIENTS];
    uint64_t before_kib = 0;
    (void)state;
    /* The rings of the decision log become resident as decisions go through them. */
    daemon_start(&daemon, "\"decision_log_bytes_max\": 0, \"models_previous_bytes_max\": 6000000");
    struct decide_options options = decide_options_default();
    options.urls = daemon.url;
    assert_int_equal(decide_client_create(&options, &load.client, NULL), DECIDE_OK);
    publish(&daemon, 1);
    assert_true(daemon_log_has(&daemon, "a version serves"));
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&client[i], NULL, ask_on, &load), 0);

    uint32_t version = swap_on(&load, seconds, every_ms, &before_kib);

    atomic_store(&load.stop, true);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(client[i], NULL);
    uint64_t after_kib = daemon_resident_kib(&daemon);
    printf("%u versions in %" PRIu64 " s, %" PRIu64 " answers, %" PRIu64 " failed, %" PRIu64
           " wrong; resident %" PRIu64 " KiB after %d versions, %" PRIu64 " KiB at the end\n",
           version, seconds, atomic_load(&load.answers), atomic_load(&load.failures),
           atomic_load(&load.mistakes), before_kib, WARM_VERSIONS, after_kib);
    assert_true(version > 1 && atomic_load(&load.answers) > 100);
    assert_int_equal(atomic_load(&load.failures), 0);
    assert_int_equal(atomic_load(&load.mistakes), 0);
    if (!SANITIZED && version > WARM_VERSIONS)
        assert_true(after_kib <= before_kib + GROWTH_KIB);
    decide_client_destroy(&load.client);
    daemon_stop(&daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_swaps_under_load)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
