/* SPDX-License-Identifier: Apache-2.0 */
/* sp_fixture - an sp_server with the service of text_service.h.  Threads: the tests' own. */
#ifndef TESTS_SUPPORT_SP_FIXTURE_H
#define TESTS_SUPPORT_SP_FIXTURE_H

#include <stdbool.h>

#include "base/metrics.h"
#include "server/transport/sp_server.h"
#include "tests/support/temp_dir.h"
#include "tests/support/text_service.h"

struct sp_fixture {
    struct temp_dir dir; /* the ipc addresses lie here */
    struct metrics *metrics;
    struct sp_server *server;
    struct text_service service;
};

/* Test options: one tcp address, 2 workers, 100 connections, 64 KiB, 10 s to greet, 50 ms to read.
 */
struct sp_server_options sp_fixture_options(struct sp_fixture *fixture);
void sp_fixture_init(struct sp_fixture *fixture);
/* Creates and starts; asserts that both succeed. */
void sp_fixture_start(struct sp_fixture *fixture, const struct sp_server_options *options);
void sp_fixture_deinit(struct sp_fixture *fixture);
/* init and deinit for cmocka: *state is a struct sp_fixture. */
int sp_fixture_set_up(void **state);
int sp_fixture_tear_down(void **state);

const char *sp_fixture_url(const struct sp_fixture *fixture);
char *sp_fixture_ipc_url(struct sp_fixture *fixture, char *buf, size_t buf_bytes);
bool sp_fixture_metric_becomes(struct sp_fixture *fixture, uint32_t family, uint32_t l0,
                               uint64_t value);
bool sp_fixture_becomes_idle(struct sp_fixture *fixture); /* no call in flight, in ten seconds */

#endif
