/* SPDX-License-Identifier: Apache-2.0 */
/* handover_internal - the messages between the two processes. */
#ifndef SERVER_CONTROL_HANDOVER_INTERNAL_H
#define SERVER_CONTROL_HANDOVER_INTERNAL_H

#include "server/control/handover.h"

#define HANDOVER_VARIABLE "DECIDED_HANDOVER_FD"
#define HANDOVER_CHILD_FD 3 /* what the variable says */

/* One byte each; behind HANDOVER_READY stand the sockets, as a uint32_t. */
enum handover_word { HANDOVER_READY = 'r', HANDOVER_RELEASED = 'x', HANDOVER_SERVING = 's' };
#define HANDOVER_READY_BYTES (1 + sizeof(uint32_t))

enum err_code handover_send_gift(int fd, const struct handover_gift *gift, struct err *err);
enum err_code handover_receive_gift(int fd, struct handover_gift *gift, struct err *err);

#endif
