/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/remote.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "base/rcu.h"
#include "client/decide.h"
#include "tools/cli/value.h"

/* Generous: a slow answer is an answer here, and the daemon is told that there is time. */
#define CALL_TIMEOUT_US 5000000

struct remote {
    const struct remote_options *options;
    const struct interactions *interactions;
    const struct dataset *dataset;
    struct decide_client *client;
    pthread_mutex_t lock; /* guards levels */
    struct remote_levels levels;
};

/* An unexpected wealth of levels ends in the last place. */
static void count_answer(struct remote *remote, const struct decide_reply *reply,
                         char name[REMOTE_LEVEL_BYTES])
{
    struct remote_levels *levels = &remote->levels;
    const char *level = reply->level != NULL ? reply->level : "unknown level";
    uint32_t i = 0;
    if (reply->reason != NULL)
        snprintf(name, REMOTE_LEVEL_BYTES, "%.30s (%.30s)", level, reply->reason);
    else
        snprintf(name, REMOTE_LEVEL_BYTES, "%.30s", level);
    pthread_mutex_lock(&remote->lock);
    while (i < levels->count && strcmp(levels->level[i].name, name) != 0)
        i++;
    if (i == levels->count && i < REMOTE_LEVELS_MAX) {
        memcpy(levels->level[i].name, name, REMOTE_LEVEL_BYTES);
        levels->count++;
    }
    levels->level[i < REMOTE_LEVELS_MAX ? i : REMOTE_LEVELS_MAX - 1].answers++;
    levels->short_lists += reply->item_count < remote->options->k;
    pthread_mutex_unlock(&remote->lock);
}

/* `what`: "status", "recommend for 'u1'". */
static enum err_code call_failed(const char *what, const struct decide_reply *reply,
                                 struct err *err)
{
    const char *why =
        reply->fallback ? "answered by the client itself" : decide_status_name(reply->status);
    return err_set(err, ERR_IO, "%s failed: %s%s%s%s%s", what, why,
                   reply->error_code != NULL ? ": " : "",
                   reply->error_code != NULL ? reply->error_code : "",
                   reply->error_message != NULL ? ": " : "",
                   reply->error_message != NULL ? reply->error_message : "");
}

/* "home@3": the slot that answered, which is the default one when there is none of that name. */
static enum err_code check_slot(const char *slot, const struct decide_reply *reply, struct err *err)
{
    size_t len = strlen(slot);
    const char *policy = reply->policy != NULL ? reply->policy : "";
    if (strncmp(policy, slot, len) == 0 && policy[len] == '@')
        return ERR_OK;
    return err_set(err, ERR_NOT_FOUND, "the daemon's policies have no slot '%s': '%s' answered",
                   slot, policy);
}

static uint32_t column_of(const struct remote *remote, const char *id)
{
    rcu_read_begin();
    uint32_t item = idmap_find(remote->interactions->items, text_of(id));
    rcu_read_end();
    return item == IDMAP_NONE ? DATASET_NONE : remote->dataset->column_of_item[item];
}

static enum err_code ask(void *ctx, uint32_t thread, uint32_t row, enum evaluate_mode mode,
                         uint32_t k, uint32_t *ret_columns, uint32_t *ret_count, struct err *err)
{
    struct remote *remote = ctx;
    char id[ID_BYTES_MAX + 1];
    bool anonymous = false;
    enum err_code rc = ERR_OK;
    (void)thread;
    text_copy(interactions_id(remote->interactions, remote->dataset->person[row], &anonymous), id,
              sizeof id);
    const struct decide_request request = {.user = anonymous ? NULL : id,
                                           .anon = anonymous ? id : NULL,
                                           .slot = remote->options->slot[mode],
                                           .n = k,
                                           .timeout_us = CALL_TIMEOUT_US};
    struct decide_reply *reply = decide_recommend(remote->client, &request);
    if (reply->status != DECIDE_OK || reply->fallback) {
        char what[ID_BYTES_MAX + 24];
        snprintf(what, sizeof what, "recommend for '%s'", id);
        rc = call_failed(what, reply, err);
    } else if ((rc = check_slot(request.slot, reply, err)) == ERR_OK) {
        char level[REMOTE_LEVEL_BYTES];
        count_answer(remote, reply, level);
        *ret_count = 0;
        for (size_t i = 0; i < reply->item_count && i < k; i++)
            ret_columns[(*ret_count)++] = column_of(remote, reply->items[i].id);
        const struct remote_answer answer = {row, mode, ret_columns, *ret_count, level, reply};
        if (remote->options->answered != NULL)
            remote->options->answered(remote->options->answered_ctx, &answer);
    }
    decide_reply_free(reply);
    return rc;
}

/* What was to be foretold must not be known. */
static enum err_code check_knows_no_test(const struct remote *remote, struct err *err)
{
    struct cursor store;
    int64_t watermark_ms = 0;
    char known[CLOCK_ISO_BYTES], split[CLOCK_ISO_BYTES];
    struct decide_reply *reply = decide_call(remote->client, "status", NULL, 0, CALL_TIMEOUT_US);
    enum err_code rc = ERR_OK;
    if (reply->status != DECIDE_OK || reply->bytes == NULL ||
        cursor_check(reply->bytes, reply->bytes_len, CURSOR_VALUES_MAX, err) != ERR_OK ||
        !value_find(cursor_of(reply->bytes, reply->bytes_len), "store", &store))
        rc = call_failed("status", reply, err);
    else if ((watermark_ms = value_int(store, "watermark_ms", 0)) >= remote->options->split_ms)
        rc = err_set(err, ERR_BAD_INPUT,
                     "the daemon has seen events of %s, and the test begins at %s: give a daemon "
                     "the events before that alone (docs/evaluation.md)",
                     clock_format_iso(watermark_ms, known),
                     clock_format_iso(remote->options->split_ms, split));
    decide_reply_free(reply);
    return rc;
}

static enum err_code create_client(const char *url, uint32_t connections,
                                   struct decide_client **ret_client, struct err *err)
{
    struct decide_options options = decide_options_default();
    char message[DECIDE_ERROR_BYTES];
    options.urls = url;
    options.connections_max = connections;
    return decide_client_create(&options, ret_client, message) == DECIDE_OK
               ? ERR_OK
               : err_set(err, ERR_BAD_INPUT, "--url: %s", message);
}

enum err_code remote_check_url(const char *url, struct err *err)
{
    struct decide_client *client = NULL;
    enum err_code rc = create_client(url, 1, &client, err);
    decide_client_destroy(&client);
    return rc;
}

enum err_code remote_evaluate(const struct remote_options *options,
                              const struct interactions *interactions,
                              const struct dataset *dataset, const struct targets *targets,
                              struct evaluation *ret_evaluation, struct remote_levels *ret_levels,
                              struct err *err)
{
    struct remote remote = {.options = options,
                            .interactions = interactions,
                            .dataset = dataset,
                            .lock = PTHREAD_MUTEX_INITIALIZER};
    const struct lists_source source = {.ctx = &remote,
                                        .list = ask,
                                        .progress = options->progress,
                                        .progress_ctx = options->progress_ctx};
    enum err_code rc = create_client(options->url, options->threads, &remote.client, err);
    if (rc == ERR_OK && options->split_ms > 0)
        rc = check_knows_no_test(&remote, err);
    if (rc == ERR_OK)
        rc = evaluate(dataset, targets, &source, options->k, options->threads, ret_evaluation, err);
    decide_client_destroy(&remote.client);
    if (rc == ERR_OK)
        *ret_levels = remote.levels;
    return rc;
}
