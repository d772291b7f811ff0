/* SPDX-License-Identifier: Apache-2.0 */
/* request_read - typed reads of one value of a request, with error messages.
 *
 * Shared by request.c and request_read.c only.  On failure a read leaves its output unchanged,
 * names the field in `field` and puts "FIELD: expected ..., got ..." into err.  Threads: one owner.
 */
#ifndef SERVER_PROTOCOL_REQUEST_READ_H
#define SERVER_PROTOCOL_REQUEST_READ_H

#include "base/cursor.h"
#include "server/protocol/request.h"

struct request_read {
    struct cursor cursor; /* stands before the value */
    struct arena *arena;
    char *field; /* REQUEST_FIELD_BYTES: out */
    struct err *err;
};

/* `message` starts with the field's name and a colon. */
MUST_CHECK enum err_code read_fail(struct request_read *read, enum err_code code,
                                   const char *message);
MUST_CHECK enum err_code read_kind(struct request_read *read, const char *name,
                                   const char *expected, enum cursor_kind got);
MUST_CHECK enum err_code read_twice(struct request_read *read, struct text name);

MUST_CHECK enum err_code read_text(struct request_read *read, const char *name, uint32_t min_bytes,
                                   uint32_t max_bytes, struct text *ret_value);
MUST_CHECK enum err_code read_id(struct request_read *read, const char *name,
                                 struct text *ret_value);
MUST_CHECK enum err_code read_int(struct request_read *read, const char *name, int64_t min,
                                  int64_t max, int64_t *ret_value);
MUST_CHECK enum err_code read_bool(struct request_read *read, const char *name, bool *ret_value);
MUST_CHECK enum err_code read_ids(struct request_read *read, const char *name, uint32_t count_max,
                                  struct text_list *ret_list);
enum request_list {
    REQUEST_LIST_ITEMS,
    REQUEST_LIST_CART,
    REQUEST_LIST_CANDIDATES,
    REQUEST_LIST_COUNT
};
MUST_CHECK enum err_code read_items(struct request_read *read, enum request_list list,
                                    const struct request_item **ret_items, uint32_t *ret_count);
MUST_CHECK enum err_code read_context(struct request_read *read, struct request *request);
/* request_slots.c: the slots of a page. */
MUST_CHECK enum err_code read_slots(struct request_read *read, struct request *request);
MUST_CHECK enum err_code read_filters(struct request_read *read, struct request_filters *filters);

#endif
