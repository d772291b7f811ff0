/* SPDX-License-Identifier: Apache-2.0 */
/* One request at a time: received, answered, sent.  Nothing of ours is allocated on the way; the
 * message of the request is used again for the reply. */
#include "server/metrics.h"
#include "server/protocol/reply.h"
#include "server/transport/nng_internal.h"

/* nng's task threads live as long as the process; each gets a number with its first request, so
 * that it finds its worker without a lock. */
static struct worker *worker_of_thread(struct nng_server *server)
{
    static _Atomic uint32_t thread_count;
    static _Thread_local uint32_t thread_number;
    if (thread_number == 0)
        thread_number = atomic_fetch_add(&thread_count, 1) + 1;
    if (thread_number > NNG_SERVER_TASK_THREADS)
        return NULL;
    struct worker **worker = &server->workers[thread_number - 1];
    if (*worker == NULL)
        *worker = server->options.claim_worker(server->options.claim_ctx);
    return *worker;
}

static void receive_next(struct nng_context *context)
{
    nng_ctx_recv(context->ctx, context->receive);
}

/* Sequentially consistent, as the waiting side is: it sets `stopping`, then looks at the count. */
static void finish(struct nng_context *context)
{
    struct nng_server *server = context->server;
    if (atomic_fetch_sub(&server->in_flight, 1) == 1 && atomic_load(&server->stopping)) {
        pthread_mutex_lock(&server->mutex);
        pthread_cond_broadcast(&server->changed);
        pthread_mutex_unlock(&server->mutex);
    }
    receive_next(context);
}

static void send_reply(struct nng_context *context)
{
    const struct call *call = &context->call;
    nng_msg *message = context->message;
    context->message = NULL;
    nng_msg_clear(message);
    if (nng_msg_append(message, call->reply, call->reply_bytes) != 0) {
        nng_msg_free(message); /* out of memory: the client shall not wait for nothing */
        nng_pipe_close(context->pipe);
        finish(context);
        return;
    }
    nng_aio_set_msg(context->send, message);
    nng_ctx_send(context->ctx, context->send);
}

static void on_complete(struct call *call)
{
    send_reply(call->owner);
}

/* A client that does not read parks its replies in contexts that the others need, and each of them
 * may time out.  The first one counts the client and marks the contexts of that pipe.  There are no
 * others to come: a reply to a pipe that is closed counts as sent.  pipe_id was stored before the
 * reply was sent, and nng's lock orders that before the close: relaxed is enough. */
static void close_slow_reader(struct nng_context *context)
{
    struct nng_server *server = context->server;
    int id = nng_pipe_id(context->pipe);
    nng_pipe_close(context->pipe);
    pthread_mutex_lock(&server->mutex);
    bool is_first = context->counted_pipe_id != id;
    for (uint32_t i = 0; is_first && i < server->options.contexts; i++) {
        struct nng_context *other = &server->contexts[i];
        if (atomic_load_explicit(&other->pipe_id, memory_order_relaxed) == id)
            other->counted_pipe_id = id;
    }
    pthread_mutex_unlock(&server->mutex);
    if (is_first)
        metric_add_shared(server->options.metrics, M_SLOW_READERS_CLOSED, 0, 0, 1);
}

static void on_sent(void *arg)
{
    struct nng_context *context = arg;
    int rc = nng_aio_result(context->send);
    if (rc != 0) {
        nng_msg_free(nng_aio_get_msg(context->send));
        nng_aio_set_msg(context->send, NULL);
        if (rc == NNG_ETIMEDOUT)
            close_slow_reader(context);
    }
    finish(context);
}

static enum call_state serve(struct nng_context *context)
{
    static const struct text no_id = {NULL, 0};
    struct nng_server *server = context->server;
    const struct nng_server_options *options = &server->options;
    struct call *call = &context->call;
    struct worker *worker = worker_of_thread(server);
    if (call->request_bytes > options->message_bytes_max) {
        metric_add_shared(options->metrics, M_MESSAGES_REFUSED, TRANSPORT_NNG, 0, 1);
        reply_error(call, no_id, options->clock, REPLY_too_large,
                    "the message is longer than message_bytes_max", NULL);
        return CALL_DONE;
    }
    if (worker == NULL) {
        reply_error(call, no_id, options->clock, REPLY_overloaded,
                    "no worker is left for this thread", NULL);
        return CALL_DONE;
    }
    return options->call(options->service, worker, call);
}

static void on_received(void *arg)
{
    struct nng_context *context = arg;
    struct nng_server *server = context->server;
    if (nng_aio_result(context->receive) != 0)
        return; /* stopped or closed: the context has done its work */
    uint64_t now_ns = clock_now_ns(server->options.clock);
    nng_msg *message = nng_aio_get_msg(context->receive);
    nng_aio_set_msg(context->receive, NULL);
    atomic_fetch_add(&server->in_flight, 1);
    context->message = message;
    context->pipe = nng_msg_get_pipe(message);
    atomic_store_explicit(&context->pipe_id, nng_pipe_id(context->pipe), memory_order_relaxed);
    struct call *call = &context->call;
    call->request = nng_msg_body(message);
    call->request_bytes = nng_msg_len(message);
    call->arrived_ns = now_ns;
    call->whole_ns = now_ns;
    call->local = nng_pipe_is_local(server, context->pipe);
    call->reply_bytes = 0;
    call->code = REPLY_internal;
    if (serve(context) == CALL_DONE)
        send_reply(context); /* after CALL_DEFERRED the context may be somebody else's already */
}

static void name_peer(const struct call *call, char ret_peer[CALL_PEER_BYTES])
{
    const struct nng_context *context = call->owner;
    nng_pipe_name_peer(context->pipe, ret_peer, CALL_PEER_BYTES);
}

enum err_code nng_context_open(struct nng_server *server, struct nng_context *context,
                               uint8_t *reply, struct err *err)
{
    context->server = server;
    context->call = (struct call){.reply = reply,
                                  .reply_capacity = CALL_REPLY_BYTES,
                                  .name_peer = name_peer,
                                  .complete = on_complete,
                                  .owner = context};
    if (nng_aio_alloc(&context->receive, on_received, context) != 0 ||
        nng_aio_alloc(&context->send, on_sent, context) != 0 ||
        nng_ctx_open(&context->ctx, server->socket) != 0)
        return err_set(err, ERR_NOMEM, "out of memory for %u contexts of the request socket",
                       server->options.contexts);
    nng_aio_set_timeout(context->send, (nng_duration)server->options.send_timeout_ms);
    receive_next(context);
    return ERR_OK;
}

void nng_context_stop_receiving(struct nng_context *context)
{
    if (context->receive != NULL)
        nng_aio_stop(context->receive);
}

void nng_context_free(struct nng_context *context)
{
    nng_aio_free(context->receive);
    nng_aio_free(context->send);
    context->receive = context->send = NULL;
}
