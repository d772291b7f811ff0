/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/pages.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/rcu.h"
#include "server/control/pages_internal.h"
#include "server/metrics.h"

#define TEXT_TYPE    "text/plain; charset=utf-8"
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum { DETAIL_BYTES = 320 };

/* Degraded: something is amiss, but decisions go on, so that it is no reason to stay away. */
enum check_result { CHECK_OK, CHECK_DEGRADED, CHECK_FAILED };

struct check {
    const char *name;
    /* Failed when traffic should go elsewhere; `detail` says more whatever the result is. */
    enum check_result (*run)(struct pages *pages, char detail[DETAIL_BYTES]);
};

static enum check_result check_draining(struct pages *pages, char detail[DETAIL_BYTES])
{
    bool leaving = pages->is_leaving(pages->ctx);
    snprintf(detail, DETAIL_BYTES, "%s", leaving ? "the daemon is about to stop" : "no");
    return leaving ? CHECK_FAILED : CHECK_OK;
}

static enum check_result check_snapshot(struct pages *pages, char detail[DETAIL_BYTES])
{
    rcu_read_begin();
    const struct snapshot *snapshot = serving_current(pages->serving);
    if (snapshot == NULL)
        snprintf(detail, DETAIL_BYTES, "no policies are in force yet");
    else
        snprintf(detail, DETAIL_BYTES, "epoch %llu, policies %s, %u models",
                 (unsigned long long)snapshot->epoch, snapshot->policies->version,
                 snapshot->model_count);
    rcu_read_end();
    return snapshot != NULL ? CHECK_OK : CHECK_FAILED;
}

/* Without any the answers are generic or static. */
static enum check_result check_models(struct pages *pages, char detail[DETAIL_BYTES])
{
    rcu_read_begin();
    const struct snapshot *snapshot = serving_current(pages->serving);
    uint32_t count = snapshot == NULL ? 0 : snapshot->model_count;
    rcu_read_end();
    if (count == 0)
        snprintf(detail, DETAIL_BYTES, "none serves, answers are generic%s",
                 pages->ready_without_models ? "" : " (ready_without_models)");
    else
        snprintf(detail, DETAIL_BYTES, "%u serve", count);
    return count > 0 || pages->ready_without_models ? CHECK_OK : CHECK_FAILED;
}

/* A mode is wanted by somebody; it is shown, but is no reason to stay away. */
static enum check_result check_mode(struct pages *pages, char detail[DETAIL_BYTES])
{
    struct mode mode;
    char until[CLOCK_ISO_BYTES];
    modes_get(pages->modes, &mode);
    bool ends = mode.until_ms != 0, has_reason = mode.reason[0] != '\0';
    snprintf(detail, DETAIL_BYTES, "%s%s%s%s%s", level_name(mode.level), ends ? " until " : "",
             ends ? clock_format_iso(mode.until_ms, until) : "", has_reason ? ": " : "",
             mode.reason);
    return CHECK_OK;
}

/* Decisions go on without the model. */
static enum check_result check_breakers(struct pages *pages, char detail[DETAIL_BYTES])
{
    size_t used = 0;
    rcu_read_begin();
    const struct snapshot *snapshot = serving_current(pages->serving);
    const struct model *model = NULL;
    for (uint32_t i = 0; snapshot != NULL && (model = snapshot_model(snapshot, i)) != NULL; i++) {
        if (breaker_is_closed(model->breaker) || used >= DETAIL_BYTES)
            continue;
        used += (size_t)snprintf(detail + used, DETAIL_BYTES - used, "%s%s is %s",
                                 used > 0 ? ", " : "", model->label, breaker_name(model->breaker));
    }
    rcu_read_end();
    if (used == 0)
        snprintf(detail, DETAIL_BYTES, "closed");
    return used == 0 ? CHECK_OK : CHECK_DEGRADED;
}

static enum check_result check_store(struct pages *pages, char detail[DETAIL_BYTES])
{
    struct store_recovery recovery;
    struct err err = {.text = ""};
    store_recovery(pages->store, &recovery, &err);
    if (recovery.state == STORE_RECOVERED)
        snprintf(detail, DETAIL_BYTES, "recovered");
    else if (recovery.state == STORE_RECOVERY_FAILED)
        snprintf(detail, DETAIL_BYTES, "%.300s", err.text);
    else
        snprintf(detail, DETAIL_BYTES, "recovering: record %" PRIu64 " of %" PRIu64 "..%" PRIu64,
                 recovery.at_sequence, recovery.first_sequence, recovery.last_sequence);
    return recovery.state == STORE_RECOVERED ? CHECK_OK : CHECK_FAILED;
}

