/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/admission.h"

enum {
    WINDOW_NS = 100000000,
    WINDOW_REQUESTS = 16, /* fewer say little... */
    WINDOWS_MAX = 10,     /* ...and this many without them are as good as idle */
    NEARLY = 10,          /* a tenth may differ */
    EVENTS_SHARE = 2,
    UPLOADS_SHARE = 4
};

static void judge_window(struct queue_delay *queue)
{
    uint32_t late = queue->count - queue->prompt_count;
    if (queue->prompt_count <= queue->count / NEARLY) {
        if (queue->overload < OVERLOAD_REFUSING)
            queue->overload++;
    } else if (late <= queue->count / NEARLY && queue->overload > OVERLOAD_FINE) {
        queue->overload--;
    }
}

void admission_note(const struct admission *admission, struct queue_delay *queue, uint64_t now_ns,
                    uint64_t waited_ns)
{
    uint64_t age_ns = now_ns - queue->window_began_ns;
    bool idle = age_ns >= (uint64_t)WINDOWS_MAX * WINDOW_NS;
    if (idle)
        queue->overload = OVERLOAD_FINE;
    else if (age_ns >= WINDOW_NS && queue->count >= WINDOW_REQUESTS)
        judge_window(queue);
    if (idle || (age_ns >= WINDOW_NS && queue->count >= WINDOW_REQUESTS)) {
        queue->count = queue->prompt_count = 0;
        queue->window_began_ns = now_ns;
    }
    queue->count++;
    queue->prompt_count += waited_ns <= admission->target_ns;
}

/* How long a request of that sort may have waited; 0: as long as it likes. */
static uint64_t patience_ns(const struct admission *admission, enum op op)
{
    switch (op) {
    case OP_recommend:
    case OP_similar:
    case OP_rank:
    case OP_price:
    case OP_decide:
    case OP_features: return admission->max_ns;
    case OP_events: return admission->max_ns / EVENTS_SHARE;
    case OP_release_begin:
    case OP_release_commit:
    case OP_model_begin:
    case OP_model_chunk:
    case OP_model_commit: return admission->max_ns / UPLOADS_SHARE;
    default: return 0;
    }
}

struct admission_verdict admission_judge(const struct admission *admission, enum op op,
                                         enum overload overload, uint64_t waited_ns)
{
    static const enum level floors[] = {LEVEL_full, LEVEL_reduced, LEVEL_cached, LEVEL_cached};
    struct admission_verdict verdict = {.floor = LEVEL_full};
    if (admission->target_ns == 0)
        return verdict;
    uint64_t patience = patience_ns(admission, op);
    verdict.floor = floors[overload];
    if (overload != OVERLOAD_FINE && waited_ns > admission->target_ns)
        verdict.floor = LEVEL_cached;
    verdict.refused = overload == OVERLOAD_REFUSING && patience > 0 && waited_ns > patience;
    verdict.retry_after_ms = WINDOW_NS / 1000000; /* by then another window has been judged */
    return verdict;
}
