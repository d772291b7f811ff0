/* SPDX-License-Identifier: Apache-2.0 */
/* reader - reads untrusted MessagePack, without allocation and without recursion.
 *
 * client_reader_check walks the bytes once: exactly one value, bounded depth, and every declared
 * count and length fits into the bytes that are left, cumulatively over nesting.  Once it has
 * succeeded the reads below stay within the bytes.  A read of a value with another type returns
 * false and does not advance.
 * Threads: one owner.  Texts point into the bytes and are not terminated. */
#ifndef CLIENT_READER_H
#define CLIENT_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_READER_DEPTH_MAX 16

struct client_reader {
    const uint8_t *at, *end;
};

struct client_text {
    const char *ptr; /* NULL: absent */
    size_t len;
};

bool client_reader_check(const void *bytes, size_t len);
/* The same for bytes that may hold millions of values: checks the deadline on the way. */
enum client_checked { CLIENT_CHECKED_WRONG, CLIENT_CHECKED_FINE, CLIENT_CHECKED_LATE };
enum client_checked client_reader_check_until(const void *bytes, size_t len, uint64_t deadline_ns);

/* For checked bytes only. */
static inline struct client_reader client_reader_of(const void *bytes, size_t len)
{
    return (struct client_reader){bytes, (const uint8_t *)bytes + len};
}

bool client_read_nil(struct client_reader *reader);
bool client_read_bool(struct client_reader *reader, bool *ret_value);
bool client_read_int(struct client_reader *reader, int64_t *ret_value);
bool client_read_real(struct client_reader *reader, double *ret_value); /* integers too; finite */
bool client_read_text(struct client_reader *reader, struct client_text *ret_text);
bool client_read_array(struct client_reader *reader, uint32_t *ret_count);
bool client_read_map(struct client_reader *reader, uint32_t *ret_pair_count);
void client_read_skip(struct client_reader *reader); /* the next value, nested ones included */

bool client_text_is(struct client_text text, const char *s);

#endif
