/* SPDX-License-Identifier: Apache-2.0 */
/* decided - starts the parts of the daemon one after the other, serves, and stops them in reverse.
 * What each part does is in its own files; this one is the order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/rand.h"
#include "featurestore/definitions.h"
#include "server/control/command_line.h"
#include "server/control/decision_log.h"
#include "server/control/handover.h"
#include "server/control/lifecycle.h"
#include "server/control/notify.h"
#include "server/control/pages.h"
#include "server/metrics.h"
#include "server/transport/http_server.h"
#include "server/transport/request_sockets.h"

struct daemon {
    const struct clock *clock;
    struct config *config;
    char *const *argv;
    int lock_fd;
    struct handover_parent parent; /* who started this process to take over, if anybody did */
    struct handover_gift gift;     /* what is left of what it gave */
    struct successor *successor;
    struct metrics *metrics;
    struct store *store;
    struct answers *answers;
    struct decision_log *decision_log; /* NULL: none */
    struct workers *workers;
    struct serving serving;
    struct registry *registry;
    struct model_ops *model_ops;
    struct modes modes;
    struct access access;
    struct admission admission;
    struct jobs *jobs, *maintenance;
    struct reload reload;
    struct lifecycle *lifecycle;
    struct service *service;
    struct pages pages;
    struct request_sockets_options sockets_options;
    uint32_t worker_count; /* those of the request sockets, and the one of the event loop */
    struct request_sockets *sockets;
    struct http_server *http;
};

/* ---- what the parts ask of each other -------------------------------------------------------- */

static struct worker *claim_worker(void *ctx)
{
    return workers_claim(ctx);
}

static bool is_leaving(void *ctx)
{
    return lifecycle_is_leaving(ctx);
}

static bool get_page(void *ctx, const char *path, const char *query, struct http_page *ret_page)
{
    struct page page;
    if (!pages_get(ctx, path, query, &page))
        return false;
    *ret_page = (struct http_page){page.status, page.content_type, page.body, page.body_bytes};
    return true;
}

static void refuse_new(void *ctx)
{
    struct daemon *daemon = ctx;
    if (daemon->sockets != NULL)
        request_sockets_refuse_new(daemon->sockets);
    http_server_refuse_new(daemon->http);
}

static uint32_t in_flight(void *ctx)
{
    struct daemon *daemon = ctx;
    uint32_t in_sockets = daemon->sockets == NULL ? 0 : request_sockets_in_flight(daemon->sockets);
    return in_sockets + http_server_in_flight(daemon->http);
}

static bool are_alive(void *ctx)
{
    struct daemon *daemon = ctx;
    return daemon->sockets == NULL ||
           request_sockets_are_alive(daemon->sockets, clock_now_ns(daemon->clock));
}

/* ---- starting -------------------------------------------------------------------------------- */

static enum err_code check_libraries(struct err *err)
{
    model_use_one_blas_thread();
    if (!model_blas_is_thread_safe())
        return err_set(err, ERR_UNSUPPORTED,
                       "OpenBLAS is its serial variant, which is not thread-safe: install "
                       "libopenblas0-pthread and select it (update-alternatives)");
    return ERR_OK;
}

static bool is_heir(const struct daemon *daemon)
{
    return daemon->parent.fd >= 0;
}

static enum err_code take_data_dir(struct daemon *daemon, struct err *err)
{
    if (is_heir(daemon)) {
        daemon->lock_fd = daemon->gift.data_lock_fd;
        daemon->gift.data_lock_fd = -1;
        return ERR_OK;
    }
    enum err_code rc = file_make_dir(daemon->config->data_dir, err);
    return rc == ERR_OK ? file_lock_dir(daemon->config->data_dir, "lock", &daemon->lock_fd, err)
                        : rc;
}

