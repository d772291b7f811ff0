/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/registry_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/file.h"
#include "base/rcu.h"
#include "featurestore/store.h"
#include "server/decide/tally.h"
#include "server/metrics.h"

#define WAIT_S       60
#define LIST_BYTES   262144
#define REMOVE_TRIES 100

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "registry_rig: %s: %s\n", what, why);
    abort();
}

static void must(enum err_code rc, const char *what, const struct err *err)
{
    if (rc != ERR_OK)
        die(what, err->text);
}

void outcome_init(struct outcome *outcome)
{
    *outcome = (struct outcome){.done = false};
    pthread_mutex_init(&outcome->lock, NULL);
    pthread_cond_init(&outcome->changed, NULL);
}

void outcome_done(void *ctx, enum err_code rc, const struct err *err)
{
    struct outcome *outcome = ctx;
    pthread_mutex_lock(&outcome->lock);
    outcome->rc = rc;
    outcome->err = *err;
    outcome->done = true;
    pthread_cond_signal(&outcome->changed);
    pthread_mutex_unlock(&outcome->lock);
}

enum err_code outcome_wait(struct outcome *outcome)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&outcome->lock);
    while (!outcome->done) {
        if (pthread_cond_timedwait(&outcome->changed, &outcome->lock, &until) == ETIMEDOUT)
            die("waiting for the registry", "no answer within a minute");
    }
    pthread_mutex_unlock(&outcome->lock);
    pthread_cond_destroy(&outcome->changed);
    pthread_mutex_destroy(&outcome->lock);
    return outcome->rc;
}

void rig_create(struct registry_rig *rig)
{
    static const struct store_limits limits = {.items_max = 1000,
                                               .people_max = 1000,
                                               .history_items_max = 10,
                                               .queue_events_max = 1000,
                                               .dedup_events_max = 1000,
                                               .prices_max = 8};
    struct err err;
    *rig = (struct registry_rig){.previous_bytes_max = 1 << 20};
    temp_dir_create(&rig->dir);
    must(metrics_create(server_metric_families, M_COUNT, 5, &rig->metrics, &err), "metrics", &err);
    must(store_create(&limits, clock_system(), &rig->store, &err), "store", &err);
    must(store_start(rig->store, &err), "store", &err);
    const struct shadow_options shadow = {
        .store = rig->store, .metrics = rig->metrics, .clock = clock_system(), .worker_count = 2};
    must(shadow_create(&shadow, &rig->shadow, &err), "shadow", &err);
    must(shadow_start(rig->shadow, &err), "shadow", &err);
}

void rig_start(struct registry_rig *rig)
{
    static const struct text static_ids[] = {{"i7", 2}};
    char path[2 * TEMP_DIR_BYTES], ratchet_path[2 * TEMP_DIR_BYTES];
    struct err err;
    const struct registry_options options = {
        .inherited_lock_fd = -1,
        .models_dir = rig_path(rig, "models", path),
        .policies_path = rig->policies,
        .static_ids = static_ids,
        .static_count = 1,
        .worker_count = 2,
        .serves_promoted = rig->serves_promoted,
        .rescan_ms = 3600000,
        .check_ms = 10,
        .lists_ms = 10,
        .previous_bytes_max = rig->previous_bytes_max,
        .shadow = rig->shadow,
        .store = rig->store,
        .serving = &rig->serving,
        .metrics = rig->metrics,
        .audit = rig->audit,
        .changes = &rig->changes,
        .follows = rig->follows,
        .keys = rig->keys,
        .ratchet_path = rig_path(rig, "versions.json", ratchet_path),
        .clock = rig->clock == NULL ? clock_system() : rig->clock};
    must(registry_create(&options, &rig->registry, &err), "registry", &err);
    must(registry_start(rig->registry, &err), "registry", &err);
}

void rig_stop(struct registry_rig *rig)
{
    registry_stop(rig->registry);
    registry_destroy(&rig->registry);
}

void rig_destroy(struct registry_rig *rig)
{
    if (rig->registry != NULL)
        rig_stop(rig);
    shadow_stop(rig->shadow);
    shadow_destroy(&rig->shadow);
    store_stop(rig->store);
    store_destroy(&rig->store);
    metrics_destroy(&rig->metrics);
    temp_dir_remove(&rig->dir);
}

char *rig_path(const struct registry_rig *rig, const char *below, char path[2 * TEMP_DIR_BYTES])
{
    return temp_dir_path(&rig->dir, below, path);
}

