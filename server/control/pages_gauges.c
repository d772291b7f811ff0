/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "base/rcu.h"
#include "server/control/pages.h"
#include "server/control/process_stats.h"
#include "server/metrics.h"

enum { EVENTS_ACCEPTED, EVENTS_DUPLICATE, EVENTS_REJECTED }; /* places in their label lists */
enum { ERASURES_ASKED, ERASURES_DONE };
enum { PEOPLE_USER, PEOPLE_ANON };
enum { LOG_USED, LOG_LIMIT };
enum { COMMITS_OK, COMMITS_FAILED };
enum { BY_EXACT, BY_INDEX };
enum { PART_ITEMS, PART_PEOPLE, PART_COUNTS, PART_FEATURES, PART_SPARE };

static void set(const struct pages *pages, enum server_metric metric, uint32_t label, double value)
{
    metric_set(pages->metrics, metric, label, 0, value);
}

/* How far back duplicates are recognised. */
static double dedup_coverage_s(const struct pages *pages, int64_t oldest_ms)
{
    int64_t age_ms = clock_wall_ms(pages->clock) - oldest_ms;
    return oldest_ms == 0 || age_ms < 0 ? 0.0 : (double)age_ms / 1000.0;
}

static void set_store(const struct pages *pages)
{
    struct store_stats stats;
    store_stats(pages->store, &stats);
    set(pages, M_EVENTS, EVENTS_ACCEPTED, (double)stats.events_accepted);
    set(pages, M_EVENTS, EVENTS_DUPLICATE, (double)stats.events_duplicate);
    set(pages, M_EVENTS, EVENTS_REJECTED, (double)stats.events_rejected);
    set(pages, M_EVENT_FIELDS_DROPPED, 0, (double)stats.fields_dropped);
    set(pages, M_DEDUP_COVERAGE, 0, dedup_coverage_s(pages, stats.dedup_oldest_ms));
    set(pages, M_EVENT_QUEUE, 0, (double)stats.queue_events);
    set(pages, M_ITEMS, 0, (double)stats.items);
    set(pages, M_CATALOGUE_ITEMS, 0, (double)stats.catalogue_items);
    set(pages, M_PEOPLE, PEOPLE_USER, (double)stats.users);
    set(pages, M_PEOPLE, PEOPLE_ANON, (double)stats.anons);
    set(pages, M_STORE_BYTES, PART_ITEMS, (double)stats.bytes_items);
    set(pages, M_STORE_BYTES, PART_PEOPLE, (double)stats.bytes_people);
    set(pages, M_STORE_BYTES, PART_COUNTS, (double)stats.bytes_counts);
    set(pages, M_STORE_BYTES, PART_FEATURES, (double)stats.bytes_features);
    set(pages, M_STORE_BYTES, PART_SPARE, (double)stats.bytes_spare);
    set(pages, M_FEATURE_ROWS, 0, (double)stats.feature_rows);
    set(pages, M_FEATURES_DROPPED, 0, (double)stats.features_dropped);
    set(pages, M_EVENT_WATERMARK, 0, (double)store_watermark_ms(pages->store) / 1000.0);
}

static void set_log(const struct pages *pages)
{
    enum store_durability durability = store_durability(pages->store, NULL);
    for (uint32_t i = STORE_IN_MEMORY; i <= STORE_LOG_FAILED; i++)
        set(pages, M_DURABILITY, i, i == (uint32_t)durability);
    if (store_log(pages->store) == NULL)
        return;
    struct event_log_stats stats;
    event_log_stats(store_log(pages->store), &stats);
    set(pages, M_LOG_SEQUENCE, 0, (double)stats.last_sequence);
    set(pages, M_LOG_BYTES, LOG_USED, (double)stats.bytes_used);
    set(pages, M_LOG_BYTES, LOG_LIMIT, (double)stats.bytes_max);
    set(pages, M_LOG_GATHERED, 0, (double)stats.gathered);
    set(pages, M_LOG_COMMITS, COMMITS_OK, (double)stats.commits);
    set(pages, M_LOG_COMMITS, COMMITS_FAILED, (double)stats.commit_failures);
    set(pages, M_LOG_COMMIT_SECONDS, 0, (double)stats.commit_ns / 1e9);
    set(pages, M_LOG_PRUNED, 0, (double)stats.pruned);
    set(pages, M_LOG_EXPIRED, 0, (double)stats.expired);
    set(pages, M_LOG_OLDEST, 0, (double)stats.first_arrival_ms / 1000.0);
}

static void set_decision_log(const struct pages *pages)
{
    struct event_log_stats stats;
    struct decision_log_status status;
    if (pages->decision_log == NULL)
        return;
    decision_log_status(pages->decision_log, &status);
    for (uint32_t i = DECISION_LOG_ON_DISK; i <= DECISION_LOG_FAILED; i++)
        set(pages, M_DECISION_LOG_STATE, i, i == (uint32_t)status.state);
    set(pages, M_DECISION_LOG_COMMITTED, 0, (double)status.committed_ms / 1000.0);
    event_log_stats(decision_log_disk(pages->decision_log), &stats);
    set(pages, M_DECISION_LOG_BYTES, LOG_USED, (double)stats.bytes_used);
    set(pages, M_DECISION_LOG_BYTES, LOG_LIMIT, (double)stats.bytes_max);
    set(pages, M_DECISION_LOG_COMMITS, COMMITS_OK, (double)stats.commits);
    set(pages, M_DECISION_LOG_COMMITS, COMMITS_FAILED, (double)stats.commit_failures);
    set(pages, M_DECISION_LOG_PRUNED, 0, (double)stats.pruned);
    set(pages, M_DECISION_LOG_OLDEST, 0, (double)stats.first_arrival_ms / 1000.0);
}

