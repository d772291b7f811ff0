/* SPDX-License-Identifier: Apache-2.0 */
/* config_options - the table of options.  The struct, its defaults, the parser, --dump-config and
 * docs/configuration.md are all generated from these rows.
 *
 *   kind, name, default, minimum, maximum, unit, when a change takes effect, help
 *
 * Kinds: INT; ADDRESSES (a list of addresses of peers); ADDRESS (HOST:PORT); DIR and FILE (paths,
 * "" for none); IDS (a list of item ids); RETENTIONS (a list of TYPE=TIME); KEYS (a list of public
 * keys, or paths of files that hold one); LEVEL (of the log); CHOICE (one of the words that stand
 * as its unit).  Minimum and maximum are values of an INT, elements of a list, bytes of a text. */
#ifndef SERVER_CONTROL_CONFIG_OPTIONS_H
#define SERVER_CONTROL_CONFIG_OPTIONS_H

/* clang-format off */
#define CONFIG_OPTIONS(X)                                                                          \
    X(ADDRESSES, listen, "tcp://127.0.0.1:7100", 1, 16, "addresses", RESTART,                      \
      "where nng and nanomsg peers connect: `tcp://HOST:PORT` or `ipc:///PATH`; served by the "    \
      "nng library: `nng+tcp://`, `nng+ipc://`, `inproc://NAME`, `ws://HOST:PORT/PATH`, "          \
      "`tls+tcp://HOST:PORT`; port 0 picks a free one, which the log names")                       \
    X(ADDRESS, http, "127.0.0.1:7101", 1, 255, "address", RESTART,                                 \
      "`IP:PORT` for HTTP: operations, `/livez`, `/readyz` and `/metrics`")                        \
    X(DIR, data_dir, "/var/lib/decided", 1, 4095, "path", RESTART,                                 \
      "what the daemon keeps across restarts; locked, one daemon per directory")                   \
    X(DIR, models_dir, "", 0, 4095, "path", RESTART,                                               \
      "where model bundles are; empty: `models` in `data_dir`")                                    \
    X(FILE, policies, "", 0, 4095, "path", RELOAD,                                                 \
      "the policy file ([policies.md](policies.md)); empty: the built-in policies")                \
    X(FILE, features, "", 0, 4095, "path", RELOAD,                                                 \
      "the feature definitions ([features.md](features.md)); empty: none")                         \
    X(IDS, static_items, NULL, 0, 1000, "item ids", RELOAD,                                        \
      "what the level `static` shows, best first")                                                 \
    X(LEVEL, log_level, "info", 1, 15, "level", RELOAD,                                            \
      "`debug`, `info`, `warn` or `error`: the lowest level that is written")                      \
    X(FILE, admin_token_file, "", 0, 4095, "path", RELOAD,                                         \
      "file with the administration token; empty: administration from this machine only")          \
    X(INT, workers, 0, 0, 64, "threads", RESTART,                                                  \
      "threads that serve `tcp://` and `ipc://`; 0: one per processor that the daemon may use")    \
    X(INT, workers_realtime_priority, 0, 0, 99, "priority", RESTART,                               \
      "real-time priority of these threads (`SCHED_RR`), so that ordinary threads do not keep "    \
      "them from a core; 0: ordinary threads ([operations.md](operations.md#real-time-workers))")  \
    X(INT, cpu_wakeup_latency_us, -1, -1, 1000000, "us", RESTART,                                  \
      "maximum exit latency of idle states, requested from the kernel while the daemon runs "      \
      "(`/dev/cpu_dma_latency`); 0: idle processors poll; -1: no request "                         \
      "([operations.md](operations.md#processors-that-stay-awake))")                               \
    X(FILE, tls_certificate_file, "", 0, 4095, "path", RESTART,                                    \
      "certificates and private key (PEM) for `tls+tcp://`")                                       \
    X(INT, message_bytes_max, 1048576, 524288, 67108864, "bytes", RESTART,                         \
      "longest message of a peer (at least a full batch of events); a longer one closes its "      \
      "connection")                                                                                \
    X(INT, connections_max, 1024, 1, 65536, "connections", RESTART,                                \
      "open connections of peers; further ones are closed at once")                                \
    X(INT, queue_delay_target_us, 500, 0, 1000000, "us", RESTART,                                 \
      "if no request within a tenth of a second waited less, the daemon is overloaded and "       \
      "decisions get cheaper; at most `queue_delay_max_us`; 0: never")                            \
    X(INT, queue_delay_max_us, 1000, 100, 60000000, "us", RESTART,                                \
      "an overloaded daemon refuses decisions that waited longer, events after half of it, "      \
      "model uploads after a quarter")                                                            \
    X(INT, latency_target_us, 0, 0, 60000000, "us", RESTART,                                       \
      "target for the 99th percentile of decisions, from arrival to reply; while it is missed, "   \
      "each decision does less work; 0: no target")                                                \
    X(INT, model_slow_us, 20000, 0, 60000000, "us", RESTART,                                       \
      "a longer use of a model in a decision counts as failed; if most within a second do, its "   \
      "breaker opens; 0: no limit")                                                                \
    X(INT, contexts, 64, 1, 4096, "requests", RESTART,                                             \
      "requests in progress in the nng library, including replies being sent; 256 KiB each when "  \
      "used")                                                                                      \
    X(INT, send_timeout_ms, 100, 10, 60000, "ms", RESTART,                                         \
      "a peer that does not read its reply for this long is disconnected")                         \
    X(INT, http_connections_max, 256, 1, 65536, "connections", RESTART,                            \
      "open HTTP connections; further ones are closed at once")                                    \
    X(INT, http_body_bytes_max, 1048576, 4096, 67108864, "bytes", RESTART,                         \
      "longest HTTP body; a longer one is answered with 413")                                      \
    X(INT, http_request_timeout_ms, 10000, 100, 600000, "ms", RESTART,                             \
      "time for an HTTP request to arrive, from its first byte to its last")                       \
    X(INT, http_idle_timeout_ms, 60000, 100, 3600000, "ms", RESTART,                               \
      "an HTTP connection without a request is closed after this")                                 \
    X(INT, items_max, 1000000, 1, 16000000, "items", RESTART,                                      \
      "items known by id, including those that only events or models name")                        \
    X(INT, people_max, 10000000, 1, 200000000, "people", RESTART,                                  \
      "users, and as many anonymous ids; further ones are rejected")                               \
    X(INT, history_items_max, 100, 1, 1000, "items", RESTART,                                      \
      "distinct items kept per person: the newest, with preference for purchases")                 \
    X(CHOICE, consent_default, "allow", 1, 15, "allow essential deny", RESTART,                    \
      "what people who said nothing allow: everything, `process` alone, or nothing")               \
    X(INT, identity_anons_max, 20, 0, 100, "ids", RESTART,                                         \
      "anonymous ids that `identify` links to one user; more are rejected")                        \
    X(INT, identity_users_max, 5, 0, 8, "users", RESTART,                                          \
      "users linked to one anonymous id; more are rejected, unless the oldest link is older "      \
      "than `identity_days`")                                                                      \
    X(INT, identity_days, 7, 0, 24855, "days", RESTART,                                            \
      "older links of an anonymous id make room for new users; 0: never")                          \
    X(INT, price_history_max, 64, 0, 255, "changes", RESTART,                                      \
      "price changes kept per item, the newest")                                                   \
    X(INT, queue_events_max, 100000, 2000, 1000000, "events", RESTART,                             \
      "events waiting to be applied; when full, `events` answers `overloaded`")                    \
    X(INT, dedup_events_max, 1000000, 0, 10000000, "events", RESTART,                              \
      "event ids remembered to recognise duplicates, the newest")                                  \
    X(INT, dedup_hours, 24, 0, 87600, "hours", RESTART,                                            \
      "how long they are remembered, by arrival; 0: until `dedup_events_max` is reached")          \
    X(CHOICE, events_mode, "lenient", 1, 15, "lenient strict", RESTART,                            \
      "default of `strict` in the request: lenient drops unknown fields, strict rejects the "      \
      "event")                                                                                     \
    X(INT, event_age_hours_max, 0, 0, 8760000, "hours", RESTART,                                   \
      "older events are rejected (`too_old`); 0: no limit, so that histories can be imported")     \
    X(INT, feature_rows_max, 1000000, 0, 200000000, "rows", RESTART,                               \
      "queries, slots, and pairs of each kind, for which features are kept; further ones are "     \
      "dropped and counted")                                                                       \
    X(INT, event_log_bytes_max, 8589934592, 0, 17592186044416, "bytes", RESTART,                   \
      "size of the event log in `data_dir`; at least 16 MiB; 0: none, events are kept in memory "  \
      "only")                                                                                      \
    X(INT, event_log_days, 90, 0, 36500, "days", RESTART,                                          \
      "events that arrived earlier are deleted from the log; 0: only when it is nearly full")      \
    X(RETENTIONS, event_retention, NULL, 0, 25, "types", RESTART,                                  \
      "event types that are kept for a shorter time than `event_log_days`, such as "               \
      "`[\"view=30d\", \"search=36h\"]`; each at most once; `custom` means all custom types")      \
    X(INT, checkpoint_events, 1000000, 1000, 1000000000, "events", RESTART,                        \
      "a checkpoint of the state is written after this many events, which bounds the replay of "   \
      "a start")                                                                                   \
    X(INT, checkpoint_interval_s, 3600, 1, 604800, "s", RESTART,                                   \
      "and after this time, if there was an event")                                                \
    X(INT, decision_log_percent, 100, 0, 100, "percent", RESTART,                                   \
      "share of the people whose decisions are logged, for training and export "                    \
      "([decision-log.md](decision-log.md))")                                                       \
    X(INT, decision_log_bytes_max, 4294967296, 0, 17592186044416, "bytes", RESTART,                \
      "size of the decision log in `data_dir`; at least 16 MiB; 0: decisions are not logged")      \
    X(INT, decision_log_days, 30, 0, 36500, "days", RESTART,                                       \
      "decisions are deleted from the log after this time; 0: only when it is nearly full")        \
    X(INT, erasure_delay_s, 60, 0, 86400, "s", RESTART,                                            \
      "erased people leave memory at once, and the files this long after the first pending "       \
      "request, in one round ([operations.md](operations.md#erasing-a-person))")                   \
    X(INT, audit_bytes_max, 67108864, 2097152, 4294967296, "bytes", RESTART,                       \
      "size of the audit log in `data_dir`, in files of 1 MiB; beyond it the oldest file is "      \
      "deleted")                                                                                   \
    X(INT, disk_reserve_bytes, 268435456, 0, 1099511627776, "bytes", RESTART,                      \
      "if less is free on the disk of `data_dir`, events are refused with `disk_full`, and "       \
      "decisions are not logged")                                                                  \
    X(INT, answers_max, 65536, 1, 16000000, "answers", RESTART,                                    \
      "last good answers kept for the level `cached`, about 104 bytes each")                       \
    X(CHOICE, models_serve, "newest", 1, 15, "newest promoted", RESTART,                            \
      "what serves when a version arrives: the newest automatically, or only versions named by "    \
      "`model promote`; until then a version is loaded and waits")                                  \
    X(INT, models_previous_bytes_max, 1073741824, 0, 17592186044416, "bytes", RELOAD,              \
      "memory for versions that no longer serve and stay loaded, so that a rollback needs no "     \
      "file ([bundles.md](bundles.md#what-stays-loaded)); 0: none")                                \
    X(KEYS, model_keys, NULL, 0, 16, "keys", RESTART,                                              \
      "minisign public keys, each as text or as the path of a `.pub` file: only bundles signed "   \
      "by one of them are loaded ([bundles.md](bundles.md#signatures)); none: every bundle is")    \
    X(CHOICE, ready_without_models, "yes", 1, 15, "yes no", RESTART,                               \
      "whether `/readyz` answers 200 while no model serves, so that answers are generic or "       \
      "static")                                                                                    \
    X(INT, canary_check_ms, 1000, 10, 3600000, "ms", RESTART,                                      \
      "how often canaries are evaluated, and rolled back if they exceed a bound")                  \
    X(INT, lists_refresh_ms, 10000, 10, 3600000, "ms", RESTART,                                    \
      "how often the lists of policies (editors' lists, trending, new arrivals, similar "          \
      "content) are rebuilt, if events came")                                                      \
    X(INT, models_rescan_ms, 10000, 100, 3600000, "ms", RESTART,                                   \
      "how often `models_dir` is rescanned, in addition to being watched")                         \
    X(INT, drain_delay_ms, 0, 0, 600000, "ms", RESTART,                                            \
      "after SIGTERM or `drain` everything is still served for this long while `/readyz` "         \
      "answers 503; set it to what load balancers need to notice")                                 \
    X(INT, drain_timeout_ms, 30000, 0, 600000, "ms", RESTART,                                      \
      "longest wait for requests in flight before the daemon stops")
/* clang-format on */

#endif
