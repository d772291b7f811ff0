/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/event_read.h"

enum err_code event_read_consent(struct event_read *read)
{
    static const struct text names[] = {
#define X(name) {#name, sizeof(#name) - 1},
        EVENT_CONSENTS(X)
#undef X
    };
    struct event_keys keys = {"consent", names, CONSENT_COUNT, 0};
    uint32_t pair_count = 0;
    read->cursor = cursor_of((const uint8_t *)read->consent_raw.ptr, read->consent_raw.len);
    if (!cursor_map(&read->cursor, &pair_count))
        return event_wrong_kind(read, "consent", "a map");
    for (uint32_t i = 0; i < pair_count; i++) {
        uint32_t key = 0;
        bool allowed = false;
        enum err_code rc = event_read_key(read, &keys, &key);
        if (rc != ERR_OK)
            return rc;
        if (key == CONSENT_COUNT) {
            cursor_skip(&read->cursor, NULL);
            continue;
        }
        if (!cursor_bool(&read->cursor, &allowed))
            return event_wrong_kind(read, "consent", "true or false for each");
        uint8_t *mask = allowed ? &read->event->consent_allowed : &read->event->consent_denied;
        *mask |= (uint8_t)(1u << key);
    }
    return ERR_OK;
}
