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
int __real_nni_aio_begin(nng_aio *aio);
int __wrap_nni_aio_begin(nng_aio *aio);
void __real_nng_stream_recv(nng_stream *stream, nng_aio *aio);
void __wrap_nng_stream_recv(nng_stream *stream, nng_aio *aio);
void __real_nng_stream_send(nng_stream *stream, nng_aio *aio);
void __wrap_nng_stream_send(nng_stream *stream, nng_aio *aio);
void __real_nni_pipe_send(void *pipe, nng_aio *aio);
void __wrap_nni_pipe_send(void *pipe, nng_aio *aio);
void nni_aio_finish_error(nng_aio *aio, int error);

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

/* Set while this thread starts an operation that must not be dropped in silence.  Its aio cannot be
 * freed meanwhile: the caller is its own callback, or holds the lock that a close needs first. */
static _Thread_local bool must_finish;

int __wrap_nni_aio_begin(nng_aio *aio)
{
    int rc = __real_nni_aio_begin(aio);
    if (rc != 0 && must_finish)
        nni_aio_finish_error(aio, NNG_ECLOSED);
    return rc;
}

void __wrap_nng_stream_recv(nng_stream *stream, nng_aio *aio)
{
    bool before = must_finish;
    must_finish = true;
    __real_nng_stream_recv(stream, aio);
    must_finish = before;
}

void __wrap_nng_stream_send(nng_stream *stream, nng_aio *aio)
{
    bool before = must_finish;
    must_finish = true;
    __real_nng_stream_send(stream, aio);
    must_finish = before;
}

void __wrap_nni_pipe_send(void *pipe, nng_aio *aio)
{
    bool before = must_finish;
    must_finish = true;
    __real_nni_pipe_send(pipe, aio);
    must_finish = before;
}
