/* SPDX-License-Identifier: Apache-2.0 */
/* export_labels - what came of each item of each decision, gathered from events that name the
 * decision.
 *
 * A table in memory: 64 to 128 bytes for each item of a decision that an event named, at most
 * LABELS_MAX of them.  Keys are hashed to 128 bits; that two of them are taken for one is less
 * likely than a failing memory.  Threads: one owner. */
#ifndef TOOLS_CTL_EXPORT_LABELS_H
#define TOOLS_CTL_EXPORT_LABELS_H

#include "base/err.h"
#include "featurestore/event.h"

#define LABELS_MAX (UINT32_C(1) << 25)

struct labels {
    bool impressed, clicked, carted, purchased;
    int64_t revenue_minor; /* quantity x price of its purchases, as far as the price was given */
};

struct label_table;

MUST_CHECK enum err_code label_table_create(struct label_table **ret_table, struct err *err);
void label_table_destroy(struct label_table **table);

/* Whether events of the type are of any use here. */
bool labels_need(enum event_type type);
/* Takes in an event that names a decision.  ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err_code label_table_add(struct label_table *table, const struct event *event,
                                         struct err *err);
/* All zero when nothing came of it. */
struct labels label_table_find(const struct label_table *table, struct text decision,
                               struct text item);

#endif
