/* SPDX-License-Identifier: Apache-2.0 */
/* One whole request: who serves it, and the reply. */
#include <event2/keyvalq_struct.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "base/cursor.h"
#include "base/transcode.h"
#include "server/metrics.h"
#include "server/protocol/reply.h"
#include "server/transport/http_internal.h"
#include "server/transport/http_json.h"

#define API_PREFIX "/v1/"

enum { MS_PER_S = 1000 };

/* Hands `bytes` to evhttp.  For HEAD only their length is told. */
static void send_reply(struct http_connection *connection, struct evhttp_request *request,
                       int status, const char *content_type, const char *bytes, size_t len)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    struct evbuffer *body = evbuffer_new();
    char length[24];
    snprintf(length, sizeof length, "%zu", len);
    evhttp_add_header(headers, "Content-Type", content_type);
    evhttp_add_header(headers, "Content-Length", length);
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    if (connection->server->bound == NULL && evhttp_find_header(headers, "Connection") == NULL)
        evhttp_add_header(headers, "Connection", "close");
    if (body != NULL && evhttp_request_get_command(request) != EVHTTP_REQ_HEAD)
        evbuffer_add(body, bytes, len);
    evhttp_send_reply(request, status, NULL, body);
    if (body != NULL)
        evbuffer_free(body);
}

/* Whole seconds, and never earlier than the reply says; one where it says nothing. */
static void put_retry_after(struct evhttp_request *request, uint32_t retry_after_ms)
{
    char seconds[12];
    uint32_t whole = retry_after_ms / MS_PER_S + (retry_after_ms % MS_PER_S != 0);
    snprintf(seconds, sizeof seconds, "%" PRIu32, whole == 0 ? 1 : whole);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Retry-After", seconds);
}

static void answer(struct http_connection *connection, struct http_call *call, int status)
{
    struct evhttp_request *request = call->request;
    char *json = NULL;
    size_t len = 0;
    struct err err;
    if (cursor_check(call->call.reply, call->call.reply_bytes, UINT32_MAX, &err) != ERR_OK ||
        transcode_to_json(call->call.reply, call->call.reply_bytes, 0, &json, &len, &err) !=
            ERR_OK) {
        static const char failed[] =
            "{\"ok\":false,\"error\":{\"code\":\"internal\",\"message\":\"the reply could not be "
            "written as JSON\"}}";
        send_reply(connection, request, reply_code_http(REPLY_internal), "application/json", failed,
                   sizeof failed - 1);
    } else {
        if (call->call.code == REPLY_overloaded || call->call.code == REPLY_draining)
            put_retry_after(request, call->call.retry_after_ms);
        send_reply(connection, request, status, "application/json", json, len);
    }
    free(json);
    free(call);
}

void http_request_answer(struct http_connection *connection, struct http_call *call)
{
    answer(connection, call, reply_code_http(call->call.code));
}

static void refuse(struct http_connection *connection, struct evhttp_request *request, int status,
                   enum reply_code code, const char *message, const char *field)
{
    static const struct text no_id = {NULL, 0};
    struct http_call *call = http_call_new(connection, request, 0);
    if (call == NULL) {
        evhttp_send_error(request, HTTP_SERVUNAVAIL, NULL);
        return;
    }
    reply_error(&call->call, no_id, connection->server->options.clock, code, message, field);
    answer(connection, call, status);
}

/* What does not get to the service, counted as what the service cannot decode. */
static void refuse_call(struct http_connection *connection, struct evhttp_request *request,
                        int status, enum reply_code code, const char *message, const char *field)
{
    metric_add_shared(connection->server->options.metrics, M_REQUESTS, OP_COUNT, code, 1);
    refuse(connection, request, status, code, message, field);
}

static void refuse_method(struct http_connection *connection, struct evhttp_request *request,
                          const char *allowed)
{
    evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", allowed);
    refuse(connection, request, HTTP_BADMETHOD, REPLY_bad_request,
           "the path does not know this method", NULL);
}

/* Where a request ends must not be a matter of opinion, of its headers and of its chunks: evhttp
 * takes the first of two lengths, and one with a sign, does not know a header with a blank before
 * its colon, passes over codings that it does not undo, and expects no body after HEAD, TRACE and
 * methods that it does not know. */
static bool framing_is_plain(const struct http_connection *connection,
                             struct evhttp_request *request)
{
    const struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
    const struct evkeyval *header;
    uint32_t length_count = 0;
    bool has_body = false;
    TAILQ_FOREACH(header, headers, next)
    {
        if (strcspn(header->key, " \t") < strlen(header->key))
            return false;
        if (strcasecmp(header->key, "Content-Length") == 0) {
            has_body |= strcmp(header->value, "0") != 0;
            length_count++;
            if (header->value[strspn(header->value, "0123456789")] != '\0')
                return false;
        }
        if (strcasecmp(header->key, "Transfer-Encoding") == 0) {
            if (strcasecmp(header->value, "chunked") != 0)
                return false;
            has_body = true;
        }
    }
    const unsigned with_body = EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                               EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_CONNECT |
                               EVHTTP_REQ_PATCH;
    bool may_have_body = ((unsigned)evhttp_request_get_command(request) & with_body) != 0;
    return length_count <= 1 && (may_have_body || !has_body) &&
           connection->head.chunks.state != HTTP_CHUNKS_MALFORMED;
}

