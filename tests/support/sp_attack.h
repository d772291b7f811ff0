/* SPDX-License-Identifier: Apache-2.0 */
/* sp_attack - what hostile or broken clients do to a request socket, whoever listens there.
 *
 * Each attack takes the addresses of one server, over tcp and over ipc, asserts what its clients
 * get to see, and leaves no connection; what the server counted and whether it serves on is for the
 * test.  Threads: the test's own. */
#ifndef TESTS_SUPPORT_SP_ATTACK_H
#define TESTS_SUPPORT_SP_ATTACK_H

#include "tests/support/sp_client.h"

enum { SP_STORM_COUNT = 200, SP_IDLE_COUNT = 400 };

/* SP_STORM_COUNT times, as sp_attack_vanish. */
void sp_attack_connect_and_close(const char *const url[2]);
/* A FIN and then an RST, over tcp: the server finds out in its first send. */
void sp_attack_reset_in_the_handshake(const char *const url[2]);
/* Garbage, HTTP, TLS, another protocol: each is closed. */
void sp_attack_bad_handshakes(const char *const url[2]);
/* 32 messages of 4 GiB and more are announced; each is closed, and nobody takes the memory. */
void sp_attack_four_gigabytes(const char *const url[2]);
void sp_attack_half_messages(const char *const url[2]);
/* Large replies are asked for and not read while another client is served.  The caller closes. */
void sp_attack_read_nothing(const char *url, struct sp_client *ret_slow);
/* Messages of more hops than are taken are dropped, and one of fewer comes back. */
void sp_attack_too_many_hops(const char *url);
/* An empty body is a request; three bytes are no message, and are closed. */
void sp_attack_short_messages(const char *const url[2]);
/* As nanomsg's raw sockets may: any ids, many at once, one connection. */
void sp_attack_pipeline(const char *const url[2]);
void sp_attack_idle_open(const char *const url[2], struct sp_client clients[SP_IDLE_COUNT]);
/* After some of them, and others, were served. */
void sp_attack_idle_close(const char *const url[2], struct sp_client clients[SP_IDLE_COUNT]);
/* Closes while replies are on their way. */
void sp_attack_vanish(const char *const url[2]);
/* Where a process may open 64 descriptors at most: connects until there are none left.  True when
 * who came first is served then. */
bool sp_attack_use_up_descriptors(const char *const url[2]);
/* Runs this program once more, with that option, and asserts that it ends well. */
void sp_attack_in_a_process(const char *program, const char *option);

#endif
