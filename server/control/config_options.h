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
      "where nng and nanomsg peers connect: `tcp://HOST:PORT` or `ipc:///PATH`; by the nng "       \
      "library: `nng+tcp://`, `nng+ipc://`, `inproc://NAME`, `ws://HOST:PORT/PATH`, "              \
      "`tls+tcp://HOST:PORT`; port 0 takes a free one, which the log names")                       \
    X(ADDRESS, http, "127.0.0.1:7101", 1, 255, "address", RESTART,                                 \
      "`IP:PORT` for REST, `/livez`, `/readyz` and `/metrics`")                                    \
    X(DIR, data_dir, "/var/lib/decided", 1, 4095, "path", RESTART,                                 \
      "what the daemon keeps over restarts; locked, so that it has one daemon")                    \
    X(DIR, models_dir, "", 0, 4095, "path", RESTART,                                               \
      "where model bundles are; empty: `models` in `data_dir`")                                    \
    X(FILE, policies, "", 0, 4095, "path", RELOAD,                                                 \
      "the policies ([policies.md](policies.md)); empty: the built-in ones")                       \
    X(FILE, features, "", 0, 4095, "path", RELOAD,                                                 \
      "the features that are computed from events ([features.md](features.md)); empty: none")      \
    X(IDS, static_items, NULL, 0, 1000, "item ids", RELOAD,                                        \
      "what the level `static` shows, best first")                                                 \
    X(LEVEL, log_level, "info", 1, 15, "level", RELOAD,                                            \
      "`debug`, `info`, `warn` or `error`: the least that is written")                             \
    X(FILE, admin_token_file, "", 0, 4095, "path", RELOAD,                                         \
      "a file that holds the token of administration; empty: administration from this machine "    \
      "only")                                                                                      \
    X(INT, workers, 0, 0, 64, "threads", RESTART,                                                  \
      "threads that serve `tcp://` and `ipc://`; 0: one per processor that the daemon may use")    \
    X(INT, workers_realtime_priority, 0, 0, 99, "priority", RESTART,                               \
      "of those threads (`SCHED_RR`), so that nothing of ordinary priority keeps them from a "     \
      "core; 0: they are ordinary threads ([operations.md](operations.md#real-time-workers))")     \
    X(INT, cpu_wakeup_latency_us, -1, -1, 1000000, "us", RESTART,                                  \
      "that the kernel is asked for while the daemon runs (`/dev/cpu_dma_latency`): no idle state "\
      "that takes longer to leave; 0: idle processors poll; -1: it is not asked "                  \
      "([operations.md](operations.md#processors-that-stay-awake))")                               \
    X(FILE, tls_certificate_file, "", 0, 4095, "path", RESTART,                                    \
      "certificates and private key (PEM) for `tls+tcp://`")                                       \
    X(INT, message_bytes_max, 1048576, 524288, 67108864, "bytes", RESTART,                         \
      "longest message of a peer; the connection of a longer one is closed (at least a full "      \
      "batch of events)")                                                                          \
    X(INT, connections_max, 1024, 1, 65536, "connections", RESTART,                                \
      "open connections of peers; more are closed at once")                                        \
    X(INT, queue_delay_target_us, 500, 0, 1000000, "us", RESTART,                                 \
      "when no request of a tenth of a second waited less, the daemon is overloaded and "          \
      "decisions get cheaper; at most `queue_delay_max_us`; 0: never")                              \
    X(INT, queue_delay_max_us, 1000, 100, 60000000, "us", RESTART,                                \
      "an overloaded daemon refuses decisions that waited longer, events after half of it, "       \
      "uploads of models after a quarter")                                                         \
    X(INT, latency_target_us, 0, 0, 60000000, "us", RESTART,                                       \
      "99 of 100 decisions shall take no longer from arrival to reply; while they do, less work "  \
      "goes into each; 0: no target")                                                              \
    X(INT, model_slow_us, 20000, 0, 60000000, "us", RESTART,                                       \
      "a use of a model in a decision that takes longer counts as failed; when most within a "     \
      "second do, its breaker opens; 0: however long it takes")                                    \
    X(INT, contexts, 64, 1, 4096, "requests", RESTART,                                             \
      "requests in progress in the nng library, replies that are being sent included; 256 KiB "    \
      "each when used")                                                                            \
    X(INT, send_timeout_ms, 100, 10, 60000, "ms", RESTART,                                         \
      "a peer that does not take its reply for so long is disconnected")                           \
    X(INT, http_connections_max, 256, 1, 65536, "connections", RESTART,                            \
      "open HTTP connections; more are closed at once")                                            \
    X(INT, http_body_bytes_max, 1048576, 4096, 67108864, "bytes", RESTART,                         \
      "longest HTTP body; a longer one is answered with 413")                                      \
    X(INT, http_request_timeout_ms, 10000, 100, 600000, "ms", RESTART,                             \
      "time for an HTTP request to arrive, from its first byte to its last")                       \
    X(INT, http_idle_timeout_ms, 60000, 100, 3600000, "ms", RESTART,                               \
      "an HTTP connection without a request is closed after this")                                 \
    X(INT, items_max, 1000000, 1, 16000000, "items", RESTART,                                      \
      "items known by id, those that only events or models name included")                         \
    X(INT, people_max, 10000000, 1, 200000000, "people", RESTART,                                  \
      "users, and as many anonymous ids; new ones beyond are refused")                             \
    X(INT, history_items_max, 100, 1, 1000, "items", RESTART,                                      \
      "distinct items kept per person: the newest, and what was bought before other things")                                                \
    X(CHOICE, consent_default, "allow", 1, 15, "allow essential deny", RESTART,                    \
      "what people allow who said nothing: all, `process` alone, or nothing")                      \
    X(INT, identity_anons_max, 20, 0, 100, "ids", RESTART,                                         \
      "anonymous ids that `identify` links to one user; more are refused")                         \
    X(INT, identity_users_max, 5, 0, 8, "users", RESTART,                                          \
      "users linked to one anonymous id; more are refused, unless the oldest link is older than "  \
      "`identity_days`")                                                                           \
    X(INT, identity_days, 7, 0, 24855, "days", RESTART,                                            \
      "older links of an anonymous id make room for new users; 0: none does")                      \
    X(INT, price_history_max, 64, 0, 255, "changes", RESTART,                                      \
      "changes of the price kept per item, the newest")                                            \
    X(INT, queue_events_max, 100000, 2000, 1000000, "events", RESTART,                             \
      "events waiting to be applied; when full, `events` answers `overloaded`")                    \
    X(INT, dedup_events_max, 1000000, 0, 10000000, "events", RESTART,                              \
      "event ids remembered to recognise duplicates, the newest")                                  \
    X(INT, dedup_hours, 24, 0, 87600, "hours", RESTART,                                            \
      "how long they are remembered, by arrival; 0: until `dedup_events_max` is reached")          \
    X(CHOICE, events_mode, "lenient", 1, 15, "lenient strict", RESTART,                            \
      "how events are judged unless the request says so by `strict`: lenient drops unknown "       \
      "fields, strict refuses the event")                                                          \
    X(INT, event_age_hours_max, 0, 0, 8760000, "hours", RESTART,                                   \
      "events whose time is further in the past are refused (`too_old`); 0: none is, so that "     \
      "histories can be imported")                                                                 \
    X(INT, feature_rows_max, 1000000, 0, 200000000, "rows", RESTART,                               \
      "queries, slots, and pairs of each kind, that features are kept for; what comes beyond is "  \
      "dropped and counted")                                                                       \
    X(INT, event_log_bytes_max, 8589934592, 0, 17592186044416, "bytes", RESTART,                   \
      "size of the event log in `data_dir`; at least 16 MiB; 0: none, events are kept in memory "  \
      "only")                                                                                      \
    X(INT, event_log_days, 90, 0, 36500, "days", RESTART,                                          \
      "events that arrived earlier are deleted from the log; 0: only when it is nearly full")      \
    X(RETENTIONS, event_retention, NULL, 0, 25, "types", RESTART,                                  \
      "types of events that are kept for a shorter time than `event_log_days`, such as "           \
      "`[\"view=30d\", \"search=36h\"]`; each at most once; `custom` is all types of the shop's own")                                                          \
    X(INT, checkpoint_events, 1000000, 1000, 1000000000, "events", RESTART,                        \
      "the state is written to a checkpoint after so many events, so that a start need not "       \
      "replay more of them")                                                                       \
    X(INT, checkpoint_interval_s, 3600, 1, 604800, "s", RESTART,                                   \
      "and after so long, when there was an event")                                                \
    X(INT, decision_log_percent, 100, 0, 100, "percent", RESTART,                                   \
      "of the people whose decisions are logged, all of theirs, for training and export "          \
      "([decision-log.md](decision-log.md))")                                                      \
    X(INT, decision_log_bytes_max, 4294967296, 0, 17592186044416, "bytes", RESTART,                \
      "size of the decision log in `data_dir`; at least 16 MiB; 0: decisions are not logged")      \
    X(INT, decision_log_days, 30, 0, 36500, "days", RESTART,                                       \
      "decisions are deleted from the log after so long; 0: only when it is nearly full")          \
    X(INT, erasure_delay_s, 60, 0, 86400, "s", RESTART,                                            \
      "people who are to be forgotten leave memory at once, and the files together, so long after "  \
      "the first of them was asked for ([operations.md](operations.md#erasing-a-person))")          \
    X(INT, audit_bytes_max, 67108864, 2097152, 4294967296, "bytes", RESTART,                       \
      "size of the audit log in `data_dir`, in files of 1 MiB; the oldest file is deleted beyond")  \
    X(INT, disk_reserve_bytes, 268435456, 0, 1099511627776, "bytes", RESTART,                      \
      "when less is free on the disk of `data_dir`, events are refused with `disk_full`, and "      \
      "decisions are not logged")          \
    X(INT, answers_max, 65536, 1, 16000000, "answers", RESTART,                                    \
      "last good answers kept for the level `cached`, about 104 bytes each")                       \
    X(CHOICE, models_serve, "newest", 1, 15, "newest promoted", RESTART,                            \
      "what serves when a version arrives: the newest by itself, or none but what `model promote` "\
      "names; until then it is loaded and waits")                                                  \
    X(INT, models_previous_bytes_max, 1073741824, 0, 17592186044416, "bytes", RELOAD,              \
      "memory of versions that serve no more and stay loaded, so that a rollback needs no file "   \
      "([bundles.md](bundles.md#what-stays-loaded)); 0: none does")                                \
    X(KEYS, model_keys, NULL, 0, 16, "keys", RESTART,                                              \
      "public keys of minisign, each as text or as the path of a `.pub` file: only bundles that "  \
      "one of them signed are loaded ([bundles.md](bundles.md#signatures)); none: every bundle "   \
      "is")                                                                                        \
    X(CHOICE, ready_without_models, "yes", 1, 15, "yes no", RESTART,                               \
      "whether `/readyz` says 200 while no model serves, so that answers are generic or static")   \
    X(INT, canary_check_ms, 1000, 10, 3600000, "ms", RESTART,                                      \
      "canaries are judged this often, and rolled back when they cross a bound")                   \
    X(INT, lists_refresh_ms, 10000, 10, 3600000, "ms", RESTART,                                    \
      "lists that policies name (editors' ones, what trends, new arrivals, similar content) are "  \
      "made anew this often, when events came")                                                    \
    X(INT, models_rescan_ms, 10000, 100, 3600000, "ms", RESTART,                                   \
      "`models_dir` is looked through this often, besides being watched")                          \
    X(INT, drain_delay_ms, 0, 0, 600000, "ms", RESTART,                                            \
      "after SIGTERM or `drain` everything is still served for so long while `/readyz` says 503; " \
      "set it to what load balancers need to notice")                                              \
    X(INT, drain_timeout_ms, 30000, 0, 600000, "ms", RESTART,                                      \
      "longest wait for what is in flight before the daemon stops")
/* clang-format on */

#endif