/* curl -d says that JSON is a form, when it is not told otherwise. */
static bool is_json_type(const char *type)
{
    static const char *const accepted[] = {"application/json", "application/x-www-form-urlencoded"};
    if (type == NULL)
        return true;
    size_t len = strcspn(type, "; \t");
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        if (len == strlen(accepted[i]) && strncasecmp(type, accepted[i], len) == 0)
            return true;
    }
    return false;
}

static bool is_op_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return len > 0 && len <= HTTP_OP_BYTES_MAX && name[len] == '\0';
}

/* Browsers say where a request comes from whenever it is not their own page's. */
static bool is_from_page(struct evhttp_request *request)
{
    const struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
    return evhttp_find_header(headers, "Origin") != NULL;
}

static void call_service(struct http_connection *connection, struct evhttp_request *request,
                         const char *op)
{
    const struct http_server_options *options = &connection->server->options;
    struct evbuffer *input = evhttp_request_get_input_buffer(request);
    struct text json = {(const char *)evbuffer_pullup(input, -1),
                        (uint32_t)evbuffer_get_length(input)};
    struct text message;
    const char *field = NULL;
    struct err err;
    struct http_call *call = http_call_new(connection, request, json.len);
    if (call == NULL) {
        evhttp_send_error(request, HTTP_SERVUNAVAIL, NULL);
        return;
    }
    enum err_code rc = http_json_request(text_of(op), json, call->message, http_json_room(json.len),
                                         &message, &field, &err);
    if (rc != ERR_OK) {
        free(call);
        enum reply_code code = reply_code_of(rc);
        refuse_call(connection, request, reply_code_http(code), code, err.text, field);
        return;
    }
    call->call.request = (const uint8_t *)message.ptr;
    call->call.request_bytes = message.len;
    call->call.from_page = is_from_page(request);
    call->call.local =
        connection->server->listener_is_local && connection->peer_is_local && !call->call.from_page;
    if (options->call(options->service, options->worker, &call->call) == CALL_DONE)
        http_request_answer(connection, call);
    else
        http_call_defer(call);
}

static void serve_api(struct http_connection *connection, struct evhttp_request *request,
                      const char *op)
{
    const struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
    if (evhttp_request_get_command(request) != EVHTTP_REQ_POST)
        refuse_method(connection, request, "POST");
    else if (!is_op_name(op))
        refuse_call(connection, request, HTTP_NOTFOUND, REPLY_unknown_op,
                    "op: there is no operation of that name", "op");
    else if (!is_json_type(evhttp_find_header(headers, "Content-Type")))
        refuse_call(connection, request, 415, REPLY_bad_request,
                    "Content-Type: expected application/json", NULL);
    else
        call_service(connection, request, op);
}

static void serve_page(struct http_connection *connection, struct evhttp_request *request,
                       const char *path, const char *query)
{
    const struct http_server_options *options = &connection->server->options;
    enum evhttp_cmd_type method = evhttp_request_get_command(request);
    struct http_page page = {.status = HTTP_OK};
    if (!options->page(options->page_ctx, path, query, &page)) {
        refuse(connection, request, HTTP_NOTFOUND, REPLY_not_found, "there is no such page", NULL);
        return;
    }
    if (method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD)
        send_reply(connection, request, page.status, page.content_type, page.body, page.body_bytes);
    else
        refuse_method(connection, request, "GET, HEAD");
    free(page.body);
}

void http_request_serve(struct evhttp_request *request, void *arg)
{
    struct http_server *server = arg;
    struct http_connection *connection = http_connection_of(server, request);
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
    const char *path = uri == NULL ? NULL : evhttp_uri_get_path(uri);
    const char *query = uri == NULL ? NULL : evhttp_uri_get_query(uri);
    if (connection == NULL) { /* there was no memory to look after it */
        evhttp_send_error(request, HTTP_SERVUNAVAIL, NULL);
        return;
    }
    if (connection->phase == HTTP_REFUSED) { /* its end was a matter of opinion, and it has come */
        evhttp_send_error(request, HTTP_ENTITYTOOLARGE, NULL);
        return;
    }
    http_connection_serving(connection);
    if (!framing_is_plain(connection, request)) {
        evhttp_add_header(evhttp_request_get_output_headers(request), "Connection", "close");
        refuse(connection, request, HTTP_BADREQUEST, REPLY_bad_request,
               "the headers or chunks do not say clearly where the request ends", NULL);
    } else if (path != NULL && strncmp(path, API_PREFIX, strlen(API_PREFIX)) == 0) {
        serve_api(connection, request, path + strlen(API_PREFIX));
    } else {
        serve_page(connection, request, path == NULL ? "" : path, query == NULL ? "" : query);
    }
}