void rig_publish(const struct registry_rig *rig, const char *name, const char *version,
                 enum model_kind kind)
{
    char work[2 * TEMP_DIR_BYTES];
    model_sample_write(rig_path(rig, "work", work), name, version, kind);
    rig_move_in(rig, name, version);
}

/* File systems count time in ticks of some milliseconds. */
static bool is_later_than_its_files(const char *dir)
{
    struct stat info;
    if (stat(dir, &info) != 0)
        die("publish", strerror(errno));
    return info.st_ctim.tv_sec != info.st_mtim.tv_sec ||
           info.st_ctim.tv_nsec != info.st_mtim.tv_nsec;
}

void rig_move_in(const struct registry_rig *rig, const char *name, const char *version)
{
    char work[2 * TEMP_DIR_BYTES], aside[2 * TEMP_DIR_BYTES], place[2 * TEMP_DIR_BYTES];
    char below[256];
    struct err err;
    rig_path(rig, "work", work);
    rig_path(rig, "aside", aside);
    while (!is_later_than_its_files(work)) {
        if (rename(work, aside) != 0 || rename(aside, work) != 0)
            die("publish", strerror(errno));
    }
    snprintf(below, sizeof below, "models/%s", name);
    must(file_make_dir(rig_path(rig, below, place), &err), "publish", &err);
    snprintf(below, sizeof below, "models/%s/%s", name, version);
    if (rename(work, rig_path(rig, below, place)) != 0)
        die("publish", strerror(errno));
}

void rig_remove(const struct registry_rig *rig, const char *name)
{
    char below[TEMP_DIR_BYTES], path[2 * TEMP_DIR_BYTES];
    struct err err = {0};
    snprintf(below, sizeof below, "models/%s", name);
    enum err_code rc = ERR_IO;
    for (int tries = 0; rc != ERR_OK && tries < REMOVE_TRIES; tries++)
        rc = file_remove_tree(rig_path(rig, below, path), &err);
    must(rc, "remove a model", &err);
}

void rig_scan(struct registry_rig *rig)
{
    struct outcome outcome;
    outcome_init(&outcome);
    registry_scan(rig->registry, outcome_done, &outcome);
    must(outcome_wait(&outcome), "scan", &outcome.err);
    /* What a request leaves for later is done when the next one begins. */
    outcome_init(&outcome);
    registry_scan(rig->registry, outcome_done, &outcome);
    must(outcome_wait(&outcome), "scan", &outcome.err);
}

void rig_reload(struct registry_rig *rig)
{
    struct outcome outcome;
    outcome_init(&outcome);
    registry_reload(rig->registry, rig->policies, NULL, NULL, 0, rig->previous_bytes_max,
                    outcome_done, &outcome);
    must(outcome_wait(&outcome), "reload", &outcome.err);
}

enum err_code rig_rollback(struct registry_rig *rig, const char *name, struct err *ret_err)
{
    struct outcome outcome;
    outcome_init(&outcome);
    registry_rollback(rig->registry, name, outcome_done, &outcome);
    enum err_code rc = outcome_wait(&outcome);
    *ret_err = outcome.err;
    return rc;
}

enum err_code rig_promote(struct registry_rig *rig, const char *name, const char *version,
                          struct err *ret_err)
{
    struct outcome outcome;
    outcome_init(&outcome);
    registry_promote(rig->registry, name, version, outcome_done, &outcome);
    enum err_code rc = outcome_wait(&outcome);
    *ret_err = outcome.err;
    return rc;
}

enum err_code rig_canary(struct registry_rig *rig, const char *name, const char *version,
                         uint32_t share_e4, struct err *ret_err)
{
    const struct canary_settings settings = {.share_e4 = share_e4, .bounds = CANARY_BOUNDS_DEFAULT};
    struct outcome outcome;
    outcome_init(&outcome);
    if (version == NULL)
        registry_canary_stop(rig->registry, name, outcome_done, &outcome);
    else
        registry_canary(rig->registry, name, version, &settings, outcome_done, &outcome);
    enum err_code rc = outcome_wait(&outcome);
    *ret_err = outcome.err;
    return rc;
}

enum err_code rig_install(struct registry_rig *rig, const char *from, const char *name,
                          const char *version, struct err *ret_err)
{
    struct outcome outcome;
    outcome_init(&outcome);
    registry_install(rig->registry, from, name, version, outcome_done, &outcome);
    enum err_code rc = outcome_wait(&outcome);
    *ret_err = outcome.err;
    return rc;
}

