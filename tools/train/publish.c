/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/publish.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "models/bundle.h"
#include "tools/train/bundle_files.h"
#include "tools/train/golden.h"
#include "tools/train/manifest.h"

enum err_code publish_place(const char *out, const char *name, const char *version,
                            struct publish_place *ret_place, struct err *err)
{
    struct publish_place place = {.name = name, .version = version};
    struct stat st;
    enum err_code rc = file_join(out, name, place.parent, sizeof place.parent, err);
    if (rc == ERR_OK)
        rc = file_join(place.parent, version, place.final, sizeof place.final, err);
    if (rc != ERR_OK)
        return rc;
    if (lstat(place.final, &st) == 0)
        return err_set(err, ERR_EXISTS, "'%s' exists already; choose another --version",
                       place.final);
    *ret_place = place;
    return ERR_OK;
}

static enum model_kind kind_of(const struct trained *trained)
{
    switch (trained->kind) {
    case TRAIN_FACTORS: return MODEL_factors;
    case TRAIN_NEIGHBORS: return MODEL_neighbors;
    default: return MODEL_popularity;
    }
}

static enum err_code write_bundle(const char *dir, const struct publish_place *place,
                                  const struct trained *trained,
                                  const struct interactions *interactions,
                                  const struct dataset *dataset,
                                  const struct evaluation *evaluation, struct err *err)
{
    struct bundle_write_file file[BUNDLE_FILES_MAX];
    uint32_t file_count = 0;
    cJSON *rows = NULL;
    cJSON *extra = NULL;
    enum err_code rc =
        bundle_files_write(dir, trained, interactions, dataset, file, &file_count, err);
    if (rc == ERR_OK)
        rc = golden_rows(trained, interactions, dataset, &rows, err);
    if (rc == ERR_OK)
        rc = bundle_write_golden(dir, rows, err);
    if (rc == ERR_OK)
        rc = manifest_extra(trained, dataset, evaluation, &extra, err);
    if (rc == ERR_OK)
        rc = bundle_write_manifest(dir, place->name, place->version, kind_of(trained), file,
                                   file_count, extra, err);
    cJSON_Delete(rows);
    cJSON_Delete(extra);
    return rc;
}

static enum err_code rename_into_place(const char *dir, const struct publish_place *place,
                                       struct err *err)
{
    /* Fails on a folder that is not empty: a version that somebody else wrote meanwhile stays. */
    if (rename(dir, place->final) == 0)
        return file_sync_dir(place->parent, err);
    if (errno == EEXIST || errno == ENOTEMPTY)
        return err_set(err, ERR_EXISTS, "'%s' exists already; choose another --version",
                       place->final);
    return err_set(err, ERR_IO, "cannot rename '%s' to '%s': %s", dir, place->final,
                   strerror(errno));
}

static const int held_signals[] = {SIGINT, SIGTERM, SIGHUP};
#define HELD_SIGNALS (sizeof held_signals / sizeof held_signals[0])

/* Handled rather than blocked: OpenBLAS starts threads before main, which block none. */
static volatile sig_atomic_t signal_came;

static void note_signal(int number)
{
    signal_came = number;
}

static void hold_signals(struct sigaction ret_before[HELD_SIGNALS])
{
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
    signal_came = 0;
    for (size_t i = 0; i < HELD_SIGNALS; i++)
        sigaction(held_signals[i], &action, &ret_before[i]);
}

static void release_signals(const struct sigaction before[HELD_SIGNALS])
{
    for (size_t i = 0; i < HELD_SIGNALS; i++)
        sigaction(held_signals[i], &before[i], NULL);
    if (signal_came != 0)
        raise(signal_came);
}

enum err_code publish(const struct publish_place *place, const struct trained *trained,
                      const struct interactions *interactions, const struct dataset *dataset,
                      const struct evaluation *evaluation, struct err *err)
{
    char name[96], dir[FILE_PATH_BYTES];
    struct sigaction before[HELD_SIGNALS];
    snprintf(name, sizeof name, ".%s.%ld", place->version, (long)getpid());
    enum err_code rc = file_join(place->parent, name, dir, sizeof dir, err);
    if (rc != ERR_OK)
        return rc;
    hold_signals(before);
    rc = file_make_dir(dir, err);
    if (rc == ERR_OK)
        rc = write_bundle(dir, place, trained, interactions, dataset, evaluation, err);
    if (rc == ERR_OK && signal_came != 0)
        rc = err_set(err, ERR_BUSY, "interrupted");
    if (rc == ERR_OK)
        rc = rename_into_place(dir, place, err);
    if (rc != ERR_OK) {
        struct err ignored;
        if (file_remove_tree(dir, &ignored) == ERR_OK)
            (void)rmdir(place->parent); /* when nothing else is in it */
    }
    release_signals(before);
    return rc;
}
