/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>

#include "tools/bench/echo.h"

enum { CONTEXTS = 64 };

static struct nng_echo {
    const uint8_t *reply;
    size_t reply_bytes;
    struct context {
        nng_ctx ctx;
        nng_aio *aio;
        bool sending;
    } contexts[CONTEXTS];
} echo;

/* By turns: a request arrived, or its reply has left. */
static void on_done(void *arg)
{
    struct context *context = arg;
    int rc = nng_aio_result(context->aio);
    if (!context->sending && rc == 0) {
        nng_msg *message = nng_aio_get_msg(context->aio);
        nng_msg_clear(message);
        if (nng_msg_append(message, echo.reply, echo.reply_bytes) == 0) {
            context->sending = true;
            nng_ctx_send(context->ctx, context->aio);
            return;
        }
        nng_msg_free(message);
    } else if (context->sending && rc != 0) {
        nng_msg_free(nng_aio_get_msg(context->aio));
    }
    if (rc == NNG_ECLOSED)
        return;
    context->sending = false;
    nng_ctx_recv(context->ctx, context->aio);
}

static int listen_on(nng_socket socket, const char *ipc_path, char ret_url[ECHO_URL_BYTES])
{
    nng_listener listener;
    nng_sockaddr address;
    char url[ECHO_URL_BYTES] = "tcp://127.0.0.1:0";
    if (ipc_path != NULL && snprintf(url, sizeof url, "ipc://%s", ipc_path) >= ECHO_URL_BYTES)
        return NNG_EADDRINVAL;
    int rc = nng_listen(socket, url, &listener, 0);
    if (rc == 0 && ipc_path == NULL) {
        rc = nng_listener_get_addr(listener, NNG_OPT_LOCADDR, &address);
        if (rc == 0)
            snprintf(url, sizeof url, "tcp://127.0.0.1:%u", ntohs(address.s_in.sa_port));
    }
    if (rc == 0)
        memcpy(ret_url, url, sizeof url);
    return rc;
}

enum err_code nng_echo_serve(const char *ipc_path, const uint8_t *reply, size_t reply_bytes,
                             char ret_url[ECHO_URL_BYTES], struct err *err)
{
    nng_socket socket;
    echo.reply = reply;
    echo.reply_bytes = reply_bytes;
    int rc = nng_rep0_open(&socket);
    for (int i = 0; i < CONTEXTS && rc == 0; i++) {
        struct context *context = &echo.contexts[i];
        if ((rc = nng_aio_alloc(&context->aio, on_done, context)) == 0)
            rc = nng_ctx_open(&context->ctx, socket);
    }
    if (rc == 0)
        rc = listen_on(socket, ipc_path, ret_url);
    if (rc != 0)
        return err_set(err, ERR_IO, "nng echo: %s", nng_strerror(rc));
    for (int i = 0; i < CONTEXTS; i++)
        nng_ctx_recv(echo.contexts[i].ctx, echo.contexts[i].aio);
    return ERR_OK;
}