static enum err_code open_log(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->config;
    char dir[FILE_PATH_BYTES];
    struct event_log_options options = {
        .dir = dir,
        .bytes_max = (uint64_t)config->event_log_bytes_max,
        .retain_ms = config->event_log_days * INT64_C(86400000),
        .disk_reserve_bytes = (uint64_t)config->disk_reserve_bytes,
        .clock = daemon->clock,
    };
    char checkpoint_dir[FILE_PATH_BYTES];
    struct store_checkpoint_options checkpoints = {
        .dir = checkpoint_dir,
        .events = (uint64_t)config->checkpoint_events,
        .interval_ms = (uint64_t)config->checkpoint_interval_s * 1000,
    };
    enum err_code rc = file_join(config->data_dir, "events", dir, sizeof dir, err);
    if (rc == ERR_OK)
        rc = file_join(config->data_dir, "checkpoints", checkpoint_dir, sizeof checkpoint_dir, err);
    return rc == ERR_OK ? store_open_log(daemon->store, &options, &checkpoints, err) : rc;
}

static enum err_code define_features(struct daemon *daemon, struct err *err)
{
    struct definitions *definitions = NULL;
    enum err_code rc = reload_features(daemon->config->features, &definitions, err);
    if (rc == ERR_OK)
        rc = store_define_features(daemon->store, &definitions, err);
    definitions_destroy(&definitions);
    return rc;
}

static uint8_t consent_denied(const char *consent_default)
{
    if (strcmp(consent_default, "allow") == 0)
        return 0;
    return strcmp(consent_default, "deny") == 0 ? CONSENT_ALL : CONSENT_ALL & ~CONSENT_BIT(process);
}

static enum err_code start_store(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->config;
    struct store_limits limits = {
        .items_max = (uint32_t)config->items_max,
        .people_max = (uint32_t)config->people_max,
        .history_items_max = (uint32_t)config->history_items_max,
        .queue_events_max = (uint32_t)config->queue_events_max,
        .dedup_events_max = (uint32_t)config->dedup_events_max,
        .dedup_window_s = (uint32_t)config->dedup_hours * 3600,
        .link_anons_max = (uint32_t)config->identity_anons_max,
        .link_users_max = (uint32_t)config->identity_users_max,
        .link_window_s = (uint32_t)config->identity_days * 86400,
        .consent_denied = consent_denied(config->consent_default),
        .prices_max = (uint32_t)config->price_history_max,
        .event_age_ms_max = config->event_age_hours_max * INT64_C(3600000),
        .feature_rows_max = (uint32_t)config->feature_rows_max,
    };
    enum err_code rc = store_create(&limits, daemon->clock, &daemon->store, err);
    if (rc == ERR_OK)
        rc = define_features(daemon, err);
    if (rc == ERR_OK && config->event_log_bytes_max > 0)
        rc = open_log(daemon, err);
    if (rc == ERR_OK && is_heir(daemon) && config->event_log_bytes_max > 0)
        store_follow(daemon->store);
    return rc == ERR_OK ? store_start(daemon->store, err) : rc;
}

/* How many threads will answer is known from the configuration alone. */
static void plan_sockets(struct daemon *daemon)
{
    const struct config *config = daemon->config;
    daemon->sockets_options = (struct request_sockets_options){
        .addresses = (const char *const *)config->listen.ptr,
        .address_count = config->listen.count,
        .native_workers = (uint32_t)config->workers,
        .message_bytes_max = (uint32_t)config->message_bytes_max,
        .connections_max = (uint32_t)config->connections_max,
        .contexts = (uint32_t)config->contexts,
        .send_timeout_ms = (uint32_t)config->send_timeout_ms,
        .tls_certificate_file = config->tls_certificate_file,
        .call = service_call,
        .claim_worker = claim_worker,
        .clock = daemon->clock,
    };
    daemon->worker_count = request_sockets_worker_count(&daemon->sockets_options) + 1;
}

static enum err_code start_workers(struct daemon *daemon, struct err *err)
{
    enum err_code rc = answers_create((uint32_t)daemon->config->answers_max, &daemon->answers, err);
    if (rc == ERR_OK)
        rc = workers_create(daemon->worker_count, daemon->metrics, daemon->clock,
                            rand_seed_system(), &daemon->workers, err);
    return rc;
}

