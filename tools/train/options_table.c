/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/options_table.h"

#include "tools/train/evaluate.h"
#include "tools/train/neighbors.h"
#include "tools/train/parallel.h"

#define F         (1u << TRAIN_FACTORS)
#define N         (1u << TRAIN_NEIGHBORS)
#define P         (1u << TRAIN_POPULARITY)
#define E         (1u << TRAIN_EVAL)
#define R         (1u << TRAIN_RANKER)
#define S         (1u << TRAIN_STARTER)
#define M         (F | N | P) /* all that learn from events */
#define T         (M | R)     /* all that train */
#define V         (M | E)     /* all that read events */
#define A         (T | E)
#define W         (T | S) /* all that write a bundle */
#define AT(field) offsetof(struct train_options, field)

const struct option train_option[TRAIN_OPTION_ROWS] = {
    {"--events", "FILE", OPTION_TEXT, V, V, AT(events), 0, 0, NULL,
     "events: CSV or NDJSON, also packed"},
    {"--map", "FILE", OPTION_TEXT, V, 0, AT(map), 0, 0, NULL,
     "which columns make an event (CSV needs one; see docs/import.md)"},
    {"--out", "DIR", OPTION_TEXT, W, W, AT(out), 0, 0, NULL, "where DIR/NAME/VERSION is written"},
    {"--name", "NAME", OPTION_NAME, W, 0, AT(name), 0, 0, NULL,
     "name of the model (default: the kind)"},
    {"--version", "VERSION", OPTION_NAME, W, 0, AT(version), 0, 0, NULL,
     "version of the model (default: the time in UTC)"},
    {"--format", "csv|ndjson", OPTION_CHOICE, A, 0, AT(format), 0, 0, NULL,
     "of the file (default: by its name)"},
    {"--url", "URL", OPTION_TEXT, E, 0, AT(url), 0, 0, NULL,
     "the daemon to ask (default: DECIDED_URL, or tcp://127.0.0.1:7100)"},
    {"--eval", "time:DATE", OPTION_SPLIT, V, E, AT(eval_s), 0, 0, NULL,
     "train on events before that time (UTC), test on those after it"},
    {"--k", "K", OPTION_COUNT, A, 0, AT(k), 1, EVALUATE_K_MAX, "20", "length of the lists tested"},
    {"--slot-new", "SLOT", OPTION_TEXT, E, 0, AT(slot_new), 0, 0, "home",
     "slot asked for items that the person has not bought"},
    {"--slot-any", "SLOT", OPTION_TEXT, E, 0, AT(slot_any), 0, 0, "again",
     "slot asked for items of any kind, repeat purchases included"},
    {"--factors", "D", OPTION_COUNT, F, 0, AT(factors), 1, 512, "64",
     "factors of a user and an item"},
    {"--sweeps", "S", OPTION_COUNT, F, 0, AT(sweeps), 1, 1000, "12",
     "how often users and items are solved for"},
    {"--regularization", "R", OPTION_REAL, F, 0, AT(regularization), 0, 1e9, "0.003",
     "pulls factors to zero, in proportion to how much is known of a row"},
    {"--regularization-exponent", "NU", OPTION_REAL, F, 0, AT(regularization_exponent), 0, 2, "1",
     "1: in full proportion, 0: the same for all rows"},
    {"--unobserved-weight", "W", OPTION_REAL, F, 0, AT(unobserved_weight), 0, 1e6, "0.3",
     "weight of what a person did not touch"},
    {"--seed", "S", OPTION_COUNT, F | R, 0, AT(seed), 0, 9007199254740992.0, "1",
     "the same seed gives the same model (of a ranker: with one thread)"},
    {"--method", "ease|cosine", OPTION_CHOICE, N, 0, AT(method), 0, 0, "ease",
     "ease: a linear model over all items; cosine: overlap of buyers"},
    {"--neighbors", "K", OPTION_COUNT, N, 0, AT(neighbor_count), 1, NEIGHBORS_PER_ROW_MAX, NULL,
     "neighbors kept per item, on average for ease (default: ease what --energy says, cosine 50)"},
    {"--energy", "E", OPTION_REAL, N, 0, AT(energy), 0, 1, "0.9",
     "ease without --neighbors: keep the strongest until they hold this share of the sum of all "
     "squared weights, 60 to 300 per item"},
    {"--lambda", "L", OPTION_REAL, N, 0, AT(lambda), 1e-6, 1e9, "500", "regularisation of ease"},
    {"--shrinkage", "S", OPTION_REAL, N, 0, AT(shrinkage), 0, 1e9, "10",
     "pulls cosines of items with few buyers to zero"},
    {"--days", "D", OPTION_COUNT, P, 0, AT(days), 1, 36500, NULL,
     "count only the last D days before the newest event (default: all)"},
    {"--rows", "FILE", OPTION_TEXT, R, R, AT(rows), 0, 0, NULL,
     "what decidectl export training wrote, also packed"},
    {"--features", "NAMES", OPTION_TEXT, S, S, AT(features), 0, 0, NULL,
     "what is to be logged, separated by commas (docs/policies.md)"},
    {"--slot", "SLOT", OPTION_TEXT, R, 0, AT(slot), 0, 0, NULL,
     "only rows that this slot of the policies answered (default: all)"},
    {"--label", "graded|purchased|carted|clicked", OPTION_CHOICE, R, 0, AT(label), 0, 0, "graded",
     "what is good: clicked 1, carted 2, purchased 3; or one of them or more, alone"},
    {"--impressed", NULL, OPTION_FLAG, R, 0, AT(impressed_only), 0, 0, NULL,
     "only rows with an impression count"},
    {"--objective", "ndcg|pairwise|logistic", OPTION_CHOICE, R, 0, AT(objective), 0, 0, "ndcg",
     "ndcg and pairwise: LambdaMART; logistic: each item by itself"},
    {"--rounds", "N", OPTION_COUNT, R, 0, AT(rounds), 1, 10000, "500", "trees at most"},
    {"--patience", "N", OPTION_COUNT, R, 0, AT(patience), 1, 10000, "50",
     "end after so many rounds without a better ndcg of the validation part"},
    {"--valid", "SHARE", OPTION_REAL, R, 0, AT(valid_share), 0, 0.9, "0.2",
     "of the decisions, the newest ones, to validate on; 0: train on all, all --rounds"},
    {"--depth", "D", OPTION_COUNT, R, 0, AT(depth), 1, 16, "6", "of a tree"},
    {"--learning-rate", "R", OPTION_REAL, R, 0, AT(learning_rate), 1e-6, 1, "0.05",
     "how much of each tree counts"},
    {"--min-child-weight", "W", OPTION_REAL, R, 0, AT(min_child_weight), 0, 1e9, "1",
     "sum of hessians that a leaf needs"},
    {"--l2", "L", OPTION_REAL, R, 0, AT(l2), 0, 1e9, "1", "regularisation of leaves"},
    {"--subsample", "SHARE", OPTION_REAL, R, 0, AT(subsample), 0.01, 1, "1",
     "of the rows, drawn for each tree"},
    {"--columns", "SHARE", OPTION_REAL, R, 0, AT(column_share), 0.01, 1, "1",
     "of the features, drawn for each tree"},
    {"--pairs", "N", OPTION_COUNT, R, 0, AT(pairs), 1, 1000, "1",
     "others that each item is compared with (LambdaMART)"},
    {"--threads", "N", OPTION_COUNT, R, 0, AT(threads), 1, PARALLEL_THREADS_MAX, "1",
     "threads of XGBoost; more pay for many rows, on a machine that is idle"},
    {"--threads", "N", OPTION_COUNT, M | E, 0, AT(threads), 1, PARALLEL_THREADS_MAX, "2",
     "threads that work"},
    {"--json", NULL, OPTION_FLAG, A | S, 0, AT(json), 0, 0, NULL, "print one JSON value, no table"},
    {"--help", NULL, OPTION_FLAG, A | S, 0, AT(help), 0, 0, NULL, "show this"},
};

const struct train_command_row train_command[TRAIN_COMMAND_COUNT] = {
    [TRAIN_FACTORS] = {"factors", "matrix factorisation by alternating least squares (iALS)"},
    [TRAIN_NEIGHBORS] = {"neighbors", "item-to-item lists (EASE, or shrunk cosine)"},
    [TRAIN_POPULARITY] = {"popularity", "how many people took each item"},
    [TRAIN_RANKER] = {"ranker", "trees that order items, from what decisions showed and what came "
                                "of it (LambdaMART)"},
    [TRAIN_STARTER] = {"starter", "a ranker that keeps the order of the sources and logs features, "
                                  "to begin with"},
    [TRAIN_EVAL] = {"eval", "test what a running daemon recommends"},
};
