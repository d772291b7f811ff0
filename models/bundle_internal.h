/* SPDX-License-Identifier: Apache-2.0 */
/* bundle_internal - what the reading, the parsing and the writing of bundles share. */
#ifndef MODELS_BUNDLE_INTERNAL_H
#define MODELS_BUNDLE_INTERNAL_H

#include "models/bundle.h"

#define MANIFEST_NAME      "manifest.json"
#define GOLDEN_NAME        "golden.json"
#define MANIFEST_BYTES_MAX ((size_t)1 << 20)
#define GOLDEN_BYTES_MAX   ((size_t)16 << 20)
#define GOLDEN_TOLERANCE   1e-5
#define BUNDLE_FORMAT      1

/* Fills in all of *bundle (zeroed) but the bytes of files; no file is opened.  What was set is
 * released by bundle_close also after a failure. */
MUST_CHECK enum err_code manifest_parse(const char *bytes, size_t len, struct bundle *bundle,
                                        struct err *err);

/* For what is read through base/json.h out of a bundle: a value that is missing or of the wrong
 * type means that the bundle is corrupt, while "not found" is for a bundle that is not there. */
static inline enum err_code bundle_fault(enum err_code rc, struct err *err)
{
    if (rc != ERR_NOT_FOUND && rc != ERR_BAD_INPUT)
        return rc;
    if (err != NULL)
        err->code = ERR_CORRUPT;
    return ERR_CORRUPT;
}

#endif
