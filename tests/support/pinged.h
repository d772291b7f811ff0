/* SPDX-License-Identifier: Apache-2.0 */
/* pinged - a client with a fallback and calls whose times and statuses are checked.  What fails
 * ends the test. */
#ifndef TESTS_SUPPORT_PINGED_H
#define TESTS_SUPPORT_PINGED_H

#include "base/clock.h"
#include "client/decide.h"

#define LONG_US  UINT64_C(30000000) /* a time that no working call comes near to */
#define SHORT_US UINT64_C(60000)    /* a time that runs out */

/* With the fallback f1 f2 f1 f3 f4. */
struct decide_client *pinged_client(const char *urls);
/* One ping, which came back in a time that fits its status. */
struct decide_reply *pinged(struct decide_client *client, uint64_t timeout_us);

/* A ping ends with that status.  On a machine that is busy with others the time of a call may run
 * out before what is to be seen.
 */
void pinged_expect(struct decide_client *client, uint64_t timeout_us, enum decide_status status);

#endif
