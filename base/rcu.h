/* SPDX-License-Identifier: Apache-2.0 */
/* rcu - read-copy-update: wait-free readers, and memory that is freed after the last of them has
 * left (liburcu's "bulletproof" flavour, because nng's threads cannot be registered explicitly).
 *
 * Pointers are C11 atomics: publish with memory_order_release, read with memory_order_acquire
 * inside rcu_read_begin/end.  rcu_wait returns when every reader that might hold an old pointer has
 * left.  Under ThreadSanitizer begin/end/wait are annotated, since it cannot see through liburcu.
 *
 * Threads: begin/end on any thread, nestable, wait-free, never sleep in between.  rcu_wait only on
 * the threads of store, grace periods, loader and main, never inside begin/end: it sleeps for 10 ms
 * at a time while a reader is at work. */
#ifndef BASE_RCU_H
#define BASE_RCU_H

void rcu_read_begin(void);
void rcu_read_end(void);
void rcu_wait(void);

#endif
