/* SPDX-License-Identifier: Apache-2.0 */
#include "server/metrics.h"

#include <stddef.h>

#include "models/bundle.h"
#include "server/decide/decision.h"
#include "server/protocol/ops.h"

#define NAME_ONLY(name)     #name,
#define NAME_FIRST(name, x) #name,

static const char *const op_values[] = {OPS(NAME_FIRST) "invalid", NULL};
static const char *const code_values[] = {REPLY_CODES(NAME_FIRST) NULL};
static const char *const level_values[] = {LEVELS(NAME_ONLY) NULL};
static const char *const reason_values[] = {REASONS(NAME_ONLY) NULL};
static const char *const kind_values[] = {
#define X(name) #name,
    MODEL_KINDS(X)
#undef X
        NULL};
static const char *const overload_values[] = {"fine", "cheaper", "cheapest", "refusing", NULL};
static const char *const stage_values[] = {"decode", "candidates", "fold_in", "rank",
                                           "price",  "encode",     NULL};
static const char *const transport_values[] = {"nng", "http", "sp", NULL};
static const char *const close_values[] = {"peer",      "handshake",   "malformed",
                                           "too_large", "slow_reader", "no_memory",
                                           "error",     "stopped",     NULL};
static const char *const direction_values[] = {"received", "sent", NULL};
static const char *const event_values[] = {"accepted", "duplicate", "rejected", NULL};
static const char *const person_values[] = {"user", "anon", NULL};
static const char *const part_values[] = {"items", "people", "counts", NULL};
static const char *const load_values[] = {"loaded", "refused", NULL};
static const char *const log_values[] = {"debug", "info", "warn", "error", NULL};
static const char *const version_values[] = {DECIDED_VERSION, NULL};
static const char *const compiler_values[] = {__VERSION__, NULL};

#define COUNTER   METRIC_COUNTER
#define GAUGE     METRIC_GAUGE
#define HISTOGRAM METRIC_HISTOGRAM