static enum err_code create_decision_log(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->config;
    char dir[FILE_PATH_BYTES];
    struct decision_log_options options = {
        .disk = {.dir = dir,
                 .bytes_max = (uint64_t)config->decision_log_bytes_max,
                 .retain_ms = config->decision_log_days * INT64_C(86400000),
                 .disk_reserve_bytes = (uint64_t)config->disk_reserve_bytes,
                 .clock = daemon->clock},
        .percent = (uint32_t)config->decision_log_percent,
        .worker_count = daemon->worker_count,
    };
    if (config->decision_log_bytes_max == 0)
        return ERR_OK;
    enum err_code rc = file_join(config->data_dir, "decisions", dir, sizeof dir, err);
    return rc == ERR_OK ? decision_log_create(&options, &daemon->decision_log, err) : rc;
}

static enum err_code start_registry(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->config;
    struct text *static_ids = NULL;
    enum err_code rc = reload_static_ids(&config->static_items, &static_ids, err);
    if (rc != ERR_OK)
        return rc;
    struct registry_options options = {
        .models_dir = config->models_dir,
        .policies_path = config->policies[0] == '\0' ? NULL : config->policies,
        .static_ids = static_ids,
        .static_count = config->static_items.count,
        .worker_count = daemon->worker_count,
        .rescan_ms = (uint64_t)config->models_rescan_ms,
        .store = daemon->store,
        .serving = &daemon->serving,
        .metrics = daemon->metrics,
        .clock = daemon->clock,
        .inherited_lock_fd = daemon->gift.models_lock_fd,
    };
    daemon->gift.models_lock_fd = -1;
    rc = registry_create(&options, &daemon->registry, err);
    free(static_ids);
    if (rc == ERR_OK)
        rc = registry_start(daemon->registry, err);
    if (rc == ERR_OK)
        rc = model_ops_create(config->models_dir, daemon->registry, daemon->clock,
                              &daemon->model_ops, err);
    return rc;
}

static enum err_code start_control(struct daemon *daemon, const struct config_source *source,
                                   struct err *err)
{
    struct access_token token = {0};
    struct err warning;
    enum err_code rc = access_read_token(daemon->config->admin_token_file, &token, err);
    if (rc == ERR_OK)
        rc = modes_init(&daemon->modes, daemon->config->data_dir, daemon->clock, &warning, err);
    if (rc == ERR_OK)
        rc = jobs_create(&daemon->jobs, err);
    if (rc == ERR_OK)
        rc = jobs_start(daemon->jobs, err);
    if (rc == ERR_OK)
        rc = jobs_create(&daemon->maintenance, err);
    if (rc == ERR_OK)
        rc = jobs_start(daemon->maintenance, err);
    if (rc != ERR_OK)
        return rc;
    if (warning.code != ERR_OK)
        log_at(LOG_WARN, "the mode of before is lost", LOG_STR("error", warning.text));
    access_init(&daemon->access, &token);
    daemon->reload = (struct reload){
        .source = *source,
        .running = daemon->config,
        .access = &daemon->access,
        .registry = daemon->registry,
        .store = daemon->store,
        .metrics = daemon->metrics,
        .clock = daemon->clock,
    };
    reload_mark_success(&daemon->reload);
    return ERR_OK;
}

