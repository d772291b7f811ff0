/* SPDX-License-Identifier: Apache-2.0 */
/* echo - servers that answer every request with the same bytes: what the wire costs by itself.
 *
 * raw_echo is one thread in an epoll loop: one read, one write for all requests that it brought.
 * nng_echo is a REP socket of the nng library with as many contexts as the daemon has by default.
 * Both speak nng's REQ/REP over tcp (a free port of 127.0.0.1) or over the ipc path that is given.
 *
 * They are yardsticks, not services: raw_echo trusts its clients to read what they asked for.
 * Threads: raw_echo_serve is its caller's, for ever; nng_echo_serve returns, nng's threads answer.
 * Limits: ECHO_CONNECTIONS_MAX connections, requests up to ECHO_REQUEST_BYTES_MAX. */
#ifndef TOOLS_BENCH_ECHO_H
#define TOOLS_BENCH_ECHO_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define ECHO_URL_BYTES         160
#define ECHO_CONNECTIONS_MAX   4096
#define ECHO_REQUEST_BYTES_MAX (128 * 1024)

/* `ipc_path`: NULL for tcp.  *ret_url: where it listens. */
MUST_CHECK enum err_code raw_echo_listen(const char *ipc_path, int *ret_listener,
                                         char ret_url[ECHO_URL_BYTES], struct err *err);
/* `reply` must stay; never returns. */
_Noreturn void raw_echo_serve(int listener, const uint8_t *reply, size_t reply_bytes);

/* From its return until the process ends; once per process. */
MUST_CHECK enum err_code nng_echo_serve(const char *ipc_path, const uint8_t *reply,
                                        size_t reply_bytes, char ret_url[ECHO_URL_BYTES],
                                        struct err *err);

#endif
