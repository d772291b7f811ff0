/* SPDX-License-Identifier: Apache-2.0 */
#include "server/transport/request_sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/metrics.h"
#include "server/transport/address.h"
#include "server/transport/nng_server.h"
#include "server/transport/sp_server.h"

#define NNG_PREFIX           "nng+"
#define HANDSHAKE_TIMEOUT_MS 10000 /* as nng has it */
#define MESSAGE_TIMEOUT_MS   10000
#define LOOK_NS_MIN          UINT64_C(100000000)
#define LOOK_NS_MAX          UINT64_C(900000000)
#define BEATS_PER_LOOK       5

_Static_assert(REQUEST_SOCKETS_ADDRESSES_MAX <= SP_SERVER_ADDRESSES_MAX &&
                   REQUEST_SOCKETS_ADDRESSES_MAX <= NNG_ADDRESSES_MAX,
               "either takes all addresses");

struct request_sockets {
    struct sp_server *sp;
    struct nng_server *nng;
    char nng_address[NNG_ADDRESSES_MAX][NNG_ADDRESS_BYTES + sizeof NNG_PREFIX];
    struct metrics *metrics;
    uint64_t look_ns;
    uint64_t looked_ns; /* 0: never */
    bool alive;         /* as of then */
};

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool request_sockets_is_native(const char *address)
{
    return starts_with(address, ADDRESS_TCP) || starts_with(address, ADDRESS_IPC);
}

/* Those for one of the two, as that one calls them, and what was inherited for them. */
static uint32_t select_addresses(const struct request_sockets_options *options, bool native,
                                 const char *ret_addresses[REQUEST_SOCKETS_ADDRESSES_MAX],
                                 int ret_fds[REQUEST_SOCKETS_ADDRESSES_MAX])
{
    uint32_t count = 0;
    ASSERT(options->address_count <= REQUEST_SOCKETS_ADDRESSES_MAX);
    for (uint32_t i = 0; i < options->address_count; i++) {
        const char *address = options->addresses[i];
        if (request_sockets_is_native(address) != native)
            continue;
        ret_fds[count] = options->inherited_fds == NULL ? -1 : options->inherited_fds[i];
        ret_addresses[count++] =
            address + (starts_with(address, NNG_PREFIX) ? strlen(NNG_PREFIX) : 0);
    }
    return count;
}

uint64_t request_sockets_look_ns(uint64_t watchdog_us)
{
    if (watchdog_us == 0 || watchdog_us > LOOK_NS_MAX / 450)
        return LOOK_NS_MAX;
    return watchdog_us * 450 < LOOK_NS_MIN ? LOOK_NS_MIN : watchdog_us * 450;
}

static uint32_t native_workers(const struct request_sockets_options *options)
{
    return options->native_workers > 0 ? options->native_workers : sp_server_usable_processors();
}

uint32_t request_sockets_worker_count(const struct request_sockets_options *options)
{
    const char *unused[REQUEST_SOCKETS_ADDRESSES_MAX];
    int unused_fds[REQUEST_SOCKETS_ADDRESSES_MAX];
    uint32_t count = 0;
    if (select_addresses(options, true, unused, unused_fds) > 0)
        count += native_workers(options);
    if (select_addresses(options, false, unused, unused_fds) > 0)
        count += NNG_SERVER_TASK_THREADS;
    return count;
}

static enum err_code start_native(struct request_sockets *sockets,
                                  const struct request_sockets_options *options, struct err *err)
{
    const char *addresses[REQUEST_SOCKETS_ADDRESSES_MAX];
    int fds[REQUEST_SOCKETS_ADDRESSES_MAX];
    struct sp_server_options sp = {
        .addresses = addresses,
        .inherited_fds = fds,
        .address_count = select_addresses(options, true, addresses, fds),
        .worker_count = native_workers(options),
        .realtime_priority = options->realtime_priority,
        .message_bytes_max = options->message_bytes_max,
        .connections_max = options->connections_max,
        .handshake_timeout_ms = HANDSHAKE_TIMEOUT_MS,
        .message_timeout_ms = MESSAGE_TIMEOUT_MS,
        .send_timeout_ms = options->send_timeout_ms,
        .heartbeat_ms = (uint32_t)(sockets->look_ns / 1000000 / BEATS_PER_LOOK),
        .call = options->call,
        .service = options->service,
        .claim_worker = options->claim_worker,
        .claim_ctx = options->claim_ctx,
        .metrics = options->metrics,
        .clock = options->clock,
    };
    if (sp.address_count == 0)
        return ERR_OK;
    enum err_code rc = sp_server_create(&sp, &sockets->sp, err);
    return rc == ERR_OK ? sp_server_start(sockets->sp, err) : rc;
}

