/* SPDX-License-Identifier: Apache-2.0 */
/* message - one request in MessagePack, with room in front for the frame header.
 *
 * Built once per call and sent once per attempt: request id and budget_us are patched in for each
 * attempt, so that the daemon learns the time left at that moment.
 *
 * Errors are sticky: after a failed allocation, or once the message is too large, further additions
 * are dropped and client_message_end reports the error.
 * Threads: one owner.  Limits: DECIDE_REQUEST_BYTES_MAX, and DECIDE_LIST_MAX entries in a list. */
#ifndef CLIENT_MESSAGE_H
#define CLIENT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/decide.h"
#include "client/reader.h"

struct client_message {
    uint8_t *bytes; /* owned */
    size_t used, capacity;
    size_t budget_at; /* offset of the eight bytes of budget_us */
    uint32_t pair_count;
    bool failed, too_large;
};

void client_message_begin(struct client_message *message, const char *op, const char *token);
/* Adds the pairs of a checked MessagePack map. */
void client_message_add_map(struct client_message *message, struct client_reader map);
/* Adds one pair whose value is checked MessagePack. */
void client_message_add_raw(struct client_message *message, const char *key, const void *value,
                            size_t value_len);
/* Adds the fields of `request` that `op` accepts.  DECIDE_INVALID: `error` names what cannot be
 * sent. */
enum decide_status client_message_add_request(struct client_message *message, const char *op,
                                              const struct decide_request *request,
                                              char error[DECIDE_ERROR_BYTES]);
/* DECIDE_NOMEM, or DECIDE_INVALID if the message is too large. */
enum decide_status client_message_end(struct client_message *message,
                                      char error[DECIDE_ERROR_BYTES]);

/* The complete frame for one attempt; borrowed until the next call.  A budget of more than an hour
 * is sent as an hour, the most that a daemon takes. */
const uint8_t *client_message_frame(struct client_message *message, uint32_t id, bool ipc,
                                    uint64_t budget_us, size_t *ret_len);
/* A reader on the finished map. */
struct client_reader client_message_map(const struct client_message *message);
void client_message_deinit(struct client_message *message);

#endif