static enum err_code start_service(struct daemon *daemon, struct err *err)
{
    daemon->admission = (struct admission){
        .target_ns = (uint64_t)daemon->config->queue_delay_target_us * 1000,
        .max_ns = (uint64_t)daemon->config->queue_delay_max_us * 1000,
    };
    struct service_options options = {
        .store = daemon->store,
        .serving = &daemon->serving,
        .answers = daemon->answers,
        .decision_log = daemon->decision_log,
        .modes = &daemon->modes,
        .access = &daemon->access,
        .admission = &daemon->admission,
        .latency_target_ns = (uint64_t)daemon->config->latency_target_us * 1000,
        .model_slow_ns = (uint64_t)daemon->config->model_slow_us * 1000,
        .events_strict = strcmp(daemon->config->events_mode, "strict") == 0,
        .jobs = daemon->jobs,
        .maintenance = daemon->maintenance,
        .reload = &daemon->reload,
        .model_ops = daemon->model_ops,
        .metrics = daemon->metrics,
        .clock = daemon->clock,
        .drain = lifecycle_drain,
        .restart = lifecycle_restart,
        .lifecycle = daemon->lifecycle,
    };
    daemon->pages = (struct pages){
        .store = daemon->store,
        .decision_log = daemon->decision_log,
        .serving = &daemon->serving,
        .modes = &daemon->modes,
        .metrics = daemon->metrics,
        .clock = daemon->clock,
        .is_leaving = is_leaving,
        .ctx = daemon->lifecycle,
        .started_ms = clock_wall_ms(daemon->clock),
    };
    metric_set(daemon->metrics, M_WORK_FACTOR, 0, 0, 1);
    return service_create(&options, &daemon->service, err);
}

/* Peers are let in once the store knows what it knew. */
static enum err_code start_sockets(struct daemon *daemon, struct err *err)
{
    struct request_sockets_options *options = &daemon->sockets_options;
    options->service = daemon->service;
    options->claim_ctx = daemon->workers;
    options->metrics = daemon->metrics;
    int inherited[REQUEST_SOCKETS_ADDRESSES_MAX];
    for (uint32_t i = 0; i < options->address_count; i++)
        inherited[i] = handover_gift_take(&daemon->gift, options->addresses[i]);
    options->inherited_fds = inherited;
    enum err_code rc = request_sockets_start(options, &daemon->sockets, err);
    for (uint32_t i = 0; rc == ERR_OK && i < request_sockets_address_count(daemon->sockets); i++)
        log_at(LOG_INFO, "listening",
               LOG_STR("address", request_sockets_address(daemon->sockets, i)));
    return rc;
}

static enum err_code start_http(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->config;
    char url[300];
    struct http_server_options options = {
        .address = config->http,
        .inherited_fd = handover_gift_take(&daemon->gift, config->http),
        .body_bytes_max = (uint32_t)config->http_body_bytes_max,
        .connections_max = (uint32_t)config->http_connections_max,
        .request_timeout_ms = (uint32_t)config->http_request_timeout_ms,
        .idle_timeout_ms = (uint32_t)config->http_idle_timeout_ms,
        .call = service_call,
        .service = daemon->service,
        .worker = workers_claim(daemon->workers),
        .page = get_page,
        .page_ctx = &daemon->pages,
        .metrics = daemon->metrics,
        .clock = daemon->clock,
    };
    enum err_code rc =
        http_server_create(lifecycle_base(daemon->lifecycle), &options, &daemon->http, err);
    if (rc != ERR_OK)
        return rc;
    snprintf(url, sizeof url, "http://%s", http_server_address(daemon->http));
    log_at(LOG_INFO, "listening", LOG_STR("address", url));
    return ERR_OK;
}

static void add_socket(struct handover_gift *gift, const char *address, int fd)
{
    if (fd < 0)
        return;
    gift->socket[gift->socket_count].fd = fd;
    snprintf(gift->socket[gift->socket_count].address, HANDOVER_ADDRESS_BYTES, "%s", address);
    gift->socket_count++;
}

/* What a successor gets. */
static void fill_gift(void *ctx, struct handover_gift *gift)
{
    struct daemon *daemon = ctx;
    const struct request_sockets_options *options = &daemon->sockets_options;
    uint32_t native = 0;
    gift->data_lock_fd = daemon->lock_fd;
    gift->models_lock_fd = registry_lock_fd(daemon->registry);
    add_socket(gift, daemon->config->http, http_server_listener_fd(daemon->http));
    for (uint32_t i = 0; i < options->address_count; i++)
        if (request_sockets_is_native(options->addresses[i]))
            add_socket(gift, options->addresses[i],
                       request_sockets_listener_fd(daemon->sockets, native++));
}

