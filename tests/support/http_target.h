/* SPDX-License-Identifier: Apache-2.0 */
/* http_target - an http_fixture that is attacked: at the end it must serve others, and nobody may
 * be left over.  Threads: the test's own. */
#ifndef TESTS_SUPPORT_HTTP_TARGET_H
#define TESTS_SUPPORT_HTTP_TARGET_H

/* *state is a struct http_fixture; hasty: with 200 ms for a request and 300 ms between two. */
int http_target_set_up(void **state);
int http_target_set_up_hasty(void **state);
int http_target_tear_down(void **state);

#endif
