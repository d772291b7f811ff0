/* SPDX-License-Identifier: Apache-2.0 */
/* What catalogue records say, in columns: many items are compared at a time, and one is asked
 * whether it may be shown, without a way to its record. */
#include "featurestore/store_internal.h"
#include "featurestore/store_kind.h"

enum { WORD = 64, SAMPLE_ITEMS = 512 };
_Static_assert(ITEM_PAGE_SLOTS % WORD == 0, "the items of a word are of one page");

static uint64_t mark_word(const struct item_page *page, enum store_mark mark, uint32_t item)
{
    return atomic_load_explicit(&page->mark[mark][item % ITEM_PAGE_SLOTS / WORD],
                                memory_order_relaxed);
}

bool store_item_is(const struct store *store, uint32_t item, enum store_mark mark)
{
    const struct item_page *page = store_item_page(store, item);
    return page != NULL && (mark_word(page, mark, item) >> (item % WORD) & 1) != 0;
}

/* Numbers are in the columns with 1 added; 0: none.  IDMAP_NONE is the number before 0. */
struct store_kind store_item_kind(const struct store *store, uint32_t item)
{
    const struct item_page *page = store_item_page(store, item);
    uint32_t at = item % ITEM_PAGE_SLOTS;
    if (page == NULL)
        return (struct store_kind){IDMAP_NONE, IDMAP_NONE};
    return (struct store_kind){atomic_load_explicit(&page->category[at], memory_order_relaxed) - 1,
                               atomic_load_explicit(&page->brand[at], memory_order_relaxed) - 1};
}

void store_item_fetch_kind(const struct store *store, uint32_t item)
{
    const struct item_page *page = store_item_page(store, item);
    uint32_t at = item % ITEM_PAGE_SLOTS;
    if (page == NULL)
        return;
    __builtin_prefetch((const void *)&page->category[at]);
    __builtin_prefetch((const void *)&page->brand[at]);
}

uint32_t store_sold_out_count(const struct store *store)
{
    return (uint32_t)store_counter(store, COUNTER_SOLD_OUT);
}

/* ---- what is wanted -------------------------------------------------------------------------- */

static bool any_of(const uint32_t *number, uint32_t count, uint32_t found)
{
    for (uint32_t i = 0; i < count; i++) {
        if (found == number[i] + 1)
            return true;
    }
    return false;
}

/* Of an item with a record. */
static bool passes(const struct item_page *page, const struct store_wanted *wanted, uint32_t at)
{
    if (wanted->category != NULL &&
        !any_of(wanted->category, wanted->category_count,
                atomic_load_explicit(&page->category[at], memory_order_relaxed)))
        return false;
    if (wanted->brand != NULL &&
        !any_of(wanted->brand, wanted->brand_count,
                atomic_load_explicit(&page->brand[at], memory_order_relaxed)))
        return false;
    if (wanted->by_price) {
        int64_t price_minor = atomic_load_explicit(&page->price_minor[at], memory_order_relaxed);
        if (price_minor == EVENT_ABSENT || price_minor < wanted->price_min_minor ||
            price_minor > wanted->price_max_minor)
            return false;
    }
    if (!wanted->by_stock)
        return true;
    int32_t stock = atomic_load_explicit(&page->stock[at], memory_order_relaxed);
    if (stock == STORE_STOCK_UNKNOWN)
        return wanted->stock_may_be_unknown;
    return stock >= wanted->stock_min && stock <= wanted->stock_max;
}

/* What the marks alone say. */
static uint64_t marked(const struct item_page *page, const struct store_wanted *wanted,
                       uint32_t item)
{
    if (page == NULL)
        return wanted->needs_record ? 0 : UINT64_MAX;
    uint64_t bits = wanted->needs_record ? mark_word(page, STORE_RECORDED, item) : UINT64_MAX;
    return bits & ~mark_word(page, wanted->in_stock ? STORE_SOLD_OUT : STORE_DELETED, item);
}

/* One number is so often all there is that it has a loop of its own. */
static uint64_t equal_bits(const _Atomic(uint32_t) *column, uint32_t number)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < WORD; i++)
        bits |= (uint64_t)(atomic_load_explicit(&column[i], memory_order_relaxed) == number + 1)
                << i;
    return bits;
}

static uint64_t named_bits(const _Atomic(uint32_t) *column, const uint32_t *number, uint32_t count)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < count; i++)
        bits |= equal_bits(column, number[i]);
    return bits;
}

/* Of those 64 items. */
static uint64_t wanted_word(const struct item_page *page, const struct store_wanted *wanted,
                            uint32_t first)
{
    uint64_t bits = marked(page, wanted, first);
    uint32_t at = first % ITEM_PAGE_SLOTS;
    if (page == NULL || !(wanted->by_price || wanted->by_stock || wanted->category != NULL ||
                          wanted->brand != NULL))
        return bits;
    if (wanted->category != NULL && bits != 0)
        bits &= named_bits(page->category + at, wanted->category, wanted->category_count);
    if (wanted->brand != NULL && bits != 0)
        bits &= named_bits(page->brand + at, wanted->brand, wanted->brand_count);
    if (!wanted->by_price && !wanted->by_stock)
        return bits;
    for (uint64_t left = bits & mark_word(page, STORE_RECORDED, first); left != 0;
         left &= left - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(left);
        if (!passes(page, wanted, at + i))
            bits &= ~((uint64_t)1 << i);
    }
    return bits;
}

void store_items_wanted(const struct store *store, const struct store_wanted *wanted,
                        uint32_t item_count, uint64_t *ret_bits)
{
    for (uint32_t first = 0; first < item_count; first += WORD) {
        uint64_t bits = wanted_word(store_item_page(store, first), wanted, first);
        uint32_t left = item_count - first;
        ret_bits[first / WORD] = left < WORD ? bits & (((uint64_t)1 << left) - 1) : bits;
    }
}

uint32_t store_wanted_permille(const struct store *store, const struct store_wanted *wanted,
                               uint32_t item_count)
{
    uint32_t passing = 0, looked = item_count < SAMPLE_ITEMS ? item_count : SAMPLE_ITEMS;
    for (uint32_t i = 0; i < looked; i++) {
        uint32_t item = (uint32_t)((uint64_t)item_count * i / looked);
        const struct item_page *page = store_item_page(store, item);
        passing += (marked(page, wanted, item) >> (item % WORD) & 1) != 0 &&
                   (!store_item_is(store, item, STORE_RECORDED) ||
                    passes(page, wanted, item % ITEM_PAGE_SLOTS));
    }
    return looked == 0 ? 1000 : 1000 * passing / looked;
}
