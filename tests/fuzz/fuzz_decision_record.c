/* SPDX-License-Identifier: Apache-2.0 */
/* A record that is accepted can be walked to its end, and holds what its header promises. */
#include <math.h>
#include <stdint.h>

#include "base/rand.h"
#include "featurestore/decision_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_item(const struct decision_record *record, struct decision_record_item *item)
{
    ASSERT(item->item.ptr != NULL);
    ASSERT(isfinite(item->score));
    for (uint32_t f = 0; item->has_features && f < record->name_count; f++) {
        double value = 0;
        ASSERT(cursor_nil(&item->features) || cursor_real(&item->features, &value));
        ASSERT(isfinite(value));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {.text = ""};
    struct decision_record record;
    struct decision_record_item item;
    int64_t made_ms = 0;
    uint32_t count = 0;
    enum err_code rc =
        decision_record_read((struct text){(const char *)data, (uint32_t)size}, &record, &err);
    if (rc != ERR_OK) {
        ASSERT(err.code == rc && err.text[0] != '\0');
        return 0;
    }
    ASSERT(ulid_time_ms(record.decision, &made_ms));
    for (uint32_t i = 0; i < record.name_count; i++) {
        struct text name;
        ASSERT(cursor_text(&record.names, &name));
    }
    while (decision_record_next(&record, &item)) {
        ASSERT(item.position == ++count);
        check_item(&record, &item);
    }
    ASSERT(count == record.item_count);
    return 0;
}
