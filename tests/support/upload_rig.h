/* SPDX-License-Identifier: Apache-2.0 */
/* upload_rig - the operations of uploads without a socket: requests are built key by key, and the
 * registry behind them is real.  What fails outside of what is tested ends the test.
 * Threads: one owner. */
#ifndef TESTS_SUPPORT_UPLOAD_RIG_H
#define TESTS_SUPPORT_UPLOAD_RIG_H

#include "server/control/model_ops.h"
#include "server/protocol/reply.h"
#include "tests/support/registry_rig.h"

struct upload_rig {
    struct registry_rig rig;
    struct clock_manual clock;
    struct model_ops *ops;
    struct arena arena;
    uint8_t *body, *reply;
};

/* One request, built key by key, and what was answered. */
struct upload_ask {
    struct upload_rig *bench;
    struct pack pack;
    size_t mark;
    uint32_t pairs;
    struct call call;
    struct outcome outcome;
};

int upload_rig_set_up(void **state);
int upload_rig_tear_down(void **state);
/* *state is a struct upload_rig.  A request begins with its op, takes texts, and is sent. */
struct upload_ask upload_ask(struct upload_rig *bench, const char *op);
void upload_ask_text(struct upload_ask *ask, const char *key, const char *value);
/* Sends it, without waiting; finish: waits for the reply and gives its code. */
enum call_state upload_ask_start(struct upload_ask *ask);
enum reply_code upload_ask_finish(struct upload_ask *ask);

/* Sends it and waits for the reply. */
enum reply_code upload_ask_send(struct upload_ask *ask);

/* Sends a request whose reply names an upload. */
enum reply_code upload_rig_send_begin(struct upload_ask *ask, char ret_upload[ULID_BYTES]);

enum reply_code upload_rig_begin(struct upload_rig *bench, const char *name, const char *version,
                                 char ret_upload[ULID_BYTES]);
struct upload_ask upload_ask_chunk(struct upload_rig *bench, const char *upload, const char *path,
                                   int64_t offset, const void *bytes, size_t len);
enum reply_code upload_rig_chunk(struct upload_rig *bench, const char *upload, const char *path,
                                 int64_t offset, const void *bytes, size_t len);

/* Entries of a folder below DIR, -1 when it is not there. */
int upload_rig_entries(const struct upload_rig *bench, const char *below);

#endif
