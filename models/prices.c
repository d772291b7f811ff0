/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "models/prices_internal.h"

enum err_code prices_load(struct bundle *bundle, struct model *model, struct err *err)
{
    struct bundle_file *source = NULL;
    enum err_code rc = bundle_file(bundle, "rules", &source, err);
    if (rc == ERR_OK)
        rc = prices_parse(source->path, (const char *)source->bytes, source->len, &model->as.prices,
                          err);
    if (rc == ERR_OK)
        model->bytes += prices_bytes(model->as.prices) - source->len; /* the text is not kept */
    return rc;
}

static int compare_rank(const void *a, const void *b, void *rules)
{
    const struct price_rule *rule = rules;
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    if (rule[x].priority != rule[y].priority)
        return rule[x].priority > rule[y].priority ? -1 : 1;
    return (x > y) - (x < y);
}

static int compare_names(const void *a, const void *b)
{
    const struct price_rule *const *x = a;
    const struct price_rule *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int compare_refs(const void *a, const void *b)
{
    const struct price_ref *x = a;
    const struct price_ref *y = b;
    if (x->dimension != y->dimension)
        return x->dimension < y->dimension ? -1 : 1;
    int order = text_compare(x->text, y->text);
    if (order != 0)
        return order;
    return (x->rule > y->rule) - (x->rule < y->rule);
}

static enum err_code no_memory(const char *name, struct err *err)
{
    return err_set(err, ERR_NOMEM, "%s: out of memory for price rules", name);
}

static enum err_code check_names(const char *name, const struct prices *prices, struct err *err)
{
    enum err_code rc = ERR_OK;
    const struct price_rule **order = malloc((prices->rule_count + 1U) * sizeof *order);
    if (order == NULL)
        return no_memory(name, err);
    for (uint32_t i = 0; i < prices->rule_count; i++)
        order[i] = &prices->rule[i];
    qsort(order, prices->rule_count, sizeof *order, compare_names);
    for (uint32_t i = 1; i < prices->rule_count && rc == ERR_OK; i++) {
        if (strcmp(order[i - 1]->name, order[i]->name) == 0)
            rc = err_set(err, ERR_CORRUPT, "%s: two rules are named '%s'", name, order[i]->name);
    }
    free(order);
    return rc;
}

/* Puts the rules into the order of rank, and the references after them. */
static enum err_code sort_rules(const char *name, struct prices *prices, struct price_ref *refs,
                                uint32_t ref_count, struct err *err)
{
    uint32_t count = prices->rule_count;
    uint32_t *order = malloc((count + 1U) * sizeof *order);
    uint32_t *rank_of = malloc((count + 1U) * sizeof *rank_of);
    struct price_rule *sorted = malloc((count + 1U) * sizeof *sorted);
    bool ok = order != NULL && rank_of != NULL && sorted != NULL;
    if (ok) {
        for (uint32_t i = 0; i < count; i++)
            order[i] = i;
        qsort_r(order, count, sizeof *order, compare_rank, prices->rule);
        for (uint32_t rank = 0; rank < count; rank++) {
            sorted[rank] = prices->rule[order[rank]];
            rank_of[order[rank]] = rank;
        }
        for (uint32_t i = 0; i < ref_count; i++)
            refs[i].rule = rank_of[refs[i].rule];
        free(prices->rule);
        prices->rule = sorted;
        sorted = NULL;
    }
    free(sorted);
    free(rank_of);
    free(order);
    return ok ? ERR_OK : no_memory(name, err);
}

/* The dimension in whose postings the rule stands. */
static enum price_dimension indexed_dimension(const struct price_rule *rule)
{
    for (int i = 0; i < PRICE_DIMENSIONS; i++) {
        if (rule->terms[i].count > 0)
            return (enum price_dimension)i;
    }
    return PRICE_DIMENSIONS;
}

static bool same_term(const struct price_ref *a, const struct price_ref *b)
{
    return a->dimension == b->dimension && text_equal(a->text, b->text);
}

/* `refs` are sorted by term and rank: each run is a term with its postings, and a rule that is met
 * again and again meets its terms in ascending order. */
static enum err_code fill_terms(const char *name, struct prices *prices,
                                const struct price_ref *refs, uint32_t ref_count, struct err *err)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < ref_count; i++)
        prices->rule[refs[i].rule].terms[refs[i].dimension].count++;
    for (uint32_t rank = 0; rank < prices->rule_count; rank++) {
        for (int d = 0; d < PRICE_DIMENSIONS; d++) {
            struct price_span *span = &prices->rule[rank].terms[d];
            span->first = used;
            used += span->count;
        }
    }
    uint32_t *filled = calloc((size_t)prices->rule_count * PRICE_DIMENSIONS, sizeof *filled);
    if (filled == NULL)
        return no_memory(name, err);
    enum err_code rc = ERR_OK;
    uint32_t posted = 0;
    for (uint32_t i = 0; i < ref_count && rc == ERR_OK; i++) {
        const struct price_ref *ref = &refs[i];
        struct price_rule *rule = &prices->rule[ref->rule];
        bool is_new = i == 0 || !same_term(ref, &refs[i - 1]);
        if (!is_new && ref->rule == refs[i - 1].rule)
            rc = err_set(err, ERR_CORRUPT, "%s: rule '%s': '%.64s' is listed twice", name,
                         rule->name, ref->text.ptr);
        if (is_new)
            prices->term[prices->term_count++] = (struct price_term){
                .text = ref->text, .dimension = ref->dimension, .postings.first = posted};
        struct price_term *term = &prices->term[prices->term_count - 1];
        uint32_t *fill = &filled[(size_t)ref->rule * PRICE_DIMENSIONS + ref->dimension];
        prices->term_of_rule[rule->terms[ref->dimension].first + (*fill)++] =
            prices->term_count - 1;
        if (indexed_dimension(rule) == ref->dimension) {
            prices->posting[posted++] = ref->rule;
            term->postings.count++;
        }
    }
    free(filled);
    return rc;
}

