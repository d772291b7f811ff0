/* SPDX-License-Identifier: Apache-2.0 */
/* daemon_client - asks a daemon over both of its sockets, in JSON.
 *
 * Each call opens a connection of its own.  Failures of the sockets abort the test program, except
 * where said.  Threads: any, one call at a time on each. */
#ifndef TESTS_SUPPORT_DAEMON_CLIENT_H
#define TESTS_SUPPORT_DAEMON_CLIENT_H

#include <cjson/cJSON.h>

#include "tests/support/daemon.h"

/* `json` is the body without `op`, which is put in; the caller cJSON_Deletes the reply. */
cJSON *daemon_ask_nng(const struct daemon *daemon, const char *op, const char *json);
cJSON *daemon_ask_http(const struct daemon *daemon, const char *op, const char *json,
                       int *ret_status);
/* The status of a page, -1 when nobody answers; the body, cut to fit, in `body`. */
int daemon_get(const struct daemon *daemon, const char *path, char *body, size_t body_bytes);

/* Shorthands for replies. */
bool reply_ok(const cJSON *reply);
const char *reply_text(const cJSON *reply, const char *key);       /* "" when absent */
const char *reply_error_text(const cJSON *reply, const char *key); /* of `error` */

#endif
