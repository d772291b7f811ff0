/* SPDX-License-Identifier: Apache-2.0 */
/* ratchet - downgrade protection: records the highest version of each model that ever served, so
 * that an old bundle cannot return as if it were new, even with a valid signature.
 *
 *   {"format": 1, "models": {"home": {"highest": "12", "known": {"11": "<sha256>", ...}}}}
 *
 * A version is known, by the hash of its manifest, from its arrival until its removal.  An unknown
 * version is accepted if it is not lower than the highest; a known one may serve whenever an
 * operator says so.  Versions are compared in natural order: digits by value ("10" after "9"),
 * other characters by byte.
 *
 * The file is in data_dir, not beside the bundles: anyone who can put bundles there must not be
 * able to turn the ratchet back.  Invariant: `highest` of a name never falls and is never
 * forgotten.
 *
 * Threads: one at a time.  Limits: RATCHET_NAMES_MAX names, RATCHET_VERSIONS_MAX known versions of
 * each; 16 MiB. */
#ifndef SERVER_CONTROL_RATCHET_H
#define SERVER_CONTROL_RATCHET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "models/bundle.h"

#define RATCHET_NAME         "model-versions.json" /* in data_dir */
#define RATCHET_NAMES_MAX    4096
#define RATCHET_VERSIONS_MAX 1024

struct ratchet;

/* Reads the file; without one the ratchet is empty.  ERR_CORRUPT for one that says nonsense: it is
 * better to stop than to forget. */
MUST_CHECK enum err_code ratchet_open(const char *path, struct ratchet **ret_ratchet,
                                      struct err *err);
void ratchet_close(struct ratchet **ratchet);

/* Whether a version with this manifest may come, or is known.  ERR_DENIED says why not. */
MUST_CHECK enum err_code ratchet_check(const struct ratchet *ratchet, const char *name,
                                       const char *version, const char *manifest_sha256,
                                       struct err *err);
/* It is known from now on. */
MUST_CHECK enum err_code ratchet_know(struct ratchet *ratchet, const char *name,
                                      const char *version, const char *manifest_sha256,
                                      struct err *err);
/* It serves: nothing lower comes anew.  The name has a version that is known. */
void ratchet_raise(struct ratchet *ratchet, const char *name, const char *version);
/* Forgets the known versions for which `is_there` says no. */
typedef bool (*ratchet_is_there_fn)(void *ctx, const char *name, const char *version);
void ratchet_prune(struct ratchet *ratchet, ratchet_is_there_fn is_there, void *ctx);

/* Writes the file, durably, when something changed since. */
MUST_CHECK enum err_code ratchet_save(struct ratchet *ratchet, struct err *err);

#endif