const struct metric_family server_metric_families[M_COUNT] = {
    [M_BUILD_INFO] = {"decided_build_info",
                      GAUGE,
                      "Version and compiler of this daemon; always 1.",
                      {{"version", version_values}, {"compiler", compiler_values}}},
    [M_REQUESTS] = {"decided_requests_total",
                    COUNTER,
                    "Requests answered, by operation and code.",
                    {{"op", op_values}, {"code", code_values}}},
    [M_REQUEST_DURATION] = {"decided_request_duration_seconds",
                            HISTOGRAM,
                            "From the arrival of a request to its packed reply.",
                            {{"op", op_values}}},
    [M_DECISIONS] = {"decided_decisions_total",
                     COUNTER,
                     "Decisions, by level of the ladder and reason for not being full.",
                     {{"level", level_values}, {"reason", reason_values}}},
    [M_BREAKER_SKIPS] = {"decided_breaker_skips_total",
                         COUNTER,
                         "Uses of a model that its breaker prevented.",
                         {{"kind", kind_values}}},
    [M_BREAKERS_OPEN] = {"decided_breakers_open",
                         GAUGE,
                         "Models whose breaker is not closed.",
                         {{0}}},
    [M_STAGE_DURATION] = {"decided_decision_stage_duration_seconds",
                          HISTOGRAM,
                          "Time spent in each stage of a decision.",
                          {{"stage", stage_values}}},
    [M_QUEUE_DELAY] = {"decided_queue_delay_seconds",
                       HISTOGRAM,
                       "How long requests waited before a worker began with them.",
                       {{0}}},
    [M_WORK_FACTOR] = {"decided_work_factor",
                       GAUGE,
                       "How much of the policy's work decisions get, 0.1 to 1; of the worker where "
                       "it changed last.",
                       {{0}}},
    [M_OVERLOAD] = {"decided_overload_requests_total",
                    COUNTER,
                    "Requests, by how overloaded their worker was.",
                    {{"state", overload_values}}},
    [M_CONNECTIONS] = {"decided_connections",
                       GAUGE,
                       "Connections now open.",
                       {{"transport", transport_values}}},
    [M_CONNECTIONS_REFUSED] = {"decided_connections_refused_total",
                               COUNTER,
                               "Connections closed at once because of the connection limit.",
                               {{"transport", transport_values}}},
    [M_CONNECTIONS_ACCEPTED] = {"decided_connections_accepted_total",
                                COUNTER,
                                "Connections taken by the native request socket.",
                                {{"transport", transport_values}}},
    [M_CONNECTIONS_CLOSED] = {"decided_connections_closed_total",
                              COUNTER,
                              "Connections of the native request socket that ended, and why.",
                              {{"reason", close_values}}},
    [M_ACCEPT_PAUSES] = {"decided_accept_pauses_total",
                         COUNTER,
                         "Times that accepting paused for lack of descriptors or memory.",
                         {{0}}},
    [M_SOCKET_BYTES] = {"decided_socket_bytes_total",
                        COUNTER,
                        "Bytes through the native request socket.",
                        {{"direction", direction_values}}},
    [M_SLOW_READERS_CLOSED] = {"decided_slow_readers_closed_total",
                               COUNTER,
                               "Connections closed because they did not take their replies.",
                               {{0}}},
    [M_MESSAGES_REFUSED] = {"decided_messages_refused_total",
                            COUNTER,
                            "Messages refused before decoding: too large or malformed frames.",
                            {{"transport", transport_values}}},
    [M_LISTENER_RESTARTS] = {"decided_listener_restarts_total",
                             COUNTER,
                             "Times the watchdog had to restart a listener.",
                             {{0}}},
    [M_EVENTS] = {"decided_events_total",
                  COUNTER,
                  "Events, by what became of them.",
                  {{"result", event_values}}},
    [M_EVENT_QUEUE] = {"decided_event_queue_events",
                       GAUGE,
                       "Events waiting for the store thread.",
                       {{0}}},
    [M_ITEMS] = {"decided_items", GAUGE, "Items known by number.", {{0}}},
    [M_CATALOGUE_ITEMS] = {"decided_catalogue_items",
                           GAUGE,
                           "Items with a catalogue record.",
                           {{0}}},
    [M_PEOPLE] = {"decided_people", GAUGE, "People with a history.", {{"kind", person_values}}},
    [M_STORE_BYTES] = {"decided_store_bytes",
                       GAUGE,
                       "Memory of the feature store.",
                       {{"part", part_values}}},
    [M_EVENT_WATERMARK] = {"decided_event_watermark_timestamp_seconds",
                           GAUGE,
                           "Time of the newest event.",
                           {{0}}},
    [M_MODELS] = {"decided_models", GAUGE, "Models that serve.", {{0}}},
    [M_MODEL_BYTES] = {"decided_model_bytes", GAUGE, "Memory of loaded models.", {{0}}},
    [M_MODEL_LOADS] = {"decided_model_loads_total",
                       COUNTER,
                       "Attempts to load a bundle.",
                       {{"result", load_values}}},
    [M_SNAPSHOT_EPOCH] = {"decided_snapshot_epoch",
                          GAUGE,
                          "Number of the snapshot that serves.",
                          {{0}}},
    [M_MODE_FLOOR] = {"decided_mode_floor",
                      GAUGE,
                      "1 for the best level that is allowed now, by command.",
                      {{"level", level_values}}},
    [M_READY] = {"decided_ready", GAUGE, "1 when /readyz answers 200.", {{0}}},
    [M_DRAINING] = {"decided_draining", GAUGE, "1 from the start of a drain.", {{0}}},
    [M_CONFIG_RELOAD_OK] = {"decided_config_last_reload_successful",
                            GAUGE,
                            "1 when the last reload was applied.",
                            {{0}}},
    [M_CONFIG_RELOAD_TIME] = {"decided_config_last_reload_success_timestamp_seconds",
                              GAUGE,
                              "Time of the last reload that was applied.",
                              {{0}}},
    [M_LOG_LINES] = {"decided_log_lines_total",
                     COUNTER,
                     "Log lines written.",
                     {{"level", log_values}}},
    [M_LOG_DROPPED] = {"decided_log_lines_dropped_total",
                       COUNTER,
                       "Log lines that the output did not take.",
                       {{0}}},
    [M_PROCESS_CPU] = {"process_cpu_seconds_total", COUNTER, "User and system CPU time.", {{0}}},
    [M_PROCESS_OPEN_FDS] = {"process_open_fds", GAUGE, "Open file descriptors.", {{0}}},
    [M_PROCESS_MAX_FDS] = {"process_max_fds", GAUGE, "Limit of open file descriptors.", {{0}}},
    [M_PROCESS_VIRTUAL_BYTES] = {"process_virtual_memory_bytes", GAUGE, "Virtual memory.", {{0}}},
    [M_PROCESS_RESIDENT_BYTES] = {"process_resident_memory_bytes",
                                  GAUGE,
                                  "Resident memory.",
                                  {{0}}},
    [M_PROCESS_START_TIME] = {"process_start_time_seconds",
                              GAUGE,
                              "Start of the process, seconds since the epoch.",
                              {{0}}},
    [M_PROCESS_THREADS] = {"process_threads", GAUGE, "Threads of the process.", {{0}}},
};
