/* SPDX-License-Identifier: Apache-2.0 */
/* reader_transcript - everything that a reader says about a file, as one text to compare.
 *
 * A line for each outcome: "+JSON" an event, "-NAME" a line that a rule left out, "!TEXT" an error,
 * "!!TEXT" the end of a file that cannot be read further, "?TEXT" a file that cannot be opened.
 * Events are decoded as a consumer would do it: what the decoder refuses is "*TEXT". */
#ifndef TESTS_SUPPORT_READER_TRANSCRIPT_H
#define TESTS_SUPPORT_READER_TRANSCRIPT_H

#include "featurestore/reader.h"

/* The caller frees. */
char *reader_transcript(const char *path, const struct reader_options *options);

/* The same for bytes in a file of that name; `map` is the text of a map or NULL. */
char *reader_transcript_of(const char *name, const void *bytes, size_t len, const char *map,
                           enum reader_kind kind);

#endif
