/* SPDX-License-Identifier: Apache-2.0 */
#include "client/handle.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/address.h"
#include "client/clock.h"

struct decide_options decide_options_default(void)
{
    return (struct decide_options){.urls = "tcp://127.0.0.1:7100",
                                   .timeout_us = DECIDE_TIMEOUT_US,
                                   .connections_max = DECIDE_CONNECTIONS};
}

const char *decide_status_name(enum decide_status status)
{
    static const char *const names[] = {
        [DECIDE_OK] = "ok",
        [DECIDE_REFUSED] = "refused",
        [DECIDE_TIMEOUT] = "timeout",
        [DECIDE_UNREACHABLE] = "unreachable",
        [DECIDE_PROTOCOL] = "protocol",
        [DECIDE_INVALID] = "invalid",
        [DECIDE_NOMEM] = "nomem",
        [DECIDE_CANCELLED] = "cancelled",
    };
    size_t index = (size_t)status;
    return index < sizeof names / sizeof names[0] ? names[index] : "unknown";
}

const char *decide_version(void)
{
    return DECIDED_VERSION;
}

static bool is_new(const struct decide_client *client, const char *id)
{
    for (size_t i = 0; i < client->fallback_count; i++)
        if (strcmp(client->fallback[i], id) == 0)
            return false;
    return true;
}

static enum decide_status copy_fallback(struct decide_client *client,
                                        const struct decide_options *options,
                                        char error[DECIDE_ERROR_BYTES])
{
    size_t count = options->fallback_count;
    if (count == 0)
        return DECIDE_OK;
    if (options->fallback_items == NULL) {
        snprintf(error, DECIDE_ERROR_BYTES, "fallback_items: %zu of them, but the pointer is NULL",
                 count);
        return DECIDE_INVALID;
    }
    if (count > DECIDE_FALLBACK_MAX) {
        snprintf(error, DECIDE_ERROR_BYTES, "fallback_items: %zu of them, expected 0..%d", count,
                 DECIDE_FALLBACK_MAX);
        return DECIDE_INVALID;
    }
    size_t text_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const char *id = options->fallback_items[i];
        if (id == NULL || id[0] == '\0' || strlen(id) > DECIDE_ID_BYTES_MAX) {
            snprintf(error, DECIDE_ERROR_BYTES,
                     "fallback_items[%zu]: expected an id of 1..%d bytes", i, DECIDE_ID_BYTES_MAX);
            return DECIDE_INVALID;
        }
        text_bytes += strlen(id) + 1;
    }
    client->fallback = malloc(count * sizeof *client->fallback + text_bytes);
    if (client->fallback == NULL)
        return DECIDE_NOMEM;
    char *texts = (char *)(client->fallback + count);
    for (size_t i = 0; i < count; i++) {
        const char *id = options->fallback_items[i];
        if (!is_new(client, id))
            continue;
        client->fallback[client->fallback_count++] = memcpy(texts, id, strlen(id) + 1);
        texts += strlen(id) + 1;
    }
    return DECIDE_OK;
}

static enum decide_status refuse_number(const char *name, uint64_t max, uint64_t got,
                                        char error[DECIDE_ERROR_BYTES])
{
    snprintf(error, DECIDE_ERROR_BYTES, "%s: expected 1..%llu, got %llu", name,
             (unsigned long long)max, (unsigned long long)got);
    return DECIDE_INVALID;
}

static enum decide_status copy_numbers(struct decide_client *client,
                                       const struct decide_options *options,
                                       char error[DECIDE_ERROR_BYTES])
{
    client->timeout_us = options->timeout_us == 0 ? DECIDE_TIMEOUT_US : options->timeout_us;
    client->connections_max =
        options->connections_max == 0 ? DECIDE_CONNECTIONS : options->connections_max;
    if (client->connections_max > DECIDE_CONNECTIONS_MAX)
        return refuse_number("connections_max", DECIDE_CONNECTIONS_MAX, client->connections_max,
                             error);
    if (options->retry_percent > 100 && options->retry_percent != DECIDE_RETRY_NEVER)
        return refuse_number("retry_percent", 100, options->retry_percent, error);
    client->hedge_after_ns = CLIENT_HEDGE_NEVER;
    if (options->hedge_after_us == DECIDE_HEDGE_P95)
        client->hedge_after_ns = CLIENT_HEDGE_P95;
    else if (options->hedge_after_us == 0)
        client->hedge_after_ns = CLIENT_HEDGE_QUARTER;
    else if (options->hedge_after_us < CLIENT_HEDGE_QUARTER / CLIENT_NS_PER_US)
        client->hedge_after_ns = options->hedge_after_us * CLIENT_NS_PER_US;
    return DECIDE_OK;
}

