/* SPDX-License-Identifier: Apache-2.0 */
/* pack - writes MessagePack into a fixed buffer, through msgpack-c's packer.
 *
 * Whatever does not fit sets `overflow` and is dropped; the caller checks once at the end.  Counts
 * are written before elements, as the format requires.  Threads: one owner.  Allocates nothing. */
#ifndef BASE_PACK_H
#define BASE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct pack {
    uint8_t *bytes; /* borrowed */
    size_t capacity;
    size_t used;
    bool overflow;
};

static inline struct pack pack_into(void *buf, size_t capacity)
{
    return (struct pack){buf, capacity, 0, false};
}

void pack_map(struct pack *pack, uint32_t pair_count);
void pack_array(struct pack *pack, uint32_t count);
void pack_text(struct pack *pack, struct text text);
/* A text of `len` bytes that the caller writes to the address returned; NULL on overflow. */
char *pack_text_reserve(struct pack *pack, uint32_t len);
void pack_str(struct pack *pack, const char *s); /* NULL becomes nil */
void pack_bin(struct pack *pack, const void *ptr, uint32_t len);
void pack_int(struct pack *pack, int64_t value);
void pack_uint(struct pack *pack, uint64_t value);
void pack_real(struct pack *pack, double value); /* float64 */
void pack_real32(struct pack *pack, float value);
void pack_bool(struct pack *pack, bool value);
void pack_nil(struct pack *pack);
void pack_raw(struct pack *pack, const void *bytes, size_t len); /* MessagePack already */

/* pack_key(p, "items") - the key of a pair */
#define pack_key(pack, literal) pack_text((pack), TEXT_LITERAL(literal))

/* For maps whose size is known only at the end: reserves a map32 header, and fills it in. */
size_t pack_map_open(struct pack *pack); /* returns a mark */
void pack_map_close(struct pack *pack, size_t mark, uint32_t pair_count);
size_t pack_array_open(struct pack *pack);
void pack_array_close(struct pack *pack, size_t mark, uint32_t count);

#endif
