/* SPDX-License-Identifier: Apache-2.0 */
/* decided - starts the parts of the daemon one after the other, serves, and stops them in reverse.
 * What each part does is in its own files; this one is the order. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/rand.h"
#include "server/control/command_line.h"
#include "server/control/notify.h"
#include "server/control/wakeup_latency.h"
#include "server/daemon.h"
#include "server/metrics.h"

static bool is_leaving(void *ctx)
{
    return lifecycle_is_leaving(ctx);
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

static enum err_code ask_wakeup_latency(struct daemon *daemon, struct err *err)
{
    int64_t latency_us = daemon->config->cpu_wakeup_latency_us;
    if (latency_us < 0)
        return ERR_OK;
    return wakeup_latency_ask(WAKEUP_LATENCY_DEVICE, (int32_t)latency_us,
                              &daemon->wakeup_latency_fd, err);
}

static enum err_code start_workers(struct daemon *daemon, struct err *err)
{
    enum err_code rc = answers_create((uint32_t)daemon->config->answers_max, &daemon->answers, err);
    if (rc == ERR_OK)
        rc = workers_create(daemon->worker_count, daemon->metrics, daemon->clock,
                            rand_seed_system(), &daemon->workers, err);
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
        rc = jobs_create("jobs", JOBS_ORDINARY, &daemon->jobs, err);
    if (rc == ERR_OK)
        rc = jobs_start(daemon->jobs, err);
    if (rc == ERR_OK)
        rc = jobs_create("maintenance", JOBS_ORDINARY, &daemon->maintenance, err);
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
        .audit = daemon->audit,
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
        .erasure = daemon->erasure,
        .decision_log = daemon->decision_log,
        .shadow = daemon->shadow,
        .audit = daemon->audit,
        .changes = &daemon->changes,
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
        .is_leaving = is_leaving,
        .restart = lifecycle_restart,
        .lifecycle = daemon->lifecycle,
    };
    daemon->pages = (struct pages){
        .store = daemon->store,
        .decision_log = daemon->decision_log,
        .erasure = daemon->erasure,
        .audit = daemon->audit,
        .serving = &daemon->serving,
        .registry = daemon->registry,
        .ready_without_models = strcmp(daemon->config->ready_without_models, "yes") == 0,
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

static enum err_code start(struct daemon *daemon, const struct config_source *source,
                           struct err *err)
{
    daemon_plan_sockets(daemon);
    enum err_code rc = check_libraries(err);
    if (rc == ERR_OK)
        rc = ask_wakeup_latency(daemon, err);
    if (rc == ERR_OK)
        rc = daemon_take_data_dir(daemon, err);
    if (rc == ERR_OK)
        rc = metrics_create(server_metric_families, M_COUNT, 2 * daemon->worker_count + 1,
                            &daemon->metrics, err);
    if (rc == ERR_OK)
        rc = lifecycle_create(&daemon->lifecycle, err);
    if (rc == ERR_OK)
        rc = daemon_start_store(daemon, err);
    if (rc == ERR_OK)
        rc = start_workers(daemon, err);
    if (rc == ERR_OK)
        rc = daemon_create_decision_log(daemon, err);
    if (rc == ERR_OK)
        rc = daemon_create_audit(daemon, err);
    if (rc == ERR_OK)
        rc = daemon_start_shadow(daemon, err);
    if (rc == ERR_OK)
        rc = daemon_start_registry(daemon, err);
    if (rc == ERR_OK)
        rc = start_control(daemon, source, err);
    if (rc == ERR_OK)
        rc = start_service(daemon, err);
    if (rc == ERR_OK)
        rc = daemon_start_successor(daemon, err);
    /* An heir must not take connections that are meant for whom it follows. */
    if (rc == ERR_OK)
        rc = daemon_is_heir(daemon) ? daemon_check_sockets(daemon, err)
                                    : daemon_start_http(daemon, err);
    return rc;
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
        .audit = daemon->audit,
        .refuse_new = daemon_refuse_new,
        .in_flight = daemon_in_flight,
        .are_alive = daemon_are_workers_alive,
        .open = daemon_open_sockets,
        .successor = daemon->successor,
        .transports = daemon,
    };
    return lifecycle_run(daemon->lifecycle, &options, err);
}

/* ---- stopping; fine after a start that failed half-way ----------------------------------------
 */

/* Before a successor that waits for this writes its first line. */
static void record_stop(struct daemon *daemon)
{
    struct audit_who who = audit_who_named("decided");
    audit_flush_refused(daemon->audit, true);
    (void)!audit_record(daemon->audit, &who, "stop", ERR_OK, NULL,
                        AUDIT_WHAT(LOG_STR("version", DECIDED_VERSION)), NULL);
}

