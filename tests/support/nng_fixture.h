/* SPDX-License-Identifier: Apache-2.0 */
/* nng_fixture - an nng_server with the service of text_service.h.  Threads: the tests' own. */
#ifndef TESTS_SUPPORT_NNG_FIXTURE_H
#define TESTS_SUPPORT_NNG_FIXTURE_H

#include <stdbool.h>

#include "base/metrics.h"
#include "server/transport/nng_server.h"
#include "tests/support/temp_dir.h"
#include "tests/support/text_service.h"

struct nng_fixture {
    struct temp_dir dir; /* the ipc addresses lie here */
    struct metrics *metrics;
    struct nng_server *server;
    struct text_service service;
};

/* Test options: one tcp address, 16 contexts, 100 connections, 64 KiB, 50 ms. */
struct nng_server_options nng_fixture_options(struct nng_fixture *fixture);
void nng_fixture_init(struct nng_fixture *fixture);
/* Creates and starts; asserts that both succeed. */
void nng_fixture_start(struct nng_fixture *fixture, const struct nng_server_options *options);
void nng_fixture_deinit(struct nng_fixture *fixture);
/* init and deinit for cmocka: *state is a struct nng_fixture. */
int nng_fixture_set_up(void **state);
int nng_fixture_tear_down(void **state);

const char *nng_fixture_url(const struct nng_fixture *fixture);
char *nng_fixture_ipc_url(struct nng_fixture *fixture, char *buf, size_t buf_bytes);
bool nng_fixture_wait_deferred(struct nng_fixture *fixture, uint32_t count);
/* Completes what is deferred, newest first. */
void nng_fixture_complete(struct nng_fixture *fixture);
/* True when the metric has that value within ten seconds. */
bool nng_fixture_metric_becomes(struct nng_fixture *fixture, uint32_t family, uint32_t l0,
                                uint64_t value);
bool nng_fixture_becomes_idle(struct nng_fixture *fixture); /* the same for calls in flight */

#endif
