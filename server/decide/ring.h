/* SPDX-License-Identifier: Apache-2.0 */
/* ring - records from one thread to another, through a buffer of fixed size.
 *
 * Neither side waits for the other: what does not fit is not put, and who puts counts it.
 *
 * Threads: one that puts, one that takes; create and destroy while neither does.  Limits: 2^31
 * bytes. */
#ifndef SERVER_DECIDE_RING_H
#define SERVER_DECIDE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct ring {
    uint8_t *bytes; /* owned */
    uint64_t capacity;
    /* How many bytes were ever put and taken, each on a cache line of its own. */
    _Alignas(64) _Atomic uint64_t put;
    _Alignas(64) _Atomic uint64_t taken;
};

/* `capacity`: a power of two; a record takes 4 bytes beside its own. */
MUST_CHECK enum err_code ring_init(struct ring *ring, uint64_t capacity, struct err *err);
void ring_deinit(struct ring *ring); /* fine on a zeroed ring */

/* ---- hot path (ring_put.c) */

/* False when there is no room. */
bool ring_put(struct ring *ring, const void *bytes, uint32_t len);

/* ---- the other side */

/* The length of the next record; false when there is none. */
bool ring_peek(const struct ring *ring, uint32_t *ret_len);
/* Copies the record that ring_peek announced, and gives its place back. */
void ring_take(struct ring *ring, void *bytes);

#endif
