/* SPDX-License-Identifier: Apache-2.0 */
/* export_names - the columns of features in a CSV file: the names that the rankers of all exported
 * decisions have, in the order in which they came first.
 *
 * Limits: NAMES_MAX columns.  Threads: one owner. */
#ifndef TOOLS_CTL_EXPORT_NAMES_H
#define TOOLS_CTL_EXPORT_NAMES_H

#include "base/buffer.h"
#include "base/err.h"
#include "featurestore/decision_record.h"

#define NAMES_MAX 4096

struct export_names;

MUST_CHECK enum err_code export_names_create(struct export_names **ret_names, struct err *err);
void export_names_destroy(struct export_names **names);

/* Adds those of the decision that are new.  ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err_code export_names_add(struct export_names *names,
                                          const struct decision_record *decision, struct err *err);
void export_names_put(const struct export_names *names, struct buffer *buffer);

/* From here on values are of this decision; names that were not added are left out. */
void export_names_use(struct export_names *names, const struct decision_record *decision);
/* A field for each column, empty where the item has no value. */
void export_names_put_values(struct export_names *names, const struct decision_record_item *item,
                             struct buffer *buffer);

#endif
