/* SPDX-License-Identifier: Apache-2.0 */
/* wakeup_latency - asks the kernel for processors that wake up within a time.
 *
 * A processor without work sleeps, and takes a while to come back: microseconds on hardware, 50 us
 * and more where sleeping leaves a virtual machine.  A request that arrives meanwhile pays for it.
 * While the device is held open with a number of microseconds in it, the kernel chooses no idle
 * state whose exit takes longer, on any processor; 0: they poll, which costs power, and the host of
 * a virtual machine its time (Documentation/power/pm_qos_interface.rst of Linux).
 *
 * Threads: any.  Ownership: the caller closes the descriptor, which takes the wish back. */
#ifndef SERVER_CONTROL_WAKEUP_LATENCY_H
#define SERVER_CONTROL_WAKEUP_LATENCY_H

#include <stdint.h>

#include "base/err.h"

#define WAKEUP_LATENCY_DEVICE "/dev/cpu_dma_latency"

/* 0 <= latency_us.  ERR_IO when the device is missing or refuses: who asks for it shall not believe
 * to have it. */
MUST_CHECK enum err_code wakeup_latency_ask(const char *device, int32_t latency_us, int *ret_fd,
                                            struct err *err);

#endif
