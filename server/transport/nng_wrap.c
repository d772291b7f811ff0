/* SPDX-License-Identifier: Apache-2.0 */
#include "server/transport/nng_wrap.h"

#include <errno.h>
#include <stdatomic.h>

#include <nng/nng.h>

static _Atomic uint64_t oversized;
static _Atomic bool defect_is_restored;

uint64_t nng_wrap_take_oversized(void)
{
    return atomic_exchange_explicit(&oversized, 0, memory_order_relaxed);
}

void nng_wrap_restore_defect(bool defective)
{
    atomic_store(&defect_is_restored, defective);
}

/* The linker gives these names; no header of ours or of nng declares them. */
int __real_nni_plat_errno(int errnum);
int __wrap_nni_plat_errno(int errnum);
int __wrap_nni_plat_ncpu(void);
void __real_nni_pipe_bump_error(void *pipe, int error);
void __wrap_nni_pipe_bump_error(void *pipe, int error);

int __wrap_nni_plat_errno(int errnum)
{
    if (errnum == EPIPE && !atomic_load_explicit(&defect_is_restored, memory_order_relaxed))
        return NNG_ECONNSHUT;
    return __real_nni_plat_errno(errnum);
}

int __wrap_nni_plat_ncpu(void)
{
    return 1; /* NNG_SERVER_TASK_THREADS is twice this */
}

void __wrap_nni_pipe_bump_error(void *pipe, int error)
{
    if (error == NNG_EMSGSIZE)
        atomic_fetch_add_explicit(&oversized, 1, memory_order_relaxed);
    __real_nni_pipe_bump_error(pipe, error);
}
