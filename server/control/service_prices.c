/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/service_internal.h"

void service_pack_prices(struct reply *reply, const struct item *record)
{
    uint32_t count = record == NULL ? 0 : record->price_count;
    reply_key(reply, "prices");
    pack_array(&reply->pack, count);
    for (uint32_t i = count; i > 0; i--) {
        const struct price_change *change = &record->prices[i - 1];
        char currency[4];
        pack_map(&reply->pack, change->currency == 0 ? 2 : 3);
        pack_key(&reply->pack, "since_ms");
        pack_int(&reply->pack, INT64_C(1000) * change->since_s);
        pack_key(&reply->pack, "amount");
        pack_int(&reply->pack, change->price_minor);
        if (change->currency == 0)
            continue;
        pack_key(&reply->pack, "currency");
        pack_str(&reply->pack, currency_format(change->currency, currency));
    }
}
