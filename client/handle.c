/* SPDX-License-Identifier: Apache-2.0 */
#include "client/handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/address.h"

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
    if (options->fallback_items == NULL || count > DECIDE_FALLBACK_MAX) {
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

static enum decide_status open_pool(struct decide_client *client,
                                    const struct decide_options *options,
                                    char error[DECIDE_ERROR_BYTES])
{
    uint32_t connections_max =
        options->connections_max == 0 ? DECIDE_CONNECTIONS : options->connections_max;
    if (connections_max > DECIDE_CONNECTIONS_MAX) {
        snprintf(error, DECIDE_ERROR_BYTES, "connections_max: expected 1..%d, got %u",
                 DECIDE_CONNECTIONS_MAX, connections_max);
        return DECIDE_INVALID;
    }
    struct client_address *addresses = calloc(CLIENT_ADDRESSES_MAX, sizeof *addresses);
    if (addresses == NULL)
        return DECIDE_NOMEM;
    size_t count = 0;
    enum decide_status status = client_addresses_parse(options->urls, addresses, &count, error);
    if (status == DECIDE_OK)
        status = client_pool_init(&client->pool, addresses, count, connections_max);
    free(addresses);
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
    enum decide_status status = client == NULL ? DECIDE_NOMEM : DECIDE_OK;
    if (status == DECIDE_OK && options->token != NULL) {
        client->token = strdup(options->token);
        status = client->token == NULL ? DECIDE_NOMEM : DECIDE_OK;
    }
    if (status == DECIDE_OK)
        status = copy_fallback(client, options, text);
    if (status == DECIDE_OK)
        status = open_pool(client, options, text);
    if (status == DECIDE_OK) {
        client->timeout_us = options->timeout_us == 0 ? DECIDE_TIMEOUT_US : options->timeout_us;
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
    client_pool_deinit(&(*client)->pool);
    free((*client)->fallback);
    free((*client)->token);
    free(*client);
    *client = NULL;
}
