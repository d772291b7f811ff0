/* SPDX-License-Identifier: Apache-2.0 */
/* probe - a few requests, one at a time, to learn what a usual reply of the daemon is.
 *
 * Threads: one.  Errors: ERR_IO when the daemon cannot be reached or is silent for PROBE_WAIT_MS,
 * ERR_UNSUPPORTED when it refuses such a request. */
#ifndef TOOLS_BENCH_PROBE_H
#define TOOLS_BENCH_PROBE_H

#include "base/err.h"
#include "tools/bench/traffic.h"

#define PROBE_COUNT   31
#define PROBE_WAIT_MS 5000

/* The reply of median length, malloc'ed; the caller frees it. */
MUST_CHECK enum err_code probe_reply(const char *url, struct traffic *traffic, uint8_t **ret_reply,
                                     size_t *ret_bytes, struct err *err);

#endif
