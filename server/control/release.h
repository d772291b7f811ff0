/* SPDX-License-Identifier: Apache-2.0 */
/* release - models, policies and definitions of features that belong together, as a folder and as
 * the file that remembers which ones are in force.
 *
 *   a release as it is pushed      as it is kept
 *     policies.json                  models_dir/.releases/ID/policies.json
 *     features.json                  models_dir/.releases/ID/features.json
 *     NAME/VERSION/...               models_dir/NAME/VERSION/... (after the switch)
 *
 *   models_dir/.release
 *     {"format": 1, "change": 7,
 *      "line": [{"id": "r1", "at_ms": 1, "policies": "r1", "features": "",
 *                "models": {"home": {"version": "2", "before": "1"}}}, ...],
 *      "apply": {"home": {"serve": "2", "aside": "1"}},
 *      "left": ["r0"]}
 *
 * The file is written as a whole, and that is the moment in which a release is in force or gone:
 * what is left to do then (bundles to their places, the lines of the names) is in `apply`, and is
 * done again at a start, for every name whose .serving has not seen the change.  The last release
 * of the line is the one in force; "policies" names the release whose policies.json counts, "" the
 * file of the configuration; so does "features" (which may be absent: "").  "left" (which may be
 * absent) names releases that were rolled back before all of their bundles could go to their
 * places: those stay in .releases/ID for people.
 *
 * Threads: one at a time.  Limits: RELEASE_MODELS_MAX models each, RELEASES_MAX in the line, of
 * which the oldest are forgotten. */
#ifndef SERVER_CONTROL_RELEASE_H
#define SERVER_CONTROL_RELEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"
#include "models/bundle.h"

#define RELEASE_MODELS_MAX 16
#define RELEASES_MAX       16
#define RELEASE_FILE       ".release"  /* in models_dir */
#define RELEASE_DIR        ".releases" /* in models_dir */
#define RELEASE_POLICIES   "policies.json"
#define RELEASE_FEATURES   "features.json"

struct release_model {
    char name[MODEL_NAME_BYTES];
    char version[MODEL_NAME_BYTES];
    char before[MODEL_NAME_BYTES]; /* what served when it came; "": nothing */
};

struct release {
    char id[MODEL_NAME_BYTES];
    /* Ids of the releases that have them; "": the configuration's. */
    char policies[MODEL_NAME_BYTES], features[MODEL_NAME_BYTES];
    int64_t at_ms;
    uint32_t count;
    struct release_model model[RELEASE_MODELS_MAX];
};

struct release_apply {
    char name[MODEL_NAME_BYTES];
    char serve[MODEL_NAME_BYTES]; /* "": no version */
    char aside[MODEL_NAME_BYTES]; /* "": none; leaves the line */
};

struct release_state {
    uint64_t change; /* counts up; 0: there never was one */
    uint32_t count, apply_count, left_count;
    struct release line[RELEASES_MAX];
    struct release_apply apply[RELEASE_MODELS_MAX];
    char left[RELEASES_MAX][MODEL_NAME_BYTES];
};

/* What is in the folder of a release: at least one of models, policies and features; each model in
 * one version; nothing else.  `policies` and `features` are `id` where it has them.  ERR_BAD_INPUT
 * says what is wrong; no file is opened. */
MUST_CHECK enum err_code release_read(const char *dir, const char *id, struct release *ret_release,
                                      struct err *err);

/* An absent file is an empty state; ERR_CORRUPT for one that says nonsense. */
MUST_CHECK enum err_code release_state_read(const char *path, struct release_state *ret_state,
                                            struct err *err);
MUST_CHECK enum err_code release_state_write(const char *path, const struct release_state *state,
                                             struct err *err);

/* The folder .releases/ID holds what is nowhere else: policies that count or may again, or bundles
 * that are not in their places. */
bool release_is_kept(const struct release_state *state, const char *id);

/* A file of the release `id` as it is kept. */
MUST_CHECK enum err_code release_file_path(const char *models_dir, const char *id, const char *file,
                                           char ret_path[FILE_PATH_BYTES], struct err *err);
/* The definitions of features in force, before any registry is there: those of a release, or else
 * the `configured` ones, which may be "". */
MUST_CHECK enum err_code release_features_path(const char *models_dir, const char *configured,
                                               char ret_path[FILE_PATH_BYTES], struct err *err);
/* Likewise, whether the policies of the configuration count, and not those of a release. */
MUST_CHECK enum err_code release_leaves_policies(const char *models_dir, bool *ret_leaves,
                                                 struct err *err);

static inline const struct release *release_in_force(const struct release_state *state)
{
    return state->count == 0 ? NULL : &state->line[state->count - 1];
}

#endif
