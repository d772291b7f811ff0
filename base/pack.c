/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pack.h"

#include <msgpack/pack.h>
#include <string.h>

enum { HEADER32_BYTES = 5, MAP32 = 0xDF, ARRAY32 = 0xDD };

static bool append(struct pack *pack, const void *bytes, size_t len)
{
    if (pack->overflow || len > pack->capacity - pack->used) {
        pack->overflow = true; /* and stays: a hole in the middle would change the meaning */
        return false;
    }
    if (len > 0)
        memcpy(pack->bytes + pack->used, bytes, len);
    pack->used += len;
    return true;
}

static int packer_write(void *data, const char *bytes, size_t len)
{
    append(data, bytes, len);
    return 0;
}

static msgpack_packer packer_of(struct pack *pack)
{
    return (msgpack_packer){pack, packer_write};
}

void pack_map(struct pack *pack, uint32_t pair_count)
{
    msgpack_packer packer = packer_of(pack);
    msgpack_pack_map(&packer, pair_count);
}

void pack_array(struct pack *pack, uint32_t count)
{
    msgpack_packer packer = packer_of(pack);
    msgpack_pack_array(&packer, count);
}

void pack_text(struct pack *pack, struct text text)
{
    msgpack_packer packer = packer_of(pack);
    msgpack_pack_str(&packer, text.len);
    append(pack, text.ptr, text.len);
}

char *pack_text_reserve(struct pack *pack, uint32_t len)
{
    msgpack_packer packer = packer_of(pack);
    msgpack_pack_str(&packer, len);
    if (pack->overflow || len > pack->capacity - pack->used) {
        pack->overflow = true;
        return NULL;
    }
    char *at = (char *)pack->bytes + pack->used;
    pack->used += len;
    return at;
}

void pack_str(struct pack *pack, const char *s)
{
    if (s == NULL)
        pack_nil(pack);
    else
        pack_text(pack, text_of(s));
}

void pack_bin(struct pack *pack, const void *ptr, uint32_t len)
{
    msgpack_packer packer = packer_of(pack);
    msgpack_pack_bin(&packer, len);
    append(pack, ptr, len);
}

void pack_int(struct pack *pack, int64_t value)
{
    msgpack_packer packer = packer_of(pack);
    msgpack_pack_int64(&packer, value);
}

void pack_uint(struct pack *pack, uint64_t value)
{
    msgpack_packer packer = packer_of(pack);
    msgpack_pack_uint64(&packer, value);
}

void pack_real(struct pack *pack, double value)
{
    msgpack_packer packer = packer_of(pack);
    msgpack_pack_double(&packer, value);
}

void pack_real32(struct pack *pack, float value)
{
    msgpack_packer packer = packer_of(pack);
    msgpack_pack_float(&packer, value);
}

void pack_bool(struct pack *pack, bool value)
{
    msgpack_packer packer = packer_of(pack);
    if (value)
        msgpack_pack_true(&packer);
    else
        msgpack_pack_false(&packer);
}

void pack_nil(struct pack *pack)
{
    msgpack_packer packer = packer_of(pack);
    msgpack_pack_nil(&packer);
}

void pack_raw(struct pack *pack, const void *bytes, size_t len)
{
    append(pack, bytes, len);
}

static size_t open_container(struct pack *pack)
{
    static const uint8_t header[HEADER32_BYTES];
    size_t mark = pack->used;
    append(pack, header, sizeof header);
    return mark;
}

static void close_container(struct pack *pack, size_t mark, uint8_t first, uint32_t count)
{
    if (pack->overflow)
        return;
    uint8_t *at = pack->bytes + mark;
    at[0] = first;
    at[1] = (uint8_t)(count >> 24);
    at[2] = (uint8_t)(count >> 16);
    at[3] = (uint8_t)(count >> 8);
    at[4] = (uint8_t)count;
}

size_t pack_map_open(struct pack *pack)
{
    return open_container(pack);
}

void pack_map_close(struct pack *pack, size_t mark, uint32_t pair_count)
{
    close_container(pack, mark, MAP32, pair_count);
}

size_t pack_array_open(struct pack *pack)
{
    return open_container(pack);
}

void pack_array_close(struct pack *pack, size_t mark, uint32_t count)
{
    close_container(pack, mark, ARRAY32, count);
}
