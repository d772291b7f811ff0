/* SPDX-License-Identifier: Apache-2.0 */
/* sp_target - a native request socket on tcp and on ipc that is attacked: at the end it must serve
 * others on both, and nothing may be left over.  Threads: the test's own. */
#ifndef TESTS_SUPPORT_SP_TARGET_H
#define TESTS_SUPPORT_SP_TARGET_H

#include "tests/support/sp_fixture.h"

/* One server on tcp and on ipc for every test. */
struct sp_target {
    struct sp_fixture fixture;
    const char *url[2];
};

int sp_target_set_up_with(void **state, uint32_t send_timeout_ms);
int sp_target_set_up(void **state);

/* Whatever the attack was: served over both addresses, no connection and no call left over. */
int sp_target_tear_down(void **state);

#endif