static void fill_slots(struct prices *prices)
{
    memset(prices->slot, 0xff, (prices->slot_mask + 1) * sizeof *prices->slot);
    for (uint32_t i = 0; i < prices->term_count; i++) {
        const struct price_term *term = &prices->term[i];
        uint64_t at =
            price_term_hash(prices->seed, term->dimension, term->text) & prices->slot_mask;
        while (prices->slot[at] != PRICE_NO_TERM)
            at = (at + 1) & prices->slot_mask;
        prices->slot[at] = i;
    }
}

enum err_code prices_index(const char *name, struct prices *prices, struct price_ref *refs,
                           uint32_t ref_count, struct err *err)
{
    uint64_t slot_count = 2;
    while (slot_count < 2ULL * ref_count)
        slot_count *= 2;
    enum err_code rc = check_names(name, prices, err);
    if (rc == ERR_OK)
        rc = sort_rules(name, prices, refs, ref_count, err);
    if (rc != ERR_OK)
        return rc;
    prices->term_of_rule = malloc((ref_count + 1ULL) * sizeof *prices->term_of_rule);
    prices->posting = malloc((ref_count + 1ULL) * sizeof *prices->posting);
    prices->term = malloc((ref_count + 1ULL) * sizeof *prices->term);
    prices->slot = malloc(slot_count * sizeof *prices->slot);
    prices->general = malloc((prices->rule_count + 1ULL) * sizeof *prices->general);
    if (prices->term_of_rule == NULL || prices->posting == NULL || prices->term == NULL ||
        prices->slot == NULL || prices->general == NULL)
        return no_memory(name, err);
    if (ref_count > 0)
        qsort(refs, ref_count, sizeof *refs, compare_refs);
    rc = fill_terms(name, prices, refs, ref_count, err);
    prices->slot_mask = slot_count - 1;
    prices->seed = rand_seed_system(); /* collisions cannot be prepared */
    fill_slots(prices);
    for (uint32_t rank = 0; rank < prices->rule_count; rank++) {
        if (indexed_dimension(&prices->rule[rank]) == PRICE_DIMENSIONS)
            prices->general[prices->general_count++] = rank;
    }
    return rc;
}

/* The arrays as they are used; the index has a little more room than that. */
uint64_t prices_bytes(const struct prices *prices)
{
    uint64_t refs = 0;
    uint64_t texts = 0;
    for (uint32_t i = 0; i < prices->rule_count; i++) {
        texts += strlen(prices->rule[i].name) + 1;
        for (int d = 0; d < PRICE_DIMENSIONS; d++)
            refs += prices->rule[i].terms[d].count;
    }
    for (uint32_t i = 0; i < prices->term_count; i++)
        texts += prices->term[i].text.len + 1;
    return sizeof *prices + texts + prices->rule_count * sizeof *prices->rule +
           prices->condition_count * sizeof *prices->condition +
           prices->value_count * sizeof *prices->value + 2 * refs * sizeof(uint32_t) +
           prices->term_count * sizeof *prices->term +
           (prices->slot_mask + 1) * sizeof *prices->slot +
           prices->general_count * sizeof *prices->general;
}

void prices_destroy(struct prices *prices)
{
    if (prices == NULL)
        return;
    free(prices->rule);
    free(prices->condition);
    free(prices->value);
    free(prices->term_of_rule);
    free(prices->term);
    free(prices->slot);
    free(prices->posting);
    free(prices->general);
    free(prices->texts);
    free(prices);
}
