/* SPDX-License-Identifier: Apache-2.0 */
/* bundle - one version of one model on disk: NAME/VERSION/ with manifest.json and its files.
 *
 * Opening reads every file named in the manifest once, and checks SHA-256 over the same bytes that
 * are used afterwards; nothing is memory-mapped.  Files that the manifest does not name are
 * refused, so that a half-edited bundle is noticed.  docs/bundles.md describes manifest and files.
 *
 * The manifest's hashes cover every file except its own signature, manifest.json.minisig
 * (models/minisign.h), which may lie beside it.  With keys, only bundles signed by one of them are
 * opened; the signature is verified over the manifest's bytes before they are parsed.
 *
 * Everything in a bundle is untrusted.  Errors name the file, the field, and the expected and
 * actual value: ERR_CORRUPT for wrong or missing content, ERR_UNSUPPORTED for an unknown format or
 * type, ERR_NOT_FOUND if there is no manifest, ERR_LIMIT, ERR_NOMEM, ERR_IO.
 *
 * Threads: loader, tools.  Limits: manifest 1 MiB, golden rows 16 MiB, 16 files, each up to 4 GiB.
 */
#ifndef MODELS_BUNDLE_H
#define MODELS_BUNDLE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "models/minisign.h"

#define MODEL_NAME_BYTES      65 /* plain names (file_is_plain_name), terminated */
#define BUNDLE_FILES_MAX      16
#define BUNDLE_FEATURES_MAX   1024
#define BUNDLE_FILE_BYTES_MAX ((size_t)4 << 30)
#define BUNDLE_SIGNATURE_NAME "manifest.json.minisig"

/* clang-format off */
#define MODEL_KINDS(X) \
    X(factors) X(neighbors) X(popularity) X(linear) X(trees) X(mlp) X(blend) X(prices) X(embeddings)
/* clang-format on */

enum model_kind {
#define X(name) MODEL_##name,
    MODEL_KINDS(X)
#undef X
        MODEL_KIND_COUNT
};

const char *model_kind_name(enum model_kind kind);

struct bundle_file {
    char key[MODEL_NAME_BYTES]; /* "user_factors" */
    char path[256];             /* relative, plain */
    uint8_t *bytes;             /* owned until a loader takes it (sets NULL) */
    size_t len;
    char sha256[65];
    int64_t stated_bytes; /* by the manifest; -1: it does not say */
};

struct bundle_feature {
    char name[128];
    char column[128]; /* trees: what the model file calls it, "" when it says `name` as well */
    double
        fallback;  /* used where the value is unknown; NaN: the model is told that it is missing */
    bool optional; /* where nothing supplies a number under that name, each row has the fallback */
};

struct bundle {
    char dir[4096];
    char name[MODEL_NAME_BYTES];
    char version[MODEL_NAME_BYTES];
    enum model_kind kind;
    uint32_t file_count;
    struct bundle_file file[BUNDLE_FILES_MAX];
    uint32_t feature_count;
    struct bundle_feature *feature; /* owned */
    struct bundle_file golden;      /* key "golden" */
    double golden_tolerance;
    int64_t trained_at_ms; /* up to when events were used; 0 when not given */
    cJSON *manifest;       /* owned; "params" and "trained" are read from it */
    uint64_t bytes;        /* sum over files */
    char manifest_sha256[65];
    bool has_signature;          /* a file of that name lies in the folder */
    struct minisign_proof proof; /* key_id "" when no keys were given */
};

/* Reads and checks all.  When `name` and `version` are not NULL they must equal those of the
 * manifest (a folder's place must agree with what is in it). */
MUST_CHECK enum err_code bundle_open(const char *dir, const char *name, const char *version,
                                     struct bundle **ret_bundle, struct err *err);
/* The same for a bundle that must be signed by one of the keys; NULL: whether it is signed or
 * not. */
MUST_CHECK enum err_code bundle_open_signed(const char *dir, const char *name, const char *version,
                                            const struct minisign_keys *keys,
                                            struct bundle **ret_bundle, struct err *err);
void bundle_close(struct bundle **bundle);

/* How much of a bundle lies in a folder that may still grow, by the manifest's names and sizes;
 * nothing else is read.  `err` says what is not WHOLE.  PARTIAL: a file is not there, or smaller.
 * UNSURE: a size is not stated, the signature that is needed is not there, or the manifest itself
 * cannot be read. */
enum bundle_extent { BUNDLE_WHOLE, BUNDLE_UNSURE, BUNDLE_PARTIAL };
enum bundle_extent bundle_extent(const char *dir, bool must_be_signed, struct err *err);

/* The file under that key, or ERR_CORRUPT "manifest.json: files.item_ids: missing, needed by kind
 * factors". */
MUST_CHECK enum err_code bundle_file(struct bundle *bundle, const char *key,
                                     struct bundle_file **ret_file, struct err *err);

/* Number under "params"; `fallback` when absent, which is an error when `fallback` is NaN. */
MUST_CHECK enum err_code bundle_param(const struct bundle *bundle, const char *name, double min,
                                      double max, double fallback, double *ret_value,
                                      struct err *err);

/* ---- writing --------------------------------------------------------------------------------- */

/* For trainers, in this order: the files (safetensors_write, file_write_atomic), the golden rows,
 * the manifest.  `dir` exists and holds nothing else; it is renamed into place by the caller. */

/* Writes golden.json with `rows`, an array of the rows of docs/bundles.md. */
MUST_CHECK enum err_code bundle_write_golden(const char *dir, const cJSON *rows, struct err *err);

struct bundle_write_file {
    const char *key;
    const char *path;
};

/* Hashes the files and golden.json and writes manifest.json.  `extra` (may be NULL) holds any of
 * "description", "params", "features", "golden" ({"tolerance"}) and "trained", which are copied. */
MUST_CHECK enum err_code bundle_write_manifest(const char *dir, const char *name,
                                               const char *version, enum model_kind kind,
                                               const struct bundle_write_file *files,
                                               uint32_t file_count, const cJSON *extra,
                                               struct err *err);

#endif
