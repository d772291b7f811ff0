/* SPDX-License-Identifier: Apache-2.0 */
/* value - reads the MessagePack maps of replies by key, and leaves out what is not there.
 * For checked bytes only (cursor_check).  Threads: no state. */
#ifndef TOOLS_CLI_VALUE_H
#define TOOLS_CLI_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"

/* The value of a key; false when `map` is no map or has no such key. */
bool value_find(struct cursor map, const char *key, struct cursor *ret_value);

struct text value_text(struct cursor map, const char *key); /* .ptr NULL when there is none */
int64_t value_int(struct cursor map, const char *key, int64_t otherwise);
double value_real(struct cursor map, const char *key, double otherwise);
bool value_bool(struct cursor map, const char *key, bool otherwise);

/* Steps into an array of maps: `for (n = value_array(map, "items", &at); n > 0; n--)` with
 * value_next(&at) for each element. */
uint32_t value_array(struct cursor map, const char *key, struct cursor *ret_at);
struct cursor value_next(struct cursor *at);

/* A scalar as people read it: "yes", "12", "0.5", the text itself; "-" for nil, "..." for more. */
#define VALUE_TEXT_BYTES 256
char *value_show(struct cursor value, char buf[VALUE_TEXT_BYTES]);

#endif