/* Decisions go on while events are refused. */
static enum check_result check_event_log(struct pages *pages, char detail[DETAIL_BYTES])
{
    struct err err = {.text = ""};
    enum store_durability durability = store_durability(pages->store, &err);
    snprintf(detail, DETAIL_BYTES, "%s%s%.280s", store_durability_name(durability),
             err.text[0] == '\0' ? "" : ", events are refused: ", err.text);
    return err.text[0] == '\0' ? CHECK_OK : CHECK_DEGRADED;
}

/* Decisions go on without their log. */
static enum check_result check_decision_log(struct pages *pages, char detail[DETAIL_BYTES])
{
    struct decision_log_status status;
    if (pages->decision_log == NULL) {
        snprintf(detail, DETAIL_BYTES, "none");
        return CHECK_OK;
    }
    decision_log_status(pages->decision_log, &status);
    bool fine = status.state == DECISION_LOG_ON_DISK;
    snprintf(detail, DETAIL_BYTES, "%s%s%.220s, %" PRIu64 " dropped",
             decision_log_state_name(status.state),
             fine ? "" : ", decisions are not logged: ", status.err.text, status.dropped);
    return fine ? CHECK_OK : CHECK_DEGRADED;
}

/* What stands still may be one of many, but who is connected to it gets no answer. */
static enum check_result check_workers(struct pages *pages, char detail[DETAIL_BYTES])
{
    uint64_t count = metric_value(pages->metrics, M_WORKERS_STILL, 0, 0);
    if (count == 0)
        snprintf(detail, DETAIL_BYTES, "all make progress");
    else
        snprintf(detail, DETAIL_BYTES, "%" PRIu64 " of the request socket stand%s still", count,
                 count == 1 ? "s" : "");
    return count == 0 ? CHECK_OK : CHECK_FAILED;
}

static const struct check checks[] = {
    {"store", check_store},
    {"event_log", check_event_log},
    {"decision_log", check_decision_log},
    {"snapshot", check_snapshot},
    {"models", check_models},
    {"workers", check_workers},
    {"draining", check_draining},
    {"mode", check_mode},
    {"breakers", check_breakers},
};

/* In etcd's form, with a sign of its own for what is degraded. */
static bool run_checks(struct pages *pages, bool verbose, struct buffer *buffer)
{
    static const char *const signs[] = {"[+]", "[!]", "[-]"};
    static const char *const words[] = {" ok: ", " degraded: ", " failed: "};
    bool ready = true;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        char detail[DETAIL_BYTES];
        enum check_result result = checks[i].run(pages, detail);
        ready = ready && result != CHECK_FAILED;
        if (!verbose && result != CHECK_FAILED)
            continue;
        buffer_put_str(buffer, signs[result]);
        buffer_put_str(buffer, checks[i].name);
        buffer_put_str(buffer, words[result]);
        buffer_put_str(buffer, detail);
        buffer_put_char(buffer, '\n');
    }
    if (verbose)
        pages_put_models(pages, buffer);
    buffer_put_str(buffer, ready ? "ok\n" : "readyz check failed\n");
    return ready;
}

/* "verbose", "a=b&verbose", "verbose=1" */
static bool has_verbose(const char *query)
{
    while (true) {
        size_t len = strcspn(query, "=&");
        if (len == strlen("verbose") && memcmp(query, "verbose", len) == 0)
            return true;
        query += strcspn(query, "&");
        if (*query == '\0')
            return false;
        query++;
    }
}

static void put_text(struct page *page, int status, struct buffer *buffer)
{
    page->status = status;
    page->content_type = TEXT_TYPE;
    page->body = buffer_take(buffer, &page->body_bytes);
}

static void put_metrics(struct pages *pages, struct page *page)
{
    struct buffer unused = {0};
    bool ready = run_checks(pages, false, &unused);
    buffer_deinit(&unused);
    pages_set_gauges(pages, ready);
    page->status = 200;
    page->content_type = METRICS_TYPE;
    page->body = NULL;
    if (metrics_render(pages->metrics, &page->body, &page->body_bytes, NULL) != ERR_OK)
        page->status = 500;
}

bool pages_get(struct pages *pages, const char *path, const char *query, struct page *ret_page)
{
    struct buffer buffer = {0};
    if (strcmp(path, "/livez") == 0) {
        buffer_put_str(&buffer, "ok\n");
        put_text(ret_page, 200, &buffer);
    } else if (strcmp(path, "/readyz") == 0) {
        bool ready = run_checks(pages, has_verbose(query), &buffer);
        put_text(ret_page, ready ? 200 : 503, &buffer);
    } else if (strcmp(path, "/metrics") == 0) {
        put_metrics(pages, ret_page);
    } else {
        return false;
    }
    return true;
}