static enum err_code start_successor(struct daemon *daemon, struct err *err)
{
    struct successor_options options = {
        .base = lifecycle_base(daemon->lifecycle),
        .argv = daemon->argv,
        .fill_gift = fill_gift,
        .gift_ctx = daemon,
        .on_ready = lifecycle_hand_over,
        .ready_ctx = daemon->lifecycle,
    };
    return successor_create(&options, &daemon->successor, err);
}

static enum err_code start(struct daemon *daemon, const struct config_source *source,
                           struct err *err)
{
    plan_sockets(daemon);
    enum err_code rc = check_libraries(err);
    if (rc == ERR_OK)
        rc = take_data_dir(daemon, err);
    if (rc == ERR_OK)
        rc = metrics_create(server_metric_families, M_COUNT, 2 * daemon->worker_count,
                            &daemon->metrics, err);
    if (rc == ERR_OK)
        rc = lifecycle_create(&daemon->lifecycle, err);
    if (rc == ERR_OK)
        rc = start_store(daemon, err);
    if (rc == ERR_OK)
        rc = start_workers(daemon, err);
    if (rc == ERR_OK)
        rc = create_decision_log(daemon, err);
    if (rc == ERR_OK)
        rc = start_registry(daemon, err);
    if (rc == ERR_OK)
        rc = start_control(daemon, source, err);
    if (rc == ERR_OK)
        rc = start_service(daemon, err);
    if (rc == ERR_OK)
        rc = start_successor(daemon, err);
    /* An heir must not take connections that are meant for whom it follows. */
    if (rc == ERR_OK && !is_heir(daemon))
        rc = start_http(daemon, err);
    return rc;
}

/* True while another process still serves, which started this one. */
static bool must_wait(struct daemon *daemon, enum store_recovery_state state)
{
    if (!is_heir(daemon) || daemon->parent.has_released)
        return false;
    if (state != STORE_RECOVERING)
        handover_tell_ready(&daemon->parent);
    if (!handover_is_released(&daemon->parent))
        return true;
    store_end_follow(daemon->store);
    return store_log(daemon->store) != NULL; /* what is left is replayed first */
}

static enum lifecycle_opening open_sockets(void *ctx, struct err *err)
{
    struct daemon *daemon = ctx;
    struct store_recovery recovery;
    store_recovery(daemon->store, &recovery, err);
    if (must_wait(daemon, recovery.state))
        return LIFECYCLE_TOO_EARLY;
    switch (recovery.state) {
    case STORE_RECOVERING:
    case STORE_FOLLOWING: return LIFECYCLE_TOO_EARLY;
    case STORE_RECOVERY_FAILED: return LIFECYCLE_CANNOT_OPEN;
    case STORE_RECOVERED: break;
    }
    if (recovery.last_sequence > 0)
        log_at(LOG_INFO, "recovered", LOG_INT("checkpoint", (int64_t)recovery.checkpoint_sequence),
               LOG_INT("first", (int64_t)recovery.first_sequence),
               LOG_INT("last", (int64_t)recovery.at_sequence),
               LOG_INT("refused", (int64_t)recovery.refused));
    enum err_code rc = ERR_OK;
    if (daemon->decision_log != NULL) /* nobody else writes it any more */
        rc = decision_log_start(daemon->decision_log, err);
    if (rc == ERR_OK && is_heir(daemon))
        rc = start_http(daemon, err);
    if (rc == ERR_OK)
        rc = start_sockets(daemon, err);
    handover_gift_close(&daemon->gift); /* sockets that are not configured any more */
    handover_parent_close(&daemon->parent);
    return rc == ERR_OK ? LIFECYCLE_OPEN : LIFECYCLE_CANNOT_OPEN;
}

