/* SPDX-License-Identifier: Apache-2.0 */
/* disk_fault - makes writes or syncs of this process fail, as a full or dying disk does.
 *
 * The program defines pwrite, writev, fdatasync and fsync itself, so that shared libraries (LMDB)
 * use these, too.  They do what the system calls do until they are told to fail.
 * Threads: any; the setting is one for the process.  Tests have a limit of time, not these calls.
 */
#ifndef TESTS_SUPPORT_DISK_FAULT_H
#define TESTS_SUPPORT_DISK_FAULT_H

#include <stdint.h>

enum disk_fault_call { DISK_FAULT_WRITE, DISK_FAULT_SYNC };

/* After n more of these calls, every one fails with that errno, until disk_fault_off. */
void disk_fault_after(enum disk_fault_call call, uint32_t n, int error_number);
/* How many of these calls were made since disk_fault_after or the start. */
uint32_t disk_fault_count(enum disk_fault_call call);
void disk_fault_off(void);

/* From now on syncs wait, as on a slow disk, until disk_fault_release. */
void disk_fault_hold(void);
void disk_fault_await_held(void); /* until one waits */
void disk_fault_release(void);

#endif
