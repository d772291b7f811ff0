/* SPDX-License-Identifier: Apache-2.0 */
/* remote - the lists that a running daemon gives, for evaluation: what is measured is what is
 * served.
 *
 * Each thread has one request on its way at any time, so the daemon is never idle.  Every call that
 * fails ends the evaluation: a list that did not come is no list of zero hits.  Answers at a lower
 * level are counted by level and reason; they are what a shopper would have seen. */
#ifndef TOOLS_TRAIN_REMOTE_H
#define TOOLS_TRAIN_REMOTE_H

#include "client/decide.h"
#include "tools/train/evaluate.h"

#define REMOTE_LEVELS_MAX  16
#define REMOTE_LEVEL_BYTES 64

struct remote_level {
    char name[REMOTE_LEVEL_BYTES]; /* "full", "reduced (no_model)" */
    uint64_t answers;
};

struct remote_levels {
    struct remote_level level[REMOTE_LEVELS_MAX];
    uint32_t count;
    uint64_t short_lists; /* answers with fewer than k items */
};

/* One list that came. */
struct remote_answer {
    uint32_t row; /* of the person */
    enum evaluate_mode mode;
    const uint32_t *columns; /* DATASET_NONE for an item that the dataset does not know */
    uint32_t count;
    const char *level; /* "full", "reduced (no_model)" */
    const struct decide_reply *reply;
};

struct remote_options {
    const char *url;
    const char *slot[EVALUATE_MODES];
    int64_t split_ms; /* a daemon that has seen events from here on is refused; 0: not looked at */
    uint32_t k, threads;
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* NULL: none */
    void *progress_ctx;
    void (*answered)(void *ctx, const struct remote_answer *answer); /* NULL: none; any thread */
    void *answered_ctx;
};

/* ERR_BAD_INPUT "--url: ..." for what remote_evaluate could not use; connects nothing. */
MUST_CHECK enum err_code remote_check_url(const char *url, struct err *err);

/* ERR_IO "recommend for '17850' failed: ..." when a call fails, ERR_BAD_INPUT for an unusable url
 * or a daemon that knows what it is to be tested on. */
MUST_CHECK enum err_code remote_evaluate(const struct remote_options *options,
                                         const struct interactions *interactions,
                                         const struct dataset *dataset,
                                         const struct targets *targets,
                                         struct evaluation *ret_evaluation,
                                         struct remote_levels *ret_levels, struct err *err);

#endif