static void set_audit(const struct pages *pages)
{
    struct audit_stats stats;
    if (pages->audit == NULL)
        return;
    audit_stats(pages->audit, &stats);
    set(pages, M_AUDIT_SEQUENCE, 0, (double)stats.head.sequence);
    set(pages, M_AUDIT_FAILURES, 0, (double)stats.failures);
}

static void set_erasures(const struct pages *pages)
{
    struct erasure_stats stats;
    struct erasure_status status;
    if (pages->erasure == NULL)
        return;
    store_erasure_stats(pages->store, &stats);
    erasure_status(pages->erasure, &status);
    set(pages, M_ERASURES, ERASURES_ASKED, (double)stats.last_request);
    set(pages, M_ERASURES, ERASURES_DONE, (double)stats.done_request);
    set(pages, M_ERASURE_IDS, 0, (double)stats.pending);
    set(pages, M_ERASURE_FAILURES, 0, (double)status.failures);
}

static void set_checkpoints(const struct pages *pages)
{
    struct store_checkpoint_stats stats;
    store_checkpoint_stats(pages->store, &stats);
    set(pages, M_CHECKPOINTS, 0, (double)stats.written);
    set(pages, M_CHECKPOINT_FAILURES, 0, (double)stats.failures);
    set(pages, M_CHECKPOINT_SEQUENCE, 0, (double)stats.sequence);
    set(pages, M_CHECKPOINT_BYTES, 0, (double)stats.bytes);
    set(pages, M_CHECKPOINT_SECONDS, 0, (double)stats.took_ms / 1e3);
}

static void set_breakers(const struct pages *pages)
{
    uint32_t open = 0;
    rcu_read_begin();
    const struct snapshot *snapshot = serving_current(pages->serving);
    const struct model *model = NULL;
    for (uint32_t i = 0; snapshot != NULL && (model = snapshot_model(snapshot, i)) != NULL; i++)
        open += !breaker_is_closed(model->breaker);
    rcu_read_end();
    set(pages, M_BREAKERS_OPEN, 0, open);
}

/* Of all models that serve; `status` tells each by itself. */
static void set_retrieval(const struct pages *pages)
{
    uint32_t count[2] = {0};
    double recall = 1.0;
    uint64_t build_ns = 0, bytes = 0;
    rcu_read_begin();
    const struct snapshot *snapshot = serving_current(pages->serving);
    const struct model *model = NULL;
    for (uint32_t i = 0; snapshot != NULL && (model = snapshot_model(snapshot, i)) != NULL; i++) {
        struct factors_retrieval retrieval;
        if (!model_has_vectors(model))
            continue;
        factors_retrieval(model->as.factors, &retrieval);
        count[retrieval.is_exact ? BY_EXACT : BY_INDEX]++;
        recall = retrieval.recall < recall ? retrieval.recall : recall;
        build_ns = retrieval.build_ns > build_ns ? retrieval.build_ns : build_ns;
        bytes += retrieval.bytes;
    }
    rcu_read_end();
    set(pages, M_RETRIEVAL_MODELS, BY_EXACT, count[BY_EXACT]);
    set(pages, M_RETRIEVAL_MODELS, BY_INDEX, count[BY_INDEX]);
    set(pages, M_RETRIEVAL_RECALL, 0, recall);
    set(pages, M_RETRIEVAL_BUILD, 0, (double)build_ns / 1e9);
    set(pages, M_RETRIEVAL_BYTES, 0, (double)bytes);
}

static void set_process(const struct pages *pages)
{
    struct process_stats stats;
    process_stats_read(&stats);
    set(pages, M_PROCESS_CPU, 0, stats.cpu_s);
    set(pages, M_PROCESS_OPEN_FDS, 0, (double)stats.open_fds);
    set(pages, M_PROCESS_MAX_FDS, 0, (double)stats.max_fds);
    set(pages, M_PROCESS_VIRTUAL_BYTES, 0, (double)stats.virtual_bytes);
    set(pages, M_PROCESS_RESIDENT_BYTES, 0, (double)stats.resident_bytes);
    set(pages, M_PROCESS_START_TIME, 0, (double)pages->started_ms / 1000.0);
    set(pages, M_PROCESS_THREADS, 0, (double)stats.threads);
}

void pages_set_gauges(struct pages *pages, bool is_ready)
{
    enum level floor = modes_floor(pages->modes, clock_now_ns(pages->clock));
    for (uint32_t i = 0; i < LEVEL_COUNT; i++)
        set(pages, M_MODE_FLOOR, i, i == (uint32_t)floor);
    for (uint32_t i = LOG_DEBUG; i <= LOG_ERROR; i++)
        set(pages, M_LOG_LINES, i, (double)log_written_lines((enum log_level)i));
    set(pages, M_LOG_DROPPED, 0, (double)log_dropped_lines());
    set(pages, M_BUILD_INFO, 0, 1);
    set(pages, M_READY, 0, is_ready);
    set(pages, M_DRAINING, 0, pages->is_leaving(pages->ctx));
    set_store(pages);
    set_log(pages);
    set_decision_log(pages);
    set_audit(pages);
    set_erasures(pages);
    set_checkpoints(pages);
    set_breakers(pages);
    set_retrieval(pages);
    set_process(pages);
}