/* With the prefix where the same address could be a native one. */
static void name_nng_addresses(struct request_sockets *sockets)
{
    for (uint32_t i = 0; i < nng_server_address_count(sockets->nng); i++) {
        const char *bound = nng_server_address(sockets->nng, i);
        snprintf(sockets->nng_address[i], sizeof sockets->nng_address[i], "%s%s",
                 request_sockets_is_native(bound) ? NNG_PREFIX : "", bound);
    }
}

static enum err_code start_nng(struct request_sockets *sockets,
                               const struct request_sockets_options *options, struct err *err)
{
    const char *addresses[REQUEST_SOCKETS_ADDRESSES_MAX];
    int unused_fds[REQUEST_SOCKETS_ADDRESSES_MAX];
    struct nng_server_options nng = {
        .addresses = addresses,
        .address_count = select_addresses(options, false, addresses, unused_fds),
        .message_bytes_max = options->message_bytes_max,
        .connections_max = options->connections_max,
        .contexts = options->contexts,
        .send_timeout_ms = options->send_timeout_ms,
        .tls_certificate_file = options->tls_certificate_file,
        .call = options->call,
        .service = options->service,
        .claim_worker = options->claim_worker,
        .claim_ctx = options->claim_ctx,
        .metrics = options->metrics,
        .clock = options->clock,
    };
    if (nng.address_count == 0)
        return ERR_OK;
    enum err_code rc = nng_server_create(&nng, &sockets->nng, err);
    if (rc == ERR_OK)
        rc = nng_server_start(sockets->nng, err);
    if (rc == ERR_OK)
        name_nng_addresses(sockets);
    return rc;
}

enum err_code request_sockets_start(const struct request_sockets_options *options,
                                    struct request_sockets **ret_sockets, struct err *err)
{
    struct request_sockets *sockets = calloc(1, sizeof *sockets);
    if (sockets == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the request sockets");
    sockets->metrics = options->metrics;
    sockets->look_ns = options->look_ns > 0 ? options->look_ns : request_sockets_look_ns(0);
    enum err_code rc = start_native(sockets, options, err);
    if (rc == ERR_OK)
        rc = start_nng(sockets, options, err);
    if (rc == ERR_OK) {
        *ret_sockets = sockets;
        sockets = NULL;
    }
    request_sockets_destroy(&sockets);
    return rc;
}

static uint32_t native_count(const struct request_sockets *sockets)
{
    return sockets->sp == NULL ? 0 : sp_server_address_count(sockets->sp);
}

uint32_t request_sockets_address_count(const struct request_sockets *sockets)
{
    return native_count(sockets) +
           (sockets->nng == NULL ? 0 : nng_server_address_count(sockets->nng));
}

const char *request_sockets_address(const struct request_sockets *sockets, uint32_t index)
{
    uint32_t native = native_count(sockets);
    ASSERT(index < request_sockets_address_count(sockets));
    return index < native ? sp_server_address(sockets->sp, index)
                          : sockets->nng_address[index - native];
}

int request_sockets_listener_fd(const struct request_sockets *sockets, uint32_t index)
{
    return index < native_count(sockets) ? sp_server_listener_fd(sockets->sp, index) : -1;
}

void request_sockets_refuse_new(struct request_sockets *sockets)
{
    if (sockets->sp != NULL)
        sp_server_refuse_new(sockets->sp);
    if (sockets->nng != NULL)
        nng_server_refuse_new(sockets->nng);
}

uint32_t request_sockets_in_flight(const struct request_sockets *sockets)
{
    return (sockets->sp == NULL ? 0 : sp_server_in_flight(sockets->sp)) +
           (sockets->nng == NULL ? 0 : nng_server_in_flight(sockets->nng));
}

bool request_sockets_are_alive(struct request_sockets *sockets, uint64_t now_ns)
{
    uint64_t since_ns = now_ns - sockets->looked_ns;
    bool first = sockets->looked_ns == 0;
    if (!first && since_ns < sockets->look_ns)
        return sockets->alive;
    bool was_held_up = since_ns > 2 * sockets->look_ns;
    sockets->looked_ns = now_ns;
    if (sockets->sp == NULL || first) {
        sockets->alive = true;
        if (sockets->sp != NULL)
            (void)sp_server_look(sockets->sp, false);
        return true;
    }
    uint32_t still_count = sp_server_look(sockets->sp, !was_held_up);
    if (!was_held_up) {
        sockets->alive = still_count == 0;
        metric_set(sockets->metrics, M_WORKERS_STILL, 0, 0, (double)still_count);
    }
    return sockets->alive;
}

void request_sockets_destroy(struct request_sockets **sockets)
{
    struct request_sockets *gone = *sockets;
    *sockets = NULL;
    if (gone == NULL)
        return;
    nng_server_destroy(&gone->nng);
    sp_server_destroy(&gone->sp);
    free(gone);
}
