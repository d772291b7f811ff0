/* SPDX-License-Identifier: Apache-2.0 */
/* nng_wrap - internal functions of Debian 12's nng 1.5.2 that the linker routes through us.
 *
 * nng is linked statically with --wrap (server/CMakeLists.txt), so that nothing else of it changes:
 *   nni_plat_errno       EPIPE is no longer "the listener was closed": a client that leaves during
 *                        the handshake cannot stop a listener for ever (nng issue 1518)
 *   nni_aio_begin        an operation of a connection that starts while the connection is being
 *   nng_stream_recv      closed fails aloud.  nng drops it in silence, and when it was the rest of
 *   nng_stream_send      a message somebody waits for it for ever: the one thread that frees
 *   nni_pipe_send        connections, for all of them (nng issue 1636); a reply would be leaked
 *   nni_plat_ncpu        one CPU: two task threads and one timer thread, whatever the machine has
 *   nni_pipe_bump_error  messages above the size limit are counted; nng itself tells nobody
 * Threads: any. */
#ifndef SERVER_TRANSPORT_NNG_WRAP_H
#define SERVER_TRANSPORT_NNG_WRAP_H

#include <stdbool.h>
#include <stdint.h>

/* Messages refused for their size in this process since the last call. */
uint64_t nng_wrap_take_oversized(void);

/* For tests: true brings nng's own reading of EPIPE back. */
void nng_wrap_restore_defect(bool defective);

#endif
