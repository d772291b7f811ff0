/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/reload.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "server/control/notify.h"
#include "server/metrics.h"

/* The loader's answer, waited for. */
struct answer {
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    bool is_there;
    enum err_code rc;
    struct err *err;
};

static void take_answer(void *ctx, enum err_code rc, const struct err *err)
{
    struct answer *answer = ctx;
    pthread_mutex_lock(&answer->lock);
    answer->rc = rc;
    if (rc != ERR_OK && err != NULL)
        *answer->err = *err;
    answer->is_there = true;
    pthread_cond_signal(&answer->arrived);
    pthread_mutex_unlock(&answer->lock);
}

enum err_code reload_static_ids(const struct config_list *list, struct text **ret_ids,
                                struct err *err)
{
    struct text *ids = calloc((size_t)list->count + 1, sizeof *ids);
    if (ids == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the static items");
    for (uint32_t i = 0; i < list->count; i++)
        ids[i] = text_of(list->ptr[i]);
    *ret_ids = ids;
    return ERR_OK;
}

static enum err_code publish(struct registry *registry, const struct config *fresh, struct err *err)
{
    struct answer answer = {
        .lock = PTHREAD_MUTEX_INITIALIZER, .arrived = PTHREAD_COND_INITIALIZER, .err = err};
    const char *policies = fresh->policies[0] == '\0' ? NULL : fresh->policies;
    const char *features = fresh->features[0] == '\0' ? NULL : fresh->features;
    struct text *ids = NULL;
    enum err_code rc = reload_static_ids(&fresh->static_items, &ids, err);
    if (rc != ERR_OK)
        return rc;
    registry_reload(registry, policies, features, ids, fresh->static_items.count,
                    (uint64_t)fresh->models_previous_bytes_max, take_answer, &answer);
    pthread_mutex_lock(&answer.lock);
    while (!answer.is_there)
        pthread_cond_wait(&answer.arrived, &answer.lock);
    pthread_mutex_unlock(&answer.lock);
    free(ids);
    return answer.rc;
}

static void list_restarts(const struct config *running, const struct config *fresh,
                          struct reload_result *ret_result)
{
    ret_result->restart_count = 0;
    for (uint32_t i = 0; i < OPTION_COUNT; i++) {
        if (!config_options[i].reloadable && config_differs(running, fresh, &config_options[i]))
            ret_result->restart[ret_result->restart_count++] = config_options[i].name;
    }
}

/* Nothing in here can fail. */
static void apply(struct reload *reload, struct config *fresh, const struct access_token *token)
{
    enum log_level level = LOG_INFO;
    enum err_code rc = log_level_parse(fresh->log_level, &level);
    ASSERT(rc == ERR_OK); /* the configuration was checked */
    log_set_level(level);
    access_set(reload->access, token);
    config_exchange_reloadable(reload->running, fresh);
}

void reload_mark_success(struct reload *reload)
{
    metric_set(reload->metrics, M_CONFIG_RELOAD_OK, 0, 0, 1);
    metric_set(reload->metrics, M_CONFIG_RELOAD_TIME, 0, 0,
               (double)clock_wall_ms(reload->clock) / 1000.0);
}

static void report(struct reload *reload, enum err_code rc, const struct reload_result *result,
                   const struct err *err)
{
    if (rc != ERR_OK) {
        metric_set(reload->metrics, M_CONFIG_RELOAD_OK, 0, 0, 0);
        log_at(LOG_ERROR, "reload refused, nothing changed", LOG_STR("error", err->text));
        return;
    }
    reload_mark_success(reload);
    log_at(LOG_INFO, "reloaded", LOG_INT("restart_needed", result->restart_count));
    for (uint32_t i = 0; i < result->restart_count; i++)
        log_at(LOG_WARN, "option needs a restart", LOG_STR("option", result->restart[i]));
}

/* What is in force now, whatever became of the reload. */
static void record(struct reload *reload, const struct audit_who *who, enum err_code rc,
                   const struct reload_result *result, const struct err *err)
{
    char config[SHA256_HEX_BYTES], policies[SHA256_HEX_BYTES], features[SHA256_HEX_BYTES];
    config_digest(reload->running, config);
    registry_policies_sha256(reload->registry, policies);
    registry_features_sha256(reload->registry, features);
    /* A failure is counted and logged, and undoes nothing. */
    (void)!audit_record(reload->audit, who, "reload", rc, err,
                        AUDIT_WHAT(LOG_STR("config", config), LOG_STR("policies", policies),
                                   LOG_STR("features", features),
                                   LOG_INT("restart_needed", result->restart_count)),
                        NULL);
}

enum err_code reload_run(struct reload *reload, const struct audit_who *who,
                         struct reload_result *ret_result, struct err *err)
{
    struct config *fresh = NULL;
    struct access_token token;
    notify_reloading(reload->clock);
    enum err_code rc = config_load(&reload->source, &fresh, err);
    if (rc == ERR_OK)
        rc = access_read_token(fresh->admin_token_file, &token, err);
    if (rc == ERR_OK)
        rc = publish(reload->registry, fresh, err);
    if (rc == ERR_OK) {
        list_restarts(reload->running, fresh, ret_result);
        apply(reload, fresh, &token);
    }
    config_destroy(&fresh);
    report(reload, rc, ret_result, err);
    record(reload, who, rc, ret_result, err);
    notify_send("READY=1");
    return rc;
}

void reload_job(void *ctx)
{
    struct reload_result result = {0};
    struct err err = {.text = ""};
    struct audit_who who = audit_who_named("SIGHUP");
    /* The outcome is in the log. */
    (void)!reload_run(ctx, &who, &result, &err);
}