static enum decide_status open_fleet(struct decide_client *client,
                                     const struct decide_options *options,
                                     char error[DECIDE_ERROR_BYTES])
{
    uint32_t percent = options->retry_percent == 0 ? DECIDE_RETRY_PERCENT : options->retry_percent;
    struct client_address *addresses = calloc(CLIENT_ADDRESSES_MAX, sizeof *addresses);
    if (addresses == NULL)
        return DECIDE_NOMEM;
    size_t count = 0;
    enum decide_status status = client_addresses_parse(options->urls, addresses, &count, error);
    if (status == DECIDE_OK)
        status = client_fleet_init(&client->fleet, addresses, count,
                                   percent == DECIDE_RETRY_NEVER ? 0 : percent);
    free(addresses);
    return status;
}

static enum decide_status open_last_good(struct decide_client *client,
                                         const struct decide_options *options,
                                         char error[DECIDE_ERROR_BYTES])
{
    uint64_t age_us = options->last_good_age_us;
    enum decide_status status =
        client_last_good_init(&client->last_good, options->last_good_bytes,
                              age_us == 0 ? DECIDE_LAST_GOOD_AGE_US : age_us);
    if (status == DECIDE_INVALID)
        snprintf(error, DECIDE_ERROR_BYTES, "last_good_bytes: expected 0 or at least %d, got %zu",
                 CLIENT_LAST_GOOD_BYTES_MIN, options->last_good_bytes);
    return status;
}

enum decide_status decide_client_create(const struct decide_options *options,
                                        struct decide_client **ret_client,
                                        char error[DECIDE_ERROR_BYTES])
{
    char unwanted[DECIDE_ERROR_BYTES];
    char *text = error == NULL ? unwanted : error;
    snprintf(text, DECIDE_ERROR_BYTES, "out of memory");
    struct decide_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return DECIDE_NOMEM;
    atomic_init(&client->process_id, getpid());
    client_async_init(&client->async);
    enum decide_status status = copy_numbers(client, options, text);
    if (status == DECIDE_OK && options->token != NULL) {
        client->token = strdup(options->token);
        status = client->token == NULL ? DECIDE_NOMEM : DECIDE_OK;
    }
    if (status == DECIDE_OK)
        status = copy_fallback(client, options, text);
    if (status == DECIDE_OK)
        status = open_last_good(client, options, text);
    if (status == DECIDE_OK)
        status = open_fleet(client, options, text);
    if (status == DECIDE_OK)
        status = client_pool_init(&client->pool, &client->fleet, &client->counters.connects,
                                  client->connections_max);
    if (status == DECIDE_OK) {
        text[0] = '\0';
        *ret_client = client;
        client = NULL;
    }
    decide_client_destroy(&client);
    return status;
}

void decide_client_destroy(struct decide_client **client)
{
    if (client == NULL || *client == NULL)
        return;
    client_notice_fork(*client);
    client_async_deinit(&(*client)->async);
    client_pool_deinit(&(*client)->pool);
    client_fleet_deinit(&(*client)->fleet);
    client_last_good_deinit(&(*client)->last_good);
    free((*client)->fallback);
    free((*client)->token);
    free(*client);
    *client = NULL;
}

static void forget_parent(struct decide_client *client)
{
    client_fleet_forget_parent(&client->fleet);
    client_pool_forget_parent(&client->pool);
    client_async_forget_parent(&client->async);
    client_last_good_forget_parent(&client->last_good);
}

void client_notice_fork(struct decide_client *client)
{
    int64_t self = getpid();
    int64_t owner = atomic_load_explicit(&client->process_id, memory_order_acquire);
    while (owner != self) {
        /* Acquire and release: a thread that sees `self` also sees the client as the thread that
         * won the exchange left it. */
        if (owner != 0 &&
            atomic_compare_exchange_strong_explicit(&client->process_id, &owner, 0,
                                                    memory_order_acquire, memory_order_acquire)) {
            forget_parent(client);
            atomic_store_explicit(&client->process_id, self, memory_order_release);
            return;
        }
        sched_yield();
        owner = atomic_load_explicit(&client->process_id, memory_order_acquire);
    }
}
