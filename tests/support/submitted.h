/* SPDX-License-Identifier: Apache-2.0 */
/* submitted - calls that are submitted to a client, and what their callbacks were told.  What fails
 * ends the test. */
#ifndef TESTS_SUPPORT_SUBMITTED_H
#define TESTS_SUPPORT_SUBMITTED_H

#include "base/clock.h"
#include "client/decide.h"
#include "tests/support/lateness.h"

#define LONG_US  UINT64_C(20000000) /* a time that no working call comes near to */
#define SHORT_US UINT64_C(40000)

/* Without a fallback. */
struct decide_client *submitted_client(const char *urls);

/* What a callback was told. */
struct submitted {
    uint32_t callback_count;
    enum decide_status status;
    char id[16]; /* of the first item */
    uint64_t waited_us, timeout_us;
    char message[DECIDE_ERROR_BYTES];
};

/* The callback: `argument` is a struct submitted. */
void submitted_on_reply(struct decide_reply *reply, void *argument);

/* Waits for the descriptor, as an event loop does. */
void submitted_process_until(struct decide_client *client, const uint32_t *count, uint32_t wanted);

/* One recommend of that user; many: of u0, u1, ..., with LONG_US. */
uint64_t submitted_user(struct decide_client *client, const char *user, uint64_t timeout_us,
                        struct submitted *result);
void submitted_many(struct decide_client *client, struct submitted *results, uint32_t count);

#endif
