/* SPDX-License-Identifier: Apache-2.0 */
/* definitions_internal - shared by the files of the parser.
 *
 *   definitions.c        names, look-up, and where each state lies
 *   definitions_parse.c  the file, and the parameters of each kind of feature
 *   definitions_ratio.c  ratios, which refer to other features
 *   definitions_read.c   single values: durations, names of a list, conditions
 *
 * Each read leaves its output unchanged if an optional member is absent. */
#ifndef FEATURESTORE_DEFINITIONS_INTERNAL_H
#define FEATURESTORE_DEFINITIONS_INTERNAL_H

#include "featurestore/definitions.h"

MUST_CHECK enum err_code definitions_read_events(const struct json_at *at,
                                                 struct definition *definition, struct err *err);
MUST_CHECK enum err_code definitions_read_where(const struct json_at *at,
                                                struct definition *definition, struct err *err);
/* {text: number, ...} */
MUST_CHECK enum err_code definitions_read_numbers(const struct json_at *at,
                                                  struct definition *definition, struct err *err);
MUST_CHECK enum err_code definitions_read_window(const struct json_at *window,
                                                 const struct json_at *tile,
                                                 struct definition *definition, struct err *err);
/* The parts of all ratios, when all are laid out: then parts are found by name. */
MUST_CHECK enum err_code definitions_read_ratios(const struct json_at *features,
                                                 struct definitions *definitions, struct err *err);

/* Sorts, and gives every state its place.  `features`: what they were read from. */
MUST_CHECK enum err_code definitions_lay_out(const struct json_at *features,
                                             struct definitions *definitions, struct err *err);

#endif
