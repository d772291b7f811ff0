/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon keeps. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "featurestore/definitions.h"
#include "server/control/config_keys.h"
#include "server/control/config_retention.h"
#include "server/control/ratchet.h"
#include "server/control/release.h"
#include "server/daemon.h"

#define LOCK_NAME "lock"

bool daemon_is_heir(const struct daemon *daemon)
{
    return daemon->parent.fd >= 0;
}

enum err_code daemon_take_data_dir(struct daemon *daemon, struct err *err)
{
    const char *dir = daemon->config->data_dir;
    /* What is given is worth nothing when data_dir is another one now. */
    if (daemon->gift.data_lock_fd >= 0 &&
        file_is_lock_of(daemon->gift.data_lock_fd, dir, LOCK_NAME)) {
        daemon->has_inherited_lock = true;
        daemon->lock_fd = daemon->gift.data_lock_fd;
        daemon->gift.data_lock_fd = -1;
        return ERR_OK;
    }
    enum err_code rc = file_make_dir(dir, err);
    return rc == ERR_OK ? file_lock_dir(dir, LOCK_NAME, &daemon->lock_fd, err) : rc;
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
    config_retentions(&config->event_retention, options.type_retain_ms);
    enum err_code rc = file_join(config->data_dir, "events", dir, sizeof dir, err);
    if (rc == ERR_OK)
        rc = file_join(config->data_dir, "checkpoints", checkpoint_dir, sizeof checkpoint_dir, err);
    return rc == ERR_OK ? store_open_log(daemon->store, &options, &checkpoints, err) : rc;
}

static enum err_code open_erasures(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->config;
    char path[FILE_PATH_BYTES];
    const struct erasure_options options = {.data_dir = config->data_dir,
                                            .delay_ms = (uint64_t)config->erasure_delay_s * 1000,
                                            .clock = daemon->clock};
    enum err_code rc = erasure_create(&options, &daemon->erasure, err);
    if (rc == ERR_OK)
        rc = file_join(config->data_dir, ERASE_LEDGER_NAME, path, sizeof path, err);
    return rc == ERR_OK
               ? store_open_erasures(daemon->store, path, erasure_wake, daemon->erasure, err)
               : rc;
}

static enum err_code define_features(struct daemon *daemon, struct err *err)
{
    char path[FILE_PATH_BYTES];
    struct definitions *definitions = NULL;
    enum err_code rc =
        release_features_path(daemon->config->models_dir, daemon->config->features, path, err);
    if (rc == ERR_OK)
        rc = path[0] == '\0' ? definitions_empty(&definitions, err)
                             : definitions_parse_file(path, &definitions, err);
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

enum err_code daemon_start_store(struct daemon *daemon, struct err *err)
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
    if (rc == ERR_OK)
        rc = open_erasures(daemon, err);
    if (rc == ERR_OK && daemon_is_heir(daemon) && config->event_log_bytes_max > 0)
        store_follow(daemon->store);
    return rc == ERR_OK ? store_start(daemon->store, err) : rc;
}

enum err_code daemon_create_decision_log(struct daemon *daemon, struct err *err)
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

enum err_code daemon_create_audit(struct daemon *daemon, struct err *err)
{
    struct audit_options options = {
        .data_dir = daemon->config->data_dir,
        .bytes_max = (uint64_t)daemon->config->audit_bytes_max,
        .clock = daemon->clock,
    };
    return audit_create(&options, &daemon->audit, err);
}

enum err_code daemon_start_shadow(struct daemon *daemon, struct err *err)
{
    const struct shadow_options options = {.store = daemon->store,
                                           .metrics = daemon->metrics,
                                           .clock = daemon->clock,
                                           .worker_count = daemon->worker_count};
    enum err_code rc = shadow_create(&options, &daemon->shadow, err);
    return rc == ERR_OK ? shadow_start(daemon->shadow, err) : rc;
}

enum err_code daemon_start_registry(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->config;
    char ratchet_path[FILE_PATH_BYTES];
    struct minisign_keys keys;
    struct text *static_ids = NULL;
    enum err_code rc =
        file_join(config->data_dir, RATCHET_NAME, ratchet_path, sizeof ratchet_path, err);
    if (rc == ERR_OK)
        rc = config_keys(&config->model_keys, &keys, err);
    if (rc == ERR_OK)
        rc = reload_static_ids(&config->static_items, &static_ids, err);
    if (rc != ERR_OK)
        return rc;
    struct registry_options options = {
        .models_dir = config->models_dir,
        .policies_path = config->policies[0] == '\0' ? NULL : config->policies,
        .features_path = config->features[0] == '\0' ? NULL : config->features,
        .static_ids = static_ids,
        .static_count = config->static_items.count,
        .worker_count = daemon->worker_count,
        .serves_promoted = strcmp(config->models_serve, "promoted") == 0,
        .rescan_ms = (uint64_t)config->models_rescan_ms,
        .check_ms = (uint64_t)config->canary_check_ms,
        .lists_ms = (uint64_t)config->lists_refresh_ms,
        .previous_bytes_max = (uint64_t)config->models_previous_bytes_max,
        .audit = daemon->audit,
        .changes = &daemon->changes,
        .follows = daemon_is_heir(daemon),
        .shadow = daemon->shadow,
        .store = daemon->store,
        .serving = &daemon->serving,
        .metrics = daemon->metrics,
        .clock = daemon->clock,
        .keys = &keys,
        .ratchet_path = ratchet_path,
        .inherited_lock_fd = daemon->gift.models_lock_fd,
    };
    daemon->gift.models_lock_fd = -1;
    rc = registry_create(&options, &daemon->registry, err);
    free(static_ids);
    if (rc == ERR_OK)
        rc = registry_start(daemon->registry, err);
    if (rc == ERR_OK)
        rc = model_ops_create(config->models_dir, daemon->registry, daemon->audit, daemon->clock,
                              &daemon->model_ops, err);
    return rc;
}
