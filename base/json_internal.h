/* SPDX-License-Identifier: Apache-2.0 */
/* json_internal - positions of values, packed into cJSON's legacy field `valueint` (numbers are
 * read from valuedouble).  Threads: the owner of the tree. */
#ifndef BASE_JSON_INTERNAL_H
#define BASE_JSON_INTERNAL_H

#include <cjson/cJSON.h>
#include <stddef.h>

/* Gives each value of the tree the place of its key, or its own where it has none.  `bytes` is what
 * the tree was made from, and has been found good. */
void json_mark_places(cJSON *root, const char *bytes, size_t len);

/* ":12:7" of a value, ":12" where the column is beyond what is kept, "" where no place was kept. */
#define JSON_PLACE_BYTES 24
void json_place_text(const cJSON *value, char ret_text[JSON_PLACE_BYTES]);

#endif
