/* SPDX-License-Identifier: Apache-2.0 */
/* taste_shop - the small shop of decide_fixture with two models: near (neighbors) and taste
 * (factors of one user, "trained").  What it cannot make ends the program.  Threads: one owner. */
#ifndef TESTS_SUPPORT_TASTE_SHOP_H
#define TESTS_SUPPORT_TASTE_SHOP_H

#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

#define DAY_MS INT64_C(86400000)

extern struct fixture taste_shop;
extern const struct small_factors taste_shop_factors; /* of the model taste */
struct model *taste_shop_near(void);                  /* the caller owns it */

/* With the items, their events and both models; only the tear-down is needed where a test begins
 * with less. */
int taste_shop_set_up(void **state);
int taste_shop_tear_down(void **state);

#define ASK(request) fixture_ask(&taste_shop, "{\"op\": \"recommend\"," request "}")

/* One slot; `more` holds further keys of it. */
#define SLOT(sources, more) "{\"slots\": {\"home\": {" more "\"sources\": [" sources "]}}}"

#define NEAR   "{\"source\": \"neighbors\"}"
#define REPEAT "{\"source\": \"repeat\"}"

/* Of an item that was decided on. */
float taste_shop_score(const char *id);
void assert_near(double value, double expected);

#endif