static enum err_code serve(struct daemon *daemon, struct err *err)
{
    struct lifecycle_options options = {
        .clock = daemon->clock,
        .drain_delay_ms = (uint32_t)daemon->config->drain_delay_ms,
        .drain_timeout_ms = (uint32_t)daemon->config->drain_timeout_ms,
        .service = daemon->service,
        .modes = &daemon->modes,
        .jobs = daemon->jobs,
        .reload = &daemon->reload,
        .model_ops = daemon->model_ops,
        .refuse_new = refuse_new,
        .in_flight = in_flight,
        .are_alive = are_alive,
        .open = open_sockets,
        .successor = daemon->successor,
        .transports = daemon,
    };
    return lifecycle_run(daemon->lifecycle, &options, err);
}

/* ---- stopping; fine after a start that failed half-way ----------------------------------------
 */

static void stop(struct daemon *daemon)
{
    /* First the threads that complete calls, while the transports are there to take them. */
    if (daemon->jobs != NULL)
        jobs_stop(daemon->jobs);
    if (daemon->maintenance != NULL)
        jobs_stop(daemon->maintenance);
    if (daemon->registry != NULL)
        registry_stop(daemon->registry);
    if (daemon->store != NULL)
        store_stop(daemon->store);
    request_sockets_destroy(&daemon->sockets);
    http_server_destroy(&daemon->http);
    /* Nobody decides or asks about the logs any more. */
    if (daemon->decision_log != NULL)
        decision_log_stop(daemon->decision_log);
    if (daemon->store != NULL)
        store_close_log(daemon->store);
    if (daemon->successor != NULL)
        successor_release(daemon->successor);
    service_destroy(&daemon->service);
    jobs_destroy(&daemon->jobs);
    jobs_destroy(&daemon->maintenance);
    access_deinit(&daemon->access);
    modes_deinit(&daemon->modes);
    model_ops_destroy(&daemon->model_ops);
    registry_destroy(&daemon->registry);
    decision_log_destroy(&daemon->decision_log);
    workers_destroy(&daemon->workers);
    answers_destroy(&daemon->answers);
    store_destroy(&daemon->store);
    successor_destroy(&daemon->successor);
    lifecycle_destroy(&daemon->lifecycle);
    handover_gift_close(&daemon->gift);
    handover_parent_close(&daemon->parent);
    metrics_destroy(&daemon->metrics);
    if (daemon->lock_fd >= 0)
        close(daemon->lock_fd);
}

static int run(struct config *config, const struct config_source *source, char *const *argv)
{
    struct daemon daemon = {.clock = clock_system(), .config = config, .lock_fd = -1, .argv = argv};
    struct err err = {.text = ""};
    enum err_code rc = handover_take(&daemon.parent, &daemon.gift, &err);
    if (rc == ERR_OK)
        rc = start(&daemon, source, &err);
    if (rc != ERR_OK)
        log_at(LOG_ERROR, "cannot start", LOG_STR("error", err.text));
    else if ((rc = serve(&daemon, &err)) != ERR_OK)
        log_at(LOG_ERROR, daemon.sockets == NULL ? "cannot start" : "cannot go on",
               LOG_STR("error", err.text));
    stop(&daemon);
    if (rc != ERR_OK)
        return EXIT_FAILED;
    log_write(LOG_INFO, "stopped", NULL, 0);
    return EXIT_FINE;
}

int main(int argc, char **argv)
{
    struct command_line line;
    struct config *config = NULL;
    struct err err = {.text = ""};
    enum log_level level = LOG_INFO;
    command_line_read(argc, argv, &line);
    if (line.action != ACTION_SERVE)
        return command_line_run(&line);
    notify_init();
    enum err_code rc = config_load(&line.source, &config, &err);
    if (rc == ERR_OK)
        rc = config_check_files(config, &err);
    if (rc == ERR_OK)
        rc = log_level_parse(config->log_level, &level);
    if (rc != ERR_OK) {
        log_at(LOG_ERROR, "bad configuration", LOG_STR("error", err.text));
        config_destroy(&config);
        return EXIT_BAD_CONFIG;
    }
    log_set_level(level);
    int code = run(config, &line.source, argv);
    config_destroy(&config);
    return code;
}
