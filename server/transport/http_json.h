/* SPDX-License-Identifier: Apache-2.0 */
/* http_json - converts the JSON body of POST /v1/<op> into the MessagePack map used by every
 * transport.
 *
 * The path names the operation and the key `op` is added; a body that names another one is refused.
 * An empty body counts as {}.  Threads: no state.  Allocates like base/transcode.h. */
#ifndef SERVER_TRANSPORT_HTTP_JSON_H
#define SERVER_TRANSPORT_HTTP_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

#define HTTP_OP_BYTES_MAX 64

/* Enough room for the message of any body of that size. */
size_t http_json_room(size_t json_bytes);

/* The message, written into `room`, is *ret_message.  ERR_BAD_INPUT ("line 1, column 17: ...") and
 * ERR_LIMIT as transcode says; *ret_field is "op" when that key is the reason, else NULL. */
MUST_CHECK enum err_code http_json_request(struct text op, struct text json, uint8_t *room,
                                           size_t room_bytes, struct text *ret_message,
                                           const char **ret_field, struct err *err);

#endif
