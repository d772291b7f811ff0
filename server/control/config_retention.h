/* SPDX-License-Identifier: Apache-2.0 */
/* config_retention - how long events of a type are kept: "view=30d", "search=36h".
 *
 * Types whose events define current state (identify, consent, attributes, the catalogue) cannot be
 * given: such an event holds until a later one replaces it.
 *
 * Threads: no state. */
#ifndef SERVER_CONTROL_CONFIG_RETENTION_H
#define SERVER_CONTROL_CONFIG_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "featurestore/event.h"

#define CONFIG_RETENTION_HOURS_MAX INT64_C(876000)

/* What the text should have been, or NULL when it is that. */
const char *config_retention_fault(const char *value);

struct config_list;
/* ERR_BAD_INPUT: two of the texts name one type. */
MUST_CHECK enum err_code config_retention_check(const struct config_list *list, struct err *err);
/* By type, 0 for none of its own. */
void config_retentions(const struct config_list *list, int64_t ret_retain_ms[EVENT_TYPE_COUNT]);

#endif
