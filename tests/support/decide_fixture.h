/* SPDX-License-Identifier: Apache-2.0 */
/* decide_fixture - a store, models, policies and one worker, so that a test can ask in JSON and
 * read the decision as one line.
 *
 * The store has no thread: the fixture applies events itself, so the test may read without
 * rcu_read_begin.  Time stands at FIXTURE_NOW_MS.  Whatever fails outside of what is tested aborts
 * the program with a message.  Threads: one owner. */
#ifndef TESTS_SUPPORT_DECIDE_FIXTURE_H
#define TESTS_SUPPORT_DECIDE_FIXTURE_H

#include "server/decide/decide.h"
#include "tests/support/events.h"

#define FIXTURE_NOW_MS INT64_C(1700000000000) /* 2023-11-14T22:13:20Z */

enum { FIXTURE_MODELS_MAX = 8 };

struct fixture {
    struct clock_manual clock;
    struct store *store;
    struct metrics *metrics;
    struct workers *workers;
    struct worker *worker;
    struct answers *answers;
    struct snapshot *snapshot;
    struct model *model[FIXTURE_MODELS_MAX]; /* owned */
    uint32_t model_count;
    struct model *trial_model[SNAPSHOT_TRIALS_MAX]; /* owned */
    struct snapshot_trial trial[SNAPSHOT_TRIALS_MAX];
    uint32_t trial_count;
    uint32_t aside;
    enum level floor;
    uint64_t deadline_ns; /* of the worker's clock; 0: none */
    uint32_t spared_permille;
    bool keep_features;
    struct list_stop list_stop;
    uint64_t epoch;
    struct events events;
    uint8_t request_bytes[65536];
    bool no_static;         /* the static list is empty, from the next fixture_serve on */
    struct request request; /* the last one, and what was decided on it */
    struct decide_env env;
    struct decision decision;
    char line[4096]; /* fixture_ask: the last answer */
};

/* Without models, with the built-in policy; the static list is "s1 s2". */
void fixture_init(struct fixture *fixture);
void fixture_deinit(struct fixture *fixture);

void fixture_event(struct fixture *fixture, const char *json);
/* One event of that user with one item. */
void fixture_act(struct fixture *fixture, const char *type, const char *user, const char *item,
                 int64_t ts_ms);

/* Takes the model over; it serves from the next fixture_serve. */
void fixture_add_model(struct fixture *fixture, struct model *model);
/* Takes over a version that is on trial beside the model of its name, and counts in `tally`. */
void fixture_add_trial(struct fixture *fixture, struct model *model, uint32_t share_e4,
                       struct tally *tally);
/* A new snapshot of these policies (NULL: the built-in ones), or why there is none. */
enum err_code fixture_try_serve(struct fixture *fixture, const char *policies, struct err *err);
void fixture_serve(struct fixture *fixture, const char *policies);

/* Decides on a request; an "op" is in it.  The arena is reset before. */
const struct decision *fixture_decide(struct fixture *fixture, const char *request);
/* The same as one line: "generic/no_model: a b c"; "full: a b". */
const char *fixture_ask(struct fixture *fixture, const char *request);

/* A small shop.  a b c are shoes, d e f hats; a b d are of acme, c e f of bolt; the prices are 1000
 * to 6000 EUR cents; f is out of stock and g is in no catalogue.  By what a crowd did within an
 * hour they are popular in the order f e d g c b a. */
void fixture_load_shop(struct fixture *fixture);

/* The decision's item of that id, or NULL. */
const struct decision_item *fixture_item(const struct fixture *fixture, const char *id);

#endif
