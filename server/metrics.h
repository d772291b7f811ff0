/* SPDX-License-Identifier: Apache-2.0 */
/* metrics (server) - the table of everything that /metrics shows.  docs/operations.md is
 * checked against it. */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include "base/metrics.h"

enum server_metric {
    M_BUILD_INFO,             /* gauge {version, compiler} */
    M_REQUESTS,               /* counter {op, code} */
    M_REQUEST_DURATION,       /* histogram {op}: from arrival to the packed reply */
    M_DECISIONS,              /* counter {level, reason} */
    M_BREAKER_SKIPS,          /* counter {kind}: uses of a model that its breaker prevented */
    M_BREAKERS_OPEN,          /* gauge: models that are not used, or tried again */
    M_STAGE_DURATION,         /* histogram {stage} */
    M_QUEUE_DELAY,            /* histogram: from arrival until a worker began */
    M_WORK_FACTOR,            /* gauge: of the worker whose effort changed last */
    M_OVERLOAD,               /* counter {state}: requests, by enum overload when they began */
    M_CONNECTIONS,            /* gauge {transport} */
    M_CONNECTIONS_REFUSED,    /* counter {transport} */
    M_CONNECTIONS_ACCEPTED,   /* counter {transport}: of the native request socket */
    M_CONNECTIONS_CLOSED,     /* counter {reason}: of the native request socket */
    M_ACCEPT_PAUSES,          /* counter: no descriptor or memory for a connection */
    M_SOCKET_BYTES,           /* counter {direction}: of the native request socket */
    M_SLOW_READERS_CLOSED,    /* counter */
    M_MESSAGES_REFUSED,       /* counter {transport}: too large or malformed frames */
    M_LISTENER_RESTARTS,      /* counter: the watchdog had to restart a listener */
    M_WORKERS_STILL,          /* gauge: of the native request socket, as of the last look */
    M_EVENTS,                 /* counter {result}: accepted, duplicate, rejected */
    M_EVENT_FIELDS_DROPPED,   /* counter */
    M_DEDUP_COVERAGE,         /* gauge: seconds */
    M_EVENT_QUEUE,            /* gauge */
    M_ITEMS,                  /* gauge */
    M_CATALOGUE_ITEMS,        /* gauge */
    M_PEOPLE,                 /* gauge {kind}: user, anon */
    M_STORE_BYTES,            /* gauge {part}: items, people, counts, features */
    M_FEATURE_ROWS,           /* gauge */
    M_FEATURES_DROPPED,       /* counter: keys that had no room */
    M_EVENT_WATERMARK,        /* gauge: newest event time, seconds since the epoch */
    M_DURABILITY,             /* gauge {state}: 1 for the state in force */
    M_LOG_SEQUENCE,           /* gauge: of the last record on disk */
    M_LOG_BYTES,              /* gauge {kind}: used, limit */
    M_LOG_GATHERED,           /* gauge: events accepted and not yet on disk */
    M_LOG_COMMITS,            /* counter {result}: ok, failed */
    M_LOG_COMMIT_SECONDS,     /* counter: spent in commits */
    M_LOG_PRUNED,             /* counter: records deleted by age or size */
    M_LOG_EXPIRED,            /* counter: records that outlived the retention of their type */
    M_LOG_OLDEST,             /* gauge: arrival of the oldest record, seconds since the epoch */
    M_DECISION_LOG_STATE,     /* gauge {state}: 1 for the state in force */
    M_DECISION_LOG_COMMITTED, /* gauge: time of the last commit, seconds since the epoch */
    M_DECISION_LOG_RECORDS,   /* counter: decisions on their way to the log */
    M_DECISION_LOG_DROPPED,   /* counter {reason} */
    M_DECISION_LOG_BYTES,     /* gauge {kind}: used, limit */
    M_DECISION_LOG_COMMITS,   /* counter {result}: ok, failed */
    M_DECISION_LOG_PRUNED,    /* counter: records deleted by age or size */
    M_DECISION_LOG_OLDEST,    /* gauge: time of the oldest record, seconds since the epoch */
    M_AUDIT_SEQUENCE,         /* gauge: of the last line that this process added */
    M_AUDIT_FAILURES,         /* counter: acts that could not be recorded */
    M_ERASURES,               /* counter {state}: requests: asked, done */
    M_ERASURE_IDS,            /* gauge: ids that are still in the files */
    M_ERASURE_FAILURES,       /* gauge: tries that failed since the last one that did not */
    M_CHECKPOINTS,            /* counter: written since the start */
    M_CHECKPOINT_FAILURES,    /* gauge: since the last success */
    M_CHECKPOINT_SEQUENCE,    /* gauge: of the newest one */
    M_CHECKPOINT_BYTES,       /* gauge */
    M_CHECKPOINT_SECONDS,     /* gauge: how long the newest one took */
    M_MODELS,                 /* gauge: models that serve */
    M_MODEL_BYTES,            /* gauge */
    M_PREVIOUS,               /* gauge: versions that serve no more and stay loaded */
    M_PREVIOUS_BYTES,         /* gauge */
    M_PREVIOUS_BYTES_MAX,     /* gauge */
    M_RETRIEVAL_MODELS,       /* gauge {by}: exact, index */
    M_RETRIEVAL_RECALL,       /* gauge */
    M_RETRIEVAL_BUILD,        /* gauge: seconds */
    M_RETRIEVAL_BYTES,        /* gauge */
    M_MODEL_LOADS,            /* counter {result}: loaded, refused */
    M_CANARIES,               /* gauge: versions on trial */
    M_CANARY_ENDS,            /* counter {end}, by enum canary_end */
    M_SHADOWS,                /* gauge: versions that are asked and do not answer */
    M_SHADOW_DECISIONS,       /* counter {result}, by enum metric_shadow */
    M_LIST_SECONDS,           /* gauge */
    M_LIST_ITEMS_UNKNOWN,     /* gauge: ids of editors' lists that nothing knows */
    M_SNAPSHOT_EPOCH,         /* gauge */
    M_MODE_FLOOR,             /* gauge {level}: 1 for the level in force */
    M_READY,                  /* gauge */
    M_DRAINING,               /* gauge */
    M_CONFIG_RELOAD_OK,       /* gauge: the last reload succeeded */
    M_CONFIG_RELOAD_TIME,     /* gauge: of the last success, seconds since the epoch */
    M_LOG_LINES,              /* counter {level} */
    M_LOG_DROPPED,            /* counter */
    M_PROCESS_CPU,            /* counter, seconds */
    M_PROCESS_OPEN_FDS,       /* gauge */
    M_PROCESS_MAX_FDS,        /* gauge */
    M_PROCESS_VIRTUAL_BYTES,  /* gauge */
    M_PROCESS_RESIDENT_BYTES, /* gauge */
    M_PROCESS_START_TIME,     /* gauge, seconds since the epoch */
    M_PROCESS_THREADS,        /* gauge */
    M_COUNT
};

extern const struct metric_family server_metric_families[M_COUNT];

/* Positions in label lists that the hot path uses. */
enum metric_transport { TRANSPORT_NNG, TRANSPORT_HTTP, TRANSPORT_SP };
enum metric_close {
    CLOSE_PEER, /* by its peer */
    CLOSE_HANDSHAKE,
    CLOSE_MALFORMED,
    CLOSE_TOO_LARGE,
    CLOSE_SLOW_READER,
    CLOSE_HALF_MESSAGE, /* silence after a part of one */
    CLOSE_NO_MEMORY,
    CLOSE_ERROR, /* the system's, such as a peer whose machine is gone */
    CLOSE_STOPPED
};
enum metric_shadow { SHADOW_COMPARED, SHADOW_DROPPED };
enum metric_direction { BYTES_RECEIVED, BYTES_SENT };
enum metric_stage {
    STAGE_DECODE,
    STAGE_CANDIDATES,
    STAGE_FOLD_IN,
    STAGE_RANK,
    STAGE_PRICE,
    STAGE_ENCODE
};

#endif
