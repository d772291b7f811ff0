/* SPDX-License-Identifier: Apache-2.0 */
/* decision_write - one decision as a record of the log of decisions (featurestore/decision_record.h
 * says what is in it): what was asked, what was shown, and what the ranker saw of it.
 *
 * Runs for every decision that is logged: allocates nothing, formats no text.  Threads: the
 * worker's own, inside rcu_read_begin/end. */
#ifndef SERVER_DECIDE_DECISION_WRITE_H
#define SERVER_DECIDE_DECISION_WRITE_H

#include "base/pack.h"
#include "server/decide/decide.h"

/* pack->overflow says that it does not fit. */
void decision_write(const struct decide_env *env, const struct request *request,
                    const struct decision *decision, struct pack *pack);

#endif
