/* SPDX-License-Identifier: Apache-2.0 */
#include "server/transport/sp_server.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "server/transport/address.h"
#include "server/transport/sp_internal.h"

#define CPUS_MAX 4096

uint32_t sp_server_usable_processors(void)
{
    cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
    int count = 1;
    if (set != NULL && sched_getaffinity(0, CPU_ALLOC_SIZE(CPUS_MAX), set) == 0)
        count = CPU_COUNT_S(CPU_ALLOC_SIZE(CPUS_MAX), set);
    CPU_FREE(set);
    if (count < 1)
        return 1;
    return count > SP_SERVER_WORKERS_MAX ? SP_SERVER_WORKERS_MAX : (uint32_t)count;
}

static enum err_code check_address(const char *address, struct err *err)
{
    if (strncmp(address, ADDRESS_TCP, strlen(ADDRESS_TCP)) != 0 &&
        strncmp(address, ADDRESS_IPC, strlen(ADDRESS_IPC)) != 0)
        return err_set(err, ERR_BAD_INPUT,
                       "address '%.200s': expected tcp://HOST:PORT or ipc:///PATH", address);
    if (strlen(address) >= SP_SERVER_ADDRESS_BYTES)
        return err_set(err, ERR_LIMIT, "address '%.40s...': longer than %d bytes", address,
                       SP_SERVER_ADDRESS_BYTES - 1);
    return ERR_OK;
}

static enum err_code check_options(const struct sp_server_options *options, struct err *err)
{
    if (options->address_count < 1 || options->address_count > SP_SERVER_ADDRESSES_MAX)
        return err_set(err, ERR_LIMIT, "listen: expected 1..%d addresses, got %u",
                       SP_SERVER_ADDRESSES_MAX, options->address_count);
    if (options->worker_count < 1 || options->worker_count > SP_SERVER_WORKERS_MAX)
        return err_set(err, ERR_LIMIT, "workers: expected 1..%d, got %u", SP_SERVER_WORKERS_MAX,
                       options->worker_count);
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < options->address_count && rc == ERR_OK; i++)
        rc = check_address(options->addresses[i], err);
    return rc;
}

static void init_listener(struct sp_server *server, uint32_t index,
                          const struct sp_server_options *options)
{
    const char *address = options->addresses[index];
    struct sp_listener *listener = &server->listeners[index];
    *listener = (struct sp_listener){
        .server = server,
        .fd = -1,
        .inherited_fd = options->inherited_fds == NULL ? -1 : options->inherited_fds[index],
        .ipc = strncmp(address, ADDRESS_IPC, strlen(ADDRESS_IPC)) == 0,
    };
    memcpy(listener->address, address, strlen(address) + 1);
}

static enum err_code open_workers(struct sp_server *server, struct err *err)
{
    uint32_t count = server->options.worker_count;
    enum err_code rc = ERR_OK;
    server->workers = calloc(count, sizeof *server->workers);
    if (server->workers == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for %u workers of the request socket", count);
    while (server->worker_count < count && rc == ERR_OK) {
        struct sp_worker *worker = &server->workers[server->worker_count];
        worker->index = server->worker_count++; /* counted half-built too: deinit copes */
        rc = sp_worker_init(worker, server, err);
    }
    return rc;
}

enum err_code sp_server_create(const struct sp_server_options *options,
                               struct sp_server **ret_server, struct err *err)
{
    ASSERT(options->heartbeat_ms > 0);
    ASSERT(options->call != NULL && options->claim_worker != NULL && options->metrics != NULL);
    enum err_code rc = check_options(options, err);
    if (rc != ERR_OK)
        return rc;
    struct sp_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the request socket");
    pthread_mutex_init(&server->mutex, NULL);
    server->options = *options;
    server->options.addresses = NULL; /* borrowed for this call only */
    server->options.inherited_fds = NULL;
    server->listener_count = options->address_count;
    for (uint32_t i = 0; i < options->address_count; i++)
        init_listener(server, i, options);
    rc = open_workers(server, err);
    if (rc == ERR_OK) {
        *ret_server = server;
        server = NULL;
    }
    sp_server_destroy(&server);
    return rc;
}

enum err_code sp_server_start(struct sp_server *server, struct err *err)
{
    enum err_code rc = ERR_OK;
    uint32_t started_count = 0;
    for (uint32_t i = 0; i < server->listener_count && rc == ERR_OK; i++)
        rc = sp_listener_open(&server->listeners[i], err);
    if (rc == ERR_OK)
        rc = sp_accept_start(server, err);
    while (rc == ERR_OK && started_count < server->worker_count)
        rc = sp_worker_start(&server->workers[started_count++], err);
    /* The first worker accepts: it runs when others fail to start, and ends in destroy. */
    if (rc != ERR_OK && !server->workers[0].thread_runs)
        sp_accept_stop(server);
    return rc;
}

uint32_t sp_server_address_count(const struct sp_server *server)
{
    return server->listener_count;
}

const char *sp_server_address(const struct sp_server *server, uint32_t index)
{
    ASSERT(index < server->listener_count);
    return server->listeners[index].address;
}

int sp_server_listener_fd(const struct sp_server *server, uint32_t index)
{
    ASSERT(index < server->listener_count);
    return server->refuses_new ? -1 : server->listeners[index].fd;
}

void sp_server_refuse_new(struct sp_server *server)
{
    server->refuses_new = true;
    sp_accept_let_go(server);
    for (uint32_t i = 0; i < server->worker_count; i++)
        sp_inbox_tell_role(server->workers[i].inbox);
}

uint32_t sp_server_in_flight(const struct sp_server *server)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < server->worker_count; i++)
        count += atomic_load_explicit(&server->workers[i].in_flight, memory_order_relaxed);
    return count;
}

uint32_t sp_server_look(struct sp_server *server, bool judge)
{
    uint32_t still_count = 0;
    for (uint32_t i = 0; i < server->worker_count; i++) {
        struct sp_worker *worker = &server->workers[i];
        uint64_t progress = atomic_load_explicit(&worker->progress, memory_order_relaxed);
        bool still = progress == worker->looked_progress;
        worker->looked_progress = progress;
        if (!judge)
            continue;
        atomic_store_explicit(&worker->stands_still, still, memory_order_relaxed);
        still_count += still;
    }
    if (still_count > 0)
        sp_accept_look(server);
    return still_count;
}

void sp_server_count_connection(struct sp_server *server, bool one_more, bool *ret_full)
{
    pthread_mutex_lock(&server->mutex);
    server->connection_count += one_more ? 1 : UINT32_MAX;
    *ret_full = server->connection_count > server->options.connections_max;
    metric_set(server->options.metrics, M_CONNECTIONS, TRANSPORT_SP, 0,
               (double)server->connection_count);
    pthread_mutex_unlock(&server->mutex);
}

void sp_server_destroy(struct sp_server **server)
{
    struct sp_server *gone = *server;
    *server = NULL;
    if (gone == NULL)
        return;
    for (uint32_t i = 0; i < gone->worker_count; i++) {
        if (gone->workers[i].thread_runs)
            sp_inbox_stop(gone->workers[i].inbox);
    }
    for (uint32_t i = 0; i < gone->worker_count; i++)
        sp_worker_join(&gone->workers[i]);
    sp_accept_stop(gone);
    for (uint32_t i = 0; i < gone->worker_count; i++)
        sp_worker_deinit(&gone->workers[i]);
    free(gone->workers);
    pthread_mutex_destroy(&gone->mutex);
    free(gone);
}
