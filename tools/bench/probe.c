/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/probe.h"

#include <poll.h>
#include <stdlib.h>

#include "tools/bench/link.h"

struct sample {
    uint8_t *bytes; /* owned */
    size_t len;
};

static int by_length(const void *left, const void *right)
{
    size_t a = ((const struct sample *)left)->len;
    size_t b = ((const struct sample *)right)->len;
    return a < b ? -1 : a > b;
}

static enum err_code keep(const struct traffic *traffic, const struct sp_message *message,
                          struct sample *ret_sample, struct err *err)
{
    struct text what;
    if (traffic_read(message->body, message->body_bytes, &what) != ANSWER_OK)
        return err_set(
            err, ERR_UNSUPPORTED, "no yardstick can be made: the daemon answers '%s' with '%.*s'",
            bench_op_name(traffic->options->op), (int)what.len, what.ptr == NULL ? "" : what.ptr);
    ret_sample->bytes = malloc(message->body_bytes);
    if (ret_sample->bytes == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a reply");
    memcpy(ret_sample->bytes, message->body, message->body_bytes);
    ret_sample->len = message->body_bytes;
    return ERR_OK;
}

static enum err_code ask(struct link *link, struct traffic *traffic, struct sample *ret_sample,
                         struct err *err)
{
    static uint8_t request[SP_HEADER_BYTES_MAX + TRAFFIC_REQUEST_BYTES];
    uint8_t *body = request + SP_HEADER_BYTES_MAX;
    size_t len = traffic_pack(traffic, body);
    uint8_t *frame = sp_put_header(body, len, 1, link->conn.ipc);
    struct sp_message message;
    if (!link_put(link, frame, len + sp_header_bytes(link->conn.ipc)))
        return err_set(err, ERR_NOMEM, "out of memory for a request");
    for (;;) {
        struct pollfd ready = {.fd = link->conn.fd, .events = POLLIN};
        if (!link_flush(link))
            return err_set(err, ERR_IO, "the daemon closed the connection");
        if (link_has_unsent(link))
            ready.events |= POLLOUT;
        if (poll(&ready, 1, PROBE_WAIT_MS) <= 0)
            return err_set(err, ERR_IO, "the daemon did not answer within %d ms", PROBE_WAIT_MS);
        if (!link_fill(link))
            return err_set(err, ERR_IO, "the daemon closed the connection");
        enum sp_state state = link_next(link, &message);
        if (state == SP_BAD)
            return err_set(err, ERR_IO, "the daemon sent what is no reply");
        if (state == SP_MESSAGE)
            return keep(traffic, &message, ret_sample, err);
    }
}

enum err_code probe_reply(const char *url, struct traffic *traffic, uint8_t **ret_reply,
                          size_t *ret_bytes, struct err *err)
{
    struct link link = {.conn.fd = -1};
    struct sample samples[PROBE_COUNT] = {0};
    struct link_target target;
    enum err_code rc = link_resolve(url, &target, err);
    if (rc == ERR_OK)
        rc = link_open(&link, &target, err);
    for (int i = 0; i < PROBE_COUNT && rc == ERR_OK; i++)
        rc = ask(&link, traffic, &samples[i], err);
    qsort(samples, PROBE_COUNT, sizeof samples[0], by_length);
    if (rc == ERR_OK) {
        *ret_reply = samples[PROBE_COUNT / 2].bytes;
        *ret_bytes = samples[PROBE_COUNT / 2].len;
        samples[PROBE_COUNT / 2].bytes = NULL;
    }
    for (int i = 0; i < PROBE_COUNT; i++)
        free(samples[i].bytes);
    link_deinit(&link);
    return rc;
}
