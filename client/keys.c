/* SPDX-License-Identifier: Apache-2.0 */
#include "client/keys.h"

#include <stddef.h>

#include "client/hash.h"

/* Keys that do not affect the answer, or are applied again to a stored one. */
static bool is_left_out(struct client_text key)
{
    static const char *const keys[] = {"budget_us", "token", "id",      "trace",
                                       "session",   "n",     "exclude", "explain"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (client_text_is(key, keys[i]))
            return true;
    return false;
}

struct client_keys client_keys_read(struct client_reader request, bool of_answer)
{
    static const char *const names[3] = {"user", "anon", "session"}; /* the first one present */
    struct client_keys keys = {.answer = CLIENT_HASH_START};
    size_t best = 3;
    uint32_t pair_count = 0;
    (void)client_read_map(&request, &pair_count);
    for (uint32_t i = 0; i < pair_count; i++) {
        const uint8_t *begin = request.at;
        struct client_text key = {0};
        struct client_text name = {0};
        if (!client_read_text(&request, &key))
            client_read_skip(&request);
        struct client_reader value = request;
        client_read_skip(&request);
        if (of_answer && !is_left_out(key))
            keys.answer = client_hash_add(keys.answer, begin, (size_t)(request.at - begin));
        for (size_t k = 0; k < best; k++) {
            if (client_text_is(key, names[k]) && client_read_text(&value, &name)) {
                keys.route = client_hash(name.ptr, name.len) | 1; /* 0 means none */
                best = k;
            }
        }
    }
    keys.answer = of_answer ? client_hash_mix(keys.answer) | 1 : 0;
    return keys;
}
