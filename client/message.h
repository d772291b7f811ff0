/* SPDX-License-Identifier: Apache-2.0 */
/* message - one request in MessagePack, with room in front for the frame.
 *
 * Built once per call and sent as often as the call tries: request id and budget_us are written
 * into it at each try, so that the daemon learns what is left at that moment.
 * Threads: one owner.  Limit: DECIDE_REQUEST_BYTES_MAX, and DECIDE_LIST_MAX entries of a list.
 * After an allocation failed, or once it would be too large, everything further is dropped, and
 * client_message_end tells. */
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
    size_t budget_at; /* of the number's eight bytes */
    uint32_t pair_count;
    bool failed, too_large;
};

void client_message_begin(struct client_message *message, const char *op, const char *token);
/* The pairs of a MessagePack map that has been checked. */
void client_message_add_map(struct client_message *message, struct client_reader map);
/* One pair whose value is MessagePack that has been checked. */
void client_message_add_raw(struct client_message *message, const char *key, const void *value,
                            size_t value_len);
/* What the op of `request` takes; DECIDE_INVALID names what cannot be sent. */
enum decide_status client_message_add_request(struct client_message *message, const char *op,
                                              const struct decide_request *request,
                                              char error[DECIDE_ERROR_BYTES]);
/* DECIDE_NOMEM, or DECIDE_INVALID when it is too large. */
enum decide_status client_message_end(struct client_message *message,
                                      char error[DECIDE_ERROR_BYTES]);

/* The whole frame for one try.  A budget of more than an hour is sent as an hour, the most that a
 * daemon takes. */
const uint8_t *client_message_frame(struct client_message *message, uint32_t id, bool ipc,
                                    uint64_t budget_us, size_t *ret_len);
/* The map that was built. */
struct client_reader client_message_map(const struct client_message *message);
void client_message_deinit(struct client_message *message);

#endif
