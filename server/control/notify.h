/* SPDX-License-Identifier: Apache-2.0 */
/* notify - reports the daemon's state to systemd: one datagram to the socket named by NOTIFY_SOCKET
 * (sd_notify(3)); without it nothing happens.  Threads: any, after notify_init. */
#ifndef SERVER_CONTROL_NOTIFY_H
#define SERVER_CONTROL_NOTIFY_H

#include <stdint.h>

#include "base/clock.h"

/* Reads the environment; once, on main, before other threads start. */
void notify_init(void);

/* "READY=1", "STOPPING=1", "WATCHDOG=1", "EXTEND_TIMEOUT_USEC=10000000". */
void notify_send(const char *state);
/* With the time that systemd wants beside it; a "READY=1" follows when it is over. */
void notify_reloading(const struct clock *clock);

/* How often "WATCHDOG=1" is wanted at least, in microseconds; 0: it is not. */
uint64_t notify_watchdog_us(void);

#endif
