/* SPDX-License-Identifier: Apache-2.0 */
/* small_store - a store_rig with small limits; one in a program.  The test's own thread is the
 * writer, so that nothing is freed while it reads. */
#ifndef TESTS_SUPPORT_SMALL_STORE_H
#define TESTS_SUPPORT_SMALL_STORE_H

#include "tests/support/store_rig.h"

extern struct store_rig small_store;
extern const struct store_limits small_store_limits;
int small_store_set_up(void **state);
int small_store_tear_down(void **state);
/* Of a user who has one. */
struct history small_store_history(const char *user);

#endif
