/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hist.h"

/* All loads and stores are relaxed: there is one writer, and a reader that sees a count without
 * its sum reports numbers that are a moment apart, which is all that a metric promises. */
#define LOAD(place)         atomic_load_explicit(&(place), memory_order_relaxed)
#define STORE(place, value) atomic_store_explicit(&(place), (value), memory_order_relaxed)

enum { SUB_COUNT = 1 << HIST_SUB_BITS };

#define VALUE_MAX ((UINT64_C(1) << HIST_TOP_BIT) - 1)

/* Values below 64 have a bucket each.  Above, the highest bit selects a power of two and the six
 * bits below it one of its 64 parts. */
static uint32_t bucket_of(uint64_t value)
{
    if (value < SUB_COUNT)
        return (uint32_t)value;
    unsigned shift = 63U - (unsigned)__builtin_clzll(value) - HIST_SUB_BITS;
    return ((shift + 1) << HIST_SUB_BITS) + (uint32_t)((value >> shift) - SUB_COUNT);
}

/* The largest value that counts into the bucket. */
static uint64_t bucket_top(uint32_t index)
{
    if (index < SUB_COUNT)
        return index;
    unsigned shift = (index >> HIST_SUB_BITS) - 1;
    uint64_t part = (index & (SUB_COUNT - 1)) + SUB_COUNT;
    return ((part + 1) << shift) - 1;
}

void hist_record(struct hist *hist, uint64_t value_ns)
{
    uint64_t value = value_ns > VALUE_MAX ? VALUE_MAX : value_ns;
    uint32_t index = bucket_of(value);
    STORE(hist->bucket[index], LOAD(hist->bucket[index]) + 1);
    STORE(hist->count, LOAD(hist->count) + 1);
    STORE(hist->sum_ns, LOAD(hist->sum_ns) + value);
    if (value > LOAD(hist->max_ns))
        STORE(hist->max_ns, value);
}

void hist_merge(struct hist *into, const struct hist *from)
{
    uint64_t count = 0; /* of what was really seen, so that the buckets add up to it */
    for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
        uint64_t seen = LOAD(from->bucket[i]);
        if (seen == 0)
            continue;
        STORE(into->bucket[i], LOAD(into->bucket[i]) + seen);
        count += seen;
    }
    STORE(into->count, LOAD(into->count) + count);
    STORE(into->sum_ns, LOAD(into->sum_ns) + LOAD(from->sum_ns));
    uint64_t max_ns = LOAD(from->max_ns);
    if (max_ns > LOAD(into->max_ns))
        STORE(into->max_ns, max_ns);
}

void hist_subtract(struct hist *from, const struct hist *earlier)
{
    uint64_t count = 0; /* of what is left, so that the buckets add up to it */
    for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
        uint64_t left = LOAD(from->bucket[i]) - LOAD(earlier->bucket[i]);
        STORE(from->bucket[i], left);
        count += left;
    }
    STORE(from->count, count);
    STORE(from->sum_ns, LOAD(from->sum_ns) - LOAD(earlier->sum_ns));
}

void hist_reset(struct hist *hist)
{
    STORE(hist->count, 0);
    STORE(hist->sum_ns, 0);
    STORE(hist->max_ns, 0);
    for (uint32_t i = 0; i < HIST_BUCKETS; i++)
        STORE(hist->bucket[i], 0);
}

uint64_t hist_quantile(const struct hist *hist, double share)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < HIST_BUCKETS; i++)
        total += LOAD(hist->bucket[i]);
    if (total == 0)
        return 0;
    if (!(share > 0))
        share = 0;
    if (share > 1)
        share = 1;
    /* The rank is share * total rounded up, at least the first value.  The tiny allowance keeps
     * 0.99 * 100, which is 99.00000000000001 or so, from becoming 100. */
    double exact = share * (double)total;
    uint64_t rank = (uint64_t)exact;
    if (exact - (double)rank > 1e-9 * exact)
        rank++;
    rank = rank == 0 ? 1 : rank;
    uint64_t max_ns = LOAD(hist->max_ns);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
        seen += LOAD(hist->bucket[i]);
        if (seen >= rank)
            return bucket_top(i) < max_ns ? bucket_top(i) : max_ns;
    }
    return max_ns;
}

uint64_t hist_count_below(const struct hist *hist, uint64_t limit_ns)
{
    uint32_t last = bucket_of(limit_ns > VALUE_MAX ? VALUE_MAX : limit_ns);
    uint64_t count = 0;
    for (uint32_t i = 0; i <= last; i++)
        count += LOAD(hist->bucket[i]);
    return count;
}

double hist_mean_ns(const struct hist *hist)
{
    uint64_t count = LOAD(hist->count);
    return count == 0 ? 0 : (double)LOAD(hist->sum_ns) / (double)count;
}
