/* SPDX-License-Identifier: Apache-2.0 */
/* page_shop - a random shop by its seed: items, events, sources, rankers of every kind, policies of
 * some slots, trials; one in a program.  What cannot be made fails the test. */
#ifndef TESTS_SUPPORT_PAGE_SHOP_H
#define TESTS_SUPPORT_PAGE_SHOP_H

#include "base/rand.h"
#include "server/decide/tally.h"
#include "tests/support/decide_fixture.h"

enum { ITEMS = 120, DIM = 8, SHOPS = 6, PAGES = 40, SLOTS = 6, TEXT_BYTES = 16384 };

extern struct fixture page_shop;
extern struct tally *page_shop_tally;
extern struct rand page_shop_rand;
extern char page_shop_text[TEXT_BYTES];
extern size_t page_shop_text_used;
/* At the end of page_shop_text. */
void page_shop_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* By page_shop_rand. */
bool page_shop_one_in(uint32_t n);
void page_shop_open(uint64_t seed);

#endif
