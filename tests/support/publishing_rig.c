/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/publishing_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define MINISIGN "/usr/bin/minisign" /* tools/setup installs it */

const char *publishing_rig_path(const struct publishing_rig *bench, const char *name, char *buf)
{
    return temp_dir_path(&bench->dir, name, buf);
}

static void publishing_rig_run(struct publishing_rig *bench, const char *const *argv)
{
    program_run(&bench->program, argv);
    if (bench->program.exit_code != 0)
        fail_msg("%s ended with %d: %s%s", argv[0], bench->program.exit_code, bench->program.out,
                 bench->program.err);
}

int publishing_rig_set_up(void **state)
{
    char secret[2 * TEMP_DIR_BYTES], public_key[2 * TEMP_DIR_BYTES];
    char config[3 * TEMP_DIR_BYTES];
    struct publishing_rig *bench = calloc(1, sizeof *bench);
    if (bench == NULL)
        return -1;
    temp_dir_create(&bench->dir);
    const char *const generate[] = {MINISIGN,
                                    "-G",
                                    "-W",
                                    "-p",
                                    publishing_rig_path(bench, "k.pub", public_key),
                                    "-s",
                                    publishing_rig_path(bench, "k.sec", secret),
                                    NULL};
    publishing_rig_run(bench, generate);
    snprintf(config, sizeof config, "\"model_keys\": [\"%s\"]", public_key);
    daemon_start(&bench->daemon, config);
    *state = bench;
    return 0;
}

int publishing_rig_tear_down(void **state)
{
    struct publishing_rig *bench = *state;
    daemon_stop(&bench->daemon);
    temp_dir_remove(&bench->dir);
    free(bench);
    return 0;
}

int publishing_rig_ctl(struct publishing_rig *bench, const char *const *args)
{
    return program_run_ctl(&bench->program, bench->daemon.url, args);
}

void publishing_rig_sign(struct publishing_rig *bench, const char *dir)
{
    char secret[2 * TEMP_DIR_BYTES], manifest[4 * TEMP_DIR_BYTES];
    snprintf(manifest, sizeof manifest, "%s/manifest.json", dir);
    const char *const argv[] = {
        MINISIGN, "-S", "-s", publishing_rig_path(bench, "k.sec", secret), "-m", manifest, NULL};
    publishing_rig_run(bench, argv);
}

const cJSON *publishing_rig_member(const cJSON *report, const char *one, const char *other)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(report, one);
    return other == NULL ? value : cJSON_GetObjectItemCaseSensitive(value, other);
}

const char *publishing_rig_text(const cJSON *report, const char *one, const char *other)
{
    const char *value = cJSON_GetStringValue(publishing_rig_member(report, one, other));
    return value == NULL ? "" : value;
}
