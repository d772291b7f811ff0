/* SPDX-License-Identifier: Apache-2.0 */
/* Puts items into the answer, for every level. */
#include "server/decide/pipeline.h"

static bool emitted(const struct decision *out, uint32_t item)
{
    for (uint32_t i = 0; i < out->count; i++) {
        if (out->items[i].item == item)
            return true;
    }
    return false;
}

static void explain_source(struct pipeline *p, struct decision_item *item, const char *source)
{
    struct decision_why *why = ARENA_NEW(p->arena, struct decision_why, 1);
    if (why == NULL)
        return;
    *why = (struct decision_why){source, item->score};
    item->why = why;
    item->why_count = 1;
}

static void append(struct pipeline *p, uint32_t item, float score, const char *source)
{
    struct decision *out = p->out;
    struct decision_item *added = &out->items[out->count];
    score = finite_score((double)score);
    float last = out->count > 0 ? added[-1].score : score;
    rules_note(p, out->count++, item);
    *added = (struct decision_item){.item = item,
                                    .id = store_item_id(p->env->store, item),
                                    .score = score < last ? score : last};
    if (p->explains && source != NULL)
        explain_source(p, added, source);
}

/* Explains a pin, with the sources that proposed the item too (`similar` uses none). */
static void explain_pin(struct pipeline *p, struct decision_item *item, const char *label)
{
    struct decision_why *why = NULL;
    uint32_t count = 0;
    if (p->request->op != OP_similar)
        candidates_tell(p, item->item, NULL, &why, &count);
    if (why == NULL) {
        explain_source(p, item, label);
        return;
    }
    why[count++] = (struct decision_why){label, item->score};
    item->why = why;
    item->why_count = count;
}

/* A pinned item gets the score of the item after it. */
static void emit_pins(struct pipeline *p, float score, bool at_the_end)
{
    uint32_t item = IDMAP_NONE;
    const char *label = NULL;
    while (p->out->count < p->wanted && rules_next_pin(p, at_the_end, &item, &label)) {
        if (emitted(p->out, item))
            continue;
        append(p, item, score, NULL);
        if (p->explains)
            explain_pin(p, &p->out->items[p->out->count - 1], label);
    }
}

void pipeline_emit_pins(struct pipeline *p)
{
    uint32_t count = p->out->count;
    emit_pins(p, count > 0 ? p->out->items[count - 1].score : 0.0f, true);
}

bool pipeline_emit(struct pipeline *p, uint32_t item, float score, const char *source)
{
    emit_pins(p, score, false);
    if (p->out->count >= p->wanted || emitted(p->out, item) || !rules_have_room(p, item))
        return false;
    append(p, item, score, source);
    return true;
}