const char *rig_serving(const struct registry_rig *rig, const char *name)
{
    static char version[MODEL_NAME_BYTES];
    char by_snapshot[MODEL_NAME_BYTES] = "";
    registry_version(rig->registry, name, version);
    rcu_read_begin();
    const struct snapshot *snapshot = serving_current(&rig->serving);
    for (uint32_t i = 0; i < snapshot->model_count; i++) {
        if (strcmp(snapshot->model[i]->name, name) == 0)
            snprintf(by_snapshot, sizeof by_snapshot, "%s", snapshot->model[i]->version);
    }
    rcu_read_end();
    if (strcmp(version, by_snapshot) != 0)
        die("registry and snapshot differ", name);
    return version;
}

struct rig_view rig_view(const struct registry_rig *rig)
{
    rcu_read_begin();
    const struct snapshot *snapshot = serving_current(&rig->serving);
    struct rig_view view = {.epoch = snapshot->epoch,
                            .model_count = snapshot->model_count,
                            .trial_count = snapshot->trial_count,
                            .static_count = snapshot->static_count};
    if (view.model_count > 0)
        view.first_model_bytes = snapshot->model[0]->bytes;
    if (view.trial_count > 0)
        view.trial_decisions = tally_counts(snapshot->trial[0].tally, 0, TALLY_TRIAL)->decisions;
    rcu_read_end();
    return view;
}

static bool key_is(struct cursor *cursor, const char *key)
{
    struct text text;
    return cursor_text(cursor, &text) && text_is(text, key);
}

/* One load of the list, in the order of registry.h. */
static bool next_load(struct cursor *at, struct text ret[4])
{
    static const char *const keys[] = {"name", "version", "outcome", "message"};
    uint32_t pairs = 0;
    if (!cursor_map(at, &pairs) || pairs != 5)
        return false;
    for (int i = 0; i < 4; i++) {
        if (!key_is(at, keys[i]) || !cursor_text(at, &ret[i]))
            return false;
    }
    cursor_skip(at, NULL);
    cursor_skip(at, NULL);
    return true;
}

const char *rig_refusal(const struct registry_rig *rig, const char *name, const char *version)
{
    static char message[ERR_TEXT_BYTES];
    struct text load[4];
    uint32_t count = 0;
    uint8_t *bytes = malloc(LIST_BYTES);
    if (bytes == NULL)
        die("list", "out of memory");
    struct pack pack = pack_into(bytes, LIST_BYTES);
    pack_map(&pack, REGISTRY_PACK_PAIRS);
    registry_pack(rig->registry, &pack);
    if (pack.overflow || cursor_check(bytes, pack.used, CURSOR_VALUES_MAX, NULL) != ERR_OK)
        die("list", "not one well-formed map");
    struct cursor at = cursor_of(bytes, pack.used);
    message[0] = '\0';
    (void)cursor_map(&at, &count);
    cursor_skip(&at, NULL);
    cursor_skip(&at, NULL); /* models */
    cursor_skip(&at, NULL);
    cursor_skip(&at, NULL); /* waiting_left_out */
    if (!key_is(&at, "loads") || !cursor_array(&at, &count))
        die("list", "no loads");
    for (; count > 0 && message[0] == '\0'; count--) {
        if (!next_load(&at, load))
            die("list", "a load is not as described");
        if (text_is(load[0], name) && text_is(load[1], version) && text_is(load[2], "refused"))
            text_copy(load[3], message, sizeof message);
    }
    free(bytes);
    return message;
}

uint64_t rig_refused_count(const struct registry_rig *rig)
{
    return metric_value(rig->metrics, M_MODEL_LOADS, 1, 0);
}

uint64_t rig_loaded_count(const struct registry_rig *rig)
{
    return metric_value(rig->metrics, M_MODEL_LOADS, 0, 0);
}

int rig_set_up(void **state)
{
    struct registry_rig *rig = malloc(sizeof *rig);
    if (rig == NULL)
        return -1;
    rig_create(rig);
    *state = rig;
    return 0;
}

int rig_set_up_started(void **state)
{
    if (rig_set_up(state) != 0)
        return -1;
    rig_start(*state);
    return 0;
}

int rig_set_up_promoted(void **state)
{
    if (rig_set_up(state) != 0)
        return -1;
    struct registry_rig *rig = *state;
    rig->serves_promoted = true;
    rig_start(rig);
    return 0;
}

int rig_tear_down(void **state)
{
    rig_destroy(*state);
    free(*state);
    return 0;
}

void rig_publish_three(struct registry_rig *rig, const char *name)
{
    static const char *const versions[] = {"1", "2", "3"};
    struct err err = {.text = ""};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        rig_publish(rig, name, versions[i], MODEL_factors);
        rig_scan(rig);
    }
    must(rig_promote(rig, name, "1", &err), "promote", &err);
}
