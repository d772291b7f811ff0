/* SPDX-License-Identifier: Apache-2.0 */
/* process_stats - what the system says about this process, for the metrics named process_*.
 * A figure that the system does not give is 0.  Threads: any; reads files of /proc. */
#ifndef SERVER_CONTROL_PROCESS_STATS_H
#define SERVER_CONTROL_PROCESS_STATS_H

#include <stdint.h>

struct process_stats {
    double cpu_s; /* user and system */
    uint64_t open_fds, max_fds;
    uint64_t virtual_bytes, resident_bytes;
    uint64_t threads;
};

void process_stats_read(struct process_stats *ret_stats);

#endif
