/* SPDX-License-Identifier: Apache-2.0 */
/* duration - times as people write them: "30m", "1h30m", "500ms".  Threads: no state. */
#ifndef TOOLS_CTL_DURATION_H
#define TOOLS_CTL_DURATION_H

#include <stdbool.h>
#include <stdint.h>

#define DURATION_US_MAX   (UINT64_C(366) * 24 * 3600 * 1000000)
#define DURATION_MAX_TEXT "366d"

/* Whole numbers with units, largest first, each at most once: d h m s ms us.  False when it is
 * anything else, zero or above DURATION_US_MAX. */
bool duration_parse(const char *text, uint64_t *ret_us);

/* The two largest units: "1h30m", "45s", "20ms"; "0s" for nothing.  Returns buf. */
#define DURATION_BYTES 32
char *duration_format(uint64_t us, char buf[DURATION_BYTES]);

#endif
