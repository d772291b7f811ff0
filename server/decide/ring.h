/* SPDX-License-Identifier: Apache-2.0 */
/* ring - a single-producer, single-consumer queue of records in a buffer of fixed size.
 *
 * Neither side waits for the other: a record that does not fit is dropped, and the producer counts
 * it.
 *
 * Threads: one producer, one consumer; init and deinit while neither is active.
 * Limits: 2^31 bytes. */
#ifndef SERVER_DECIDE_RING_H
#define SERVER_DECIDE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct ring {
    uint8_t *bytes; /* owned */
    uint64_t capacity;
    /* Total bytes ever put and taken, each on its own cache line. */
    _Alignas(64) _Atomic uint64_t put;
    _Alignas(64) _Atomic uint64_t taken;
};

/* `capacity`: a power of two; each record takes 4 bytes more than its length. */
MUST_CHECK enum err_code ring_init(struct ring *ring, uint64_t capacity, struct err *err);
void ring_deinit(struct ring *ring); /* fine on a zeroed ring */

/* ---- hot path (ring_put.c) */

/* False: no room. */
bool ring_put(struct ring *ring, const void *bytes, uint32_t len);

/* ---- the consumer */

/* The length of the next record; false: there is none. */
bool ring_peek(const struct ring *ring, uint32_t *ret_len);
/* Copies the record announced by ring_peek and frees its space. */
void ring_take(struct ring *ring, void *bytes);

#endif
