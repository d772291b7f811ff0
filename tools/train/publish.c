/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/publish.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

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

enum err_code publish_choose(const struct train_options *options, const struct clock *clock,
                             char made_version[PUBLISH_VERSION_BYTES],
                             struct publish_place *ret_place, struct err *err)
{
    const char *name = options->name != NULL ? options->name : train_command_name(options->command);
    int64_t now_ms = clock_wall_ms(clock);
    time_t now = (time_t)(now_ms / 1000);
    struct tm utc;
    gmtime_r(&now, &utc);
    size_t len = strftime(made_version, PUBLISH_VERSION_BYTES, "%Y%m%d-%H%M%S", &utc);
    /* Two runs within a second are not rare in scripts. */
    snprintf(made_version + len, PUBLISH_VERSION_BYTES - len, ".%03d", (int)(now_ms % 1000));
    return publish_place(options->out, name,
                         options->version != NULL ? options->version : made_version, ret_place,
                         err);
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

enum err_code publish_written(const struct publish_place *place, publish_write *write, void *ctx,
                              struct err *err)
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
        rc = write(ctx, dir, place, err);
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