static void stop(struct daemon *daemon)
{
    /* First the threads that complete calls, while the transports are there to take them. */
    if (daemon->jobs != NULL)
        jobs_stop(daemon->jobs);
    if (daemon->maintenance != NULL)
        jobs_stop(daemon->maintenance);
    if (daemon->model_ops != NULL)
        model_ops_stop(daemon->model_ops);
    if (daemon->erasure != NULL)
        erasure_stop(daemon->erasure);
    if (daemon->registry != NULL)
        registry_stop(daemon->registry);
    if (daemon->shadow != NULL)
        shadow_stop(daemon->shadow);
    if (daemon->store != NULL) {
        store_give_up_recovery(daemon->store);
        store_stop(daemon->store);
    }
    request_sockets_destroy(&daemon->sockets);
    http_server_destroy(&daemon->http);
    /* Nobody decides or asks about the logs any more. */
    if (daemon->decision_log != NULL)
        decision_log_stop(daemon->decision_log);
    if (daemon->store != NULL)
        store_close_log(daemon->store);
    if (daemon->has_served)
        record_stop(daemon);
    if (daemon->successor != NULL)
        daemon->starts_again = !successor_settle(daemon->successor, &daemon->kept);
    service_destroy(&daemon->service);
    jobs_destroy(&daemon->jobs);
    jobs_destroy(&daemon->maintenance);
    access_deinit(&daemon->access);
    modes_deinit(&daemon->modes);
    model_ops_destroy(&daemon->model_ops);
    registry_destroy(&daemon->registry);
    shadow_destroy(&daemon->shadow);
    decision_log_destroy(&daemon->decision_log);
    audit_destroy(&daemon->audit);
    workers_destroy(&daemon->workers);
    answers_destroy(&daemon->answers);
    store_destroy(&daemon->store);
    erasure_destroy(&daemon->erasure);
    successor_destroy(&daemon->successor);
    lifecycle_destroy(&daemon->lifecycle);
    handover_gift_close(&daemon->gift);
    /* parent.fd stays open to the end of the process, which is how a parent learns how it ended. */
    metrics_destroy(&daemon->metrics);
    if (daemon->lock_fd >= 0)
        close(daemon->lock_fd);
    if (daemon->wakeup_latency_fd >= 0)
        close(daemon->wakeup_latency_fd);
}

static enum err_code run(struct daemon *daemon, const struct config_source *source)
{
    struct err err = {.text = ""};
    enum err_code rc = start(daemon, source, &err);
    if (rc != ERR_OK)
        log_at(LOG_ERROR, "cannot start", LOG_STR("error", err.text));
    else if ((rc = serve(daemon, &err)) != ERR_OK)
        log_at(LOG_ERROR, daemon->sockets == NULL ? "cannot start" : "cannot go on",
               LOG_STR("error", err.text));
    stop(daemon);
    return rc;
}

/* Again with what it kept, as long as a successor was to go on and does not. */
static int run_to_the_end(struct config *config, const struct config_source *source,
                          char *const *argv)
{
    struct handover_parent parent;
    struct handover_gift gift;
    struct err err = {.text = ""};
    enum err_code rc = handover_take(&parent, &gift, &err);
    if (rc != ERR_OK)
        log_at(LOG_ERROR, "cannot start", LOG_STR("error", err.text));
    while (rc == ERR_OK) {
        struct daemon daemon = {.clock = clock_system(),
                                .config = config,
                                .parent = parent,
                                .gift = gift,
                                .lock_fd = -1,
                                .wakeup_latency_fd = -1,
                                .argv = argv};
        rc = run(&daemon, source);
        if (!daemon.starts_again)
            break;
        parent.fd = -1;
        gift = daemon.kept;
    }
    if (rc != ERR_OK)
        return EXIT_FAILED;
    log_write(LOG_INFO, "stopped", NULL, 0);
    return EXIT_FINE;
}

/* It would end a daemon that cannot obey it yet; lifecycle_create lets it in. */
static void hold_hangups(void)
{
    sigset_t hangup;
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    sigprocmask(SIG_BLOCK, &hangup, NULL);
}

/* They would end it, and mean nothing to it; lifecycle_create has the first one logged. */
static void ignore_strays(void)
{
    static const int numbers[] = {SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        signal(numbers[i], SIG_IGN);
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
    hold_hangups();
    ignore_strays();
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
    int code = run_to_the_end(config, &line.source, argv);
    config_destroy(&config);
    return code;
}
