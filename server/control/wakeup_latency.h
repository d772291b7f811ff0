/* SPDX-License-Identifier: Apache-2.0 */
/* wakeup_latency - limits the exit latency of processor idle states.
 *
 * An idle processor takes a while to wake up: microseconds on hardware, 50 us and more in a virtual
 * machine that yields the processor to its host.  A request that arrives meanwhile pays for it.
 * While the device is held open with a number of microseconds in it, the kernel uses no idle state
 * with a longer exit latency, on any processor; with 0 idle processors poll, which costs power, or
 * in a virtual machine the host's processor time (Linux Documentation/power/pm_qos_interface.rst).
 *
 * Threads: any.  Ownership: the caller closes the descriptor, which ends the request. */
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
