/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/disk_fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static struct {
    _Atomic uint32_t count;
    _Atomic uint32_t allowed; /* UINT32_MAX: all */
    _Atomic int error_number;
} faults[2] = {{.allowed = UINT32_MAX}, {.allowed = UINT32_MAX}};

void disk_fault_after(enum disk_fault_call call, uint32_t n, int error_number)
{
    atomic_store(&faults[call].count, 0);
    atomic_store(&faults[call].error_number, error_number);
    atomic_store(&faults[call].allowed, n);
}

uint32_t disk_fault_count(enum disk_fault_call call)
{
    return atomic_load(&faults[call].count);
}

void disk_fault_off(void)
{
    for (int i = 0; i < 2; i++) {
        atomic_store(&faults[i].allowed, UINT32_MAX);
        atomic_store(&faults[i].count, 0);
    }
}

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool holds;
    uint32_t waiting;
} gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void set_gate(bool holds)
{
    pthread_mutex_lock(&gate.mutex);
    gate.holds = holds;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.mutex);
}

void disk_fault_hold(void)
{
    set_gate(true);
}

void disk_fault_release(void)
{
    set_gate(false);
}

void disk_fault_await_held(void)
{
    pthread_mutex_lock(&gate.mutex);
    while (gate.waiting == 0)
        pthread_cond_wait(&gate.changed, &gate.mutex);
    pthread_mutex_unlock(&gate.mutex);
}

static void pass_gate(void)
{
    pthread_mutex_lock(&gate.mutex);
    gate.waiting++;
    pthread_cond_broadcast(&gate.changed);
    while (gate.holds)
        pthread_cond_wait(&gate.changed, &gate.mutex);
    gate.waiting--;
    pthread_mutex_unlock(&gate.mutex);
}

static bool fails(enum disk_fault_call call)
{
    if (atomic_fetch_add(&faults[call].count, 1) < atomic_load(&faults[call].allowed))
        return false;
    errno = atomic_load(&faults[call].error_number);
    return true;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    return fails(DISK_FAULT_WRITE) ? -1 : syscall(SYS_pwrite64, fd, bytes, len, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return fails(DISK_FAULT_WRITE) ? -1 : syscall(SYS_writev, fd, parts, count);
}

int fdatasync(int fd)
{
    pass_gate();
    return fails(DISK_FAULT_SYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    pass_gate();
    return fails(DISK_FAULT_SYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}
