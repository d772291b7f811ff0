/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "featurestore/decision_record.h"
#include "server/control/decision_log_internal.h"
#include "server/decide/decision_write.h"
#include "server/metrics.h"

#define SAMPLE_SEED UINT64_C(0x6465636964656421) /* fixed: who is in stays in */

enum { DROPPED_RING_FULL, DROPPED_TOO_LARGE }; /* places in their label list */

/* .ptr NULL: the request names nobody. */
static struct text key_of(const struct request *request)
{
    if (request->user.ptr != NULL)
        return request->user;
    return request->anon.ptr != NULL ? request->anon : request->session;
}

static bool is_sampled(const struct decision_log *log, struct text key)
{
    uint64_t upper_half = hash_text(key, SAMPLE_SEED) >> 32;
    return upper_half * 100 >> 32 < log->percent;
}

/* Whether anything of the person may be kept. */
static bool may_keep(const struct decide_env *env, const struct request *request)
{
    return (store_consent(env->store, request->user, request->anon) & CONSENT_BIT(process)) != 0;
}

bool decision_log_wants(const struct decision_log *log, const struct request *request)
{
    if (log == NULL || log->percent == 0)
        return false;
    struct text key = key_of(request);
    return key.ptr == NULL || is_sampled(log, key);
}

static void drop(struct decision_log *log, struct worker *worker, uint32_t why)
{
    atomic_fetch_add_explicit(&log->dropped, 1, memory_order_relaxed);
    metric_add(worker->metrics, M_DECISION_LOG_DROPPED, why, 0, 1);
}

void decision_log_put(struct decision_log *log, struct worker *worker, const struct decide_env *env,
                      const struct request *request, const struct decision *decision)
{
    if (!decision_log_wants(log, request) || !may_keep(env, request))
        return;
    if (key_of(request).ptr == NULL && !is_sampled(log, text_of(decision->id)))
        return;
    struct arena *arena = &worker->arena;
    size_t mark = arena_mark(arena);
    size_t left = arena->capacity_bytes - arena->used_bytes;
    size_t capacity = left < DECISION_RECORD_BYTES_MAX ? left : DECISION_RECORD_BYTES_MAX;
    struct pack pack = pack_into(arena_alloc(arena, capacity, 1), capacity);
    decision_write(env, request, decision, &pack);
    if (pack.overflow)
        drop(log, worker, DROPPED_TOO_LARGE);
    else if (!ring_put(&log->ring[worker->index], pack.bytes, (uint32_t)pack.used))
        drop(log, worker, DROPPED_RING_FULL);
    else
        metric_add(worker->metrics, M_DECISION_LOG_RECORDS, 0, 0, 1);
    arena_rewind(arena, mark);
}
