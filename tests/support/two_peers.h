/* SPDX-License-Identifier: Apache-2.0 */
/* two_peers - two daemons that are none, and a client of both; one pair in a program.  What fails
 * ends the test. */
#ifndef TESTS_SUPPORT_TWO_PEERS_H
#define TESTS_SUPPORT_TWO_PEERS_H

#include "base/clock.h"
#include "client/decide.h"
#include "tests/support/fake_peer.h"

#define LONG_US UINT64_C(30000000) /* a time that no working call comes near to */

extern struct fake_peer two_peers[2];

/* Both running, and a client of both. */
struct decide_client *two_peers_open(const struct decide_options *wanted);

void two_peers_close(struct decide_client **client);
/* One recommend; expect: which is answered, and not by a fallback. */
struct decide_reply *two_peers_ask(struct decide_client *client, const char *user,
                                   uint64_t timeout_us);
void two_peers_expect(struct decide_client *client, const char *user);

/* The peer that `user` goes to, in every client. */
int two_peers_home(const char *user);

struct decide_counters two_peers_counters(const struct decide_client *client);

#endif
