/* SPDX-License-Identifier: Apache-2.0 */
/* traffic - the requests that are sent, and what their replies say.
 *
 * Threads: one owner.  Limits: a request fits into TRAFFIC_REQUEST_BYTES. */
#ifndef TOOLS_BENCH_TRAFFIC_H
#define TOOLS_BENCH_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rand.h"
#include "tools/bench/names.h"
#include "tools/bench/options.h"
#include "tools/bench/zipf.h"

#define TRAFFIC_REQUEST_BYTES 65536
#define TRAFFIC_VALUES_MAX    1000000 /* MessagePack values of one reply */

struct traffic {
    const struct bench_options *options; /* borrowed */
    struct names users, items;
    struct zipf user_shares, item_shares;
    struct rand rand;
};

enum traffic_answer { ANSWER_OK, ANSWER_REFUSED, ANSWER_MALFORMED };

MUST_CHECK enum err_code traffic_init(struct traffic *traffic, const struct bench_options *options,
                                      struct err *err);
void traffic_deinit(struct traffic *traffic); /* fine on zeroed traffic */
/* Other requests from now on, of the same names. */
void traffic_reseed(struct traffic *traffic, uint64_t seed);

/* The next request's body; returns its length. */
size_t traffic_pack(struct traffic *traffic, uint8_t buf[TRAFFIC_REQUEST_BYTES]);
/* *ret_what: the level of a decision (of a page the first below full), the code of a refusal, or
 * empty. */
enum traffic_answer traffic_read(const uint8_t *body, size_t len, struct text *ret_what);

#endif
