/* SPDX-License-Identifier: Apache-2.0 */
/* How a daemon is reached.  An heir has no sockets until who started it has let go of them: until
 * then neither `sockets` nor `http` is there. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "server/control/notify.h"
#include "server/daemon.h"
#include "server/transport/address.h"

static struct worker *claim_worker(void *ctx)
{
    return workers_claim(ctx);
}

static bool get_page(void *ctx, const char *path, const char *query, struct http_page *ret_page)
{
    struct page page;
    if (!pages_get(ctx, path, query, &page))
        return false;
    *ret_page = (struct http_page){page.status, page.content_type, page.body, page.body_bytes};
    return true;
}

void daemon_refuse_new(void *ctx)
{
    struct daemon *daemon = ctx;
    if (daemon->sockets != NULL)
        request_sockets_refuse_new(daemon->sockets);
    if (daemon->http != NULL)
        http_server_refuse_new(daemon->http);
}

uint32_t daemon_in_flight(void *ctx)
{
    struct daemon *daemon = ctx;
    uint32_t in_sockets = daemon->sockets == NULL ? 0 : request_sockets_in_flight(daemon->sockets);
    return in_sockets + (daemon->http == NULL ? 0 : http_server_in_flight(daemon->http));
}

bool daemon_are_workers_alive(void *ctx)
{
    struct daemon *daemon = ctx;
    return daemon->sockets == NULL ||
           request_sockets_are_alive(daemon->sockets, clock_now_ns(daemon->clock));
}

void daemon_plan_sockets(struct daemon *daemon)
{
    const struct config *config = daemon->config;
    daemon->sockets_options = (struct request_sockets_options){
        .addresses = (const char *const *)config->listen.ptr,
        .address_count = config->listen.count,
        .native_workers = (uint32_t)config->workers,
        .realtime_priority = (int)config->workers_realtime_priority,
        .message_bytes_max = (uint32_t)config->message_bytes_max,
        .connections_max = (uint32_t)config->connections_max,
        .contexts = (uint32_t)config->contexts,
        .send_timeout_ms = (uint32_t)config->send_timeout_ms,
        .look_ns = request_sockets_look_ns(notify_watchdog_us()),
        .tls_certificate_file = config->tls_certificate_file,
        .call = service_call,
        .claim_worker = claim_worker,
        .clock = daemon->clock,
    };
    daemon->worker_count = request_sockets_worker_count(&daemon->sockets_options) + 1;
}

/* Peers are let in once the store knows what it knew. */
static enum err_code start_sockets(struct daemon *daemon, struct err *err)
{
    struct request_sockets_options *options = &daemon->sockets_options;
    options->service = daemon->service;
    options->claim_ctx = daemon->workers;
    options->metrics = daemon->metrics;
    int inherited[REQUEST_SOCKETS_ADDRESSES_MAX];
    for (uint32_t i = 0; i < options->address_count; i++)
        inherited[i] = request_sockets_is_native(options->addresses[i])
                           ? handover_gift_take(&daemon->gift, options->addresses[i])
                           : -1;
    options->inherited_fds = inherited;
    enum err_code rc = request_sockets_start(options, &daemon->sockets, err);
    for (uint32_t i = 0; rc == ERR_OK && i < request_sockets_address_count(daemon->sockets); i++)
        log_at(LOG_INFO, "listening",
               LOG_STR("address", request_sockets_address(daemon->sockets, i)));
    return rc;
}

enum err_code daemon_start_http(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->config;
    char url[300];
    struct http_server_options options = {
        .address = config->http,
        .inherited_fd = handover_gift_take(&daemon->gift, config->http),
        .body_bytes_max = (uint32_t)config->http_body_bytes_max,
        .connections_max = (uint32_t)config->http_connections_max,
        .request_timeout_ms = (uint32_t)config->http_request_timeout_ms,
        .idle_timeout_ms = (uint32_t)config->http_idle_timeout_ms,
        .call = service_call,
        .service = daemon->service,
        .worker = workers_claim(daemon->workers),
        .page = get_page,
        .page_ctx = &daemon->pages,
        .metrics = daemon->metrics,
        .clock = daemon->clock,
    };
    enum err_code rc =
        http_server_create(lifecycle_base(daemon->lifecycle), &options, &daemon->http, err);
    if (rc != ERR_OK)
        return rc;
    snprintf(url, sizeof url, "http://%s", http_server_address(daemon->http));
    log_at(LOG_INFO, "listening", LOG_STR("address", url));
    return ERR_OK;
}

static void add_socket(struct handover_gift *gift, const char *address, int fd)
{
    if (fd < 0)
        return;
    gift->socket[gift->socket_count].fd = fd;
    snprintf(gift->socket[gift->socket_count].address, HANDOVER_ADDRESS_BYTES, "%s", address);
    gift->socket_count++;
}

/* What a successor gets.  An address of the nng library cannot be given: it stands beside a
 * descriptor that is no socket, and so the successor knows that it will be free. */
static void fill_gift(void *ctx, struct handover_gift *gift)
{
    struct daemon *daemon = ctx;
    const struct request_sockets_options *options = &daemon->sockets_options;
    uint32_t native = 0;
    gift->data_lock_fd = daemon->lock_fd;
    gift->models_lock_fd = registry_lock_fd(daemon->registry);
    add_socket(gift, daemon->config->http, http_server_listener_fd(daemon->http));
    for (uint32_t i = 0; i < options->address_count; i++)
        if (request_sockets_is_native(options->addresses[i]))
            add_socket(gift, options->addresses[i],
                       request_sockets_listener_fd(daemon->sockets, native++));
    for (uint32_t i = native; i < request_sockets_address_count(daemon->sockets); i++)
        add_socket(gift, request_sockets_address(daemon->sockets, i), daemon->lock_fd);
}

/* ---- what an heir does before anybody lets go of anything ------------------------------------ */

static uint16_t port_of_socket(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } bound = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t bytes = sizeof bound;
    if (getsockname(fd, &bound.any, &bytes) != 0)
        return 0;
    return bound.any.sa_family == AF_INET    ? ntohs(bound.in.sin_port)
           : bound.any.sa_family == AF_INET6 ? ntohs(bound.in6.sin6_port)
                                             : 0;
}

/* Who started this process has it, perhaps in the nng library, and will let go of it. */
static bool will_be_free(const struct handover_gift *gift, const char *address)
{
    const char *path = strstr(address, ADDRESS_IPC);
    for (uint32_t i = 0; i < gift->socket_count; i++) {
        const char *given = gift->socket[i].address;
        const char *given_path = strstr(given, ADDRESS_IPC);
        if (strcmp(given, address) == 0)
            return true;
        if (path != NULL && given_path != NULL && strcmp(path, given_path) == 0)
            return true;
    }
    return false;
}

static bool overlap(const struct sockaddr *a, const struct sockaddr *b)
{
    if (a->sa_family == AF_INET && b->sa_family == AF_INET) {
        in_addr_t one = ((const struct sockaddr_in *)a)->sin_addr.s_addr;
        in_addr_t other = ((const struct sockaddr_in *)b)->sin_addr.s_addr;
        return one == INADDR_ANY || other == INADDR_ANY || one == other;
    }
    if (a->sa_family == AF_INET6 && b->sa_family == AF_INET6) {
        const struct in6_addr *one = &((const struct sockaddr_in6 *)a)->sin6_addr;
        const struct in6_addr *other = &((const struct sockaddr_in6 *)b)->sin6_addr;
        return IN6_IS_ADDR_UNSPECIFIED(one) || IN6_IS_ADDR_UNSPECIFIED(other) ||
               IN6_ARE_ADDR_EQUAL(one, other);
    }
    return true; /* a socket of IPv6 may take both */
}

/* Whether who listens on one keeps others from the same port of the other. */
static bool hosts_overlap(const char *address, const char *other_address)
{
    struct addrinfo *one = NULL, *other = NULL;
    bool do_overlap = address_resolve(address, &one, NULL) != ERR_OK ||
                      address_resolve(other_address, &other, NULL) != ERR_OK ||
                      overlap(one->ai_addr, other->ai_addr);
    if (one != NULL)
        freeaddrinfo(one);
    if (other != NULL)
        freeaddrinfo(other);
    return do_overlap;
}

/* The same of the port, perhaps of a host that is a part of the other. */
static bool will_port_be_free(const struct handover_gift *gift, const char *address)
{
    uint16_t port = address_port(address);
    for (uint32_t i = 0; i < gift->socket_count && port != 0; i++) {
        const char *given = gift->socket[i].address;
        if (strstr(given, ADDRESS_IPC) == NULL &&
            (address_port(given) == port || port_of_socket(gift->socket[i].fd) == port) &&
            hosts_overlap(given, address))
            return true;
    }
    return false;
}

static enum err_code check_address(const struct daemon *daemon, const char *address,
                                   struct err *err)
{
    struct err why = {.text = ""};
    enum err_code rc = ERR_OK;
    if (!will_be_free(&daemon->gift, address))
        rc = address_probe(address, &why);
    if (rc == ERR_BUSY && will_port_be_free(&daemon->gift, address))
        rc = ERR_OK;
    return rc == ERR_OK ? ERR_OK : err_set(err, rc, "%s", why.text);
}

enum err_code daemon_check_sockets(struct daemon *daemon, struct err *err)
{
    const struct request_sockets_options *options = &daemon->sockets_options;
    const char *http = daemon->config->http;
    enum err_code rc = request_sockets_check(options, err);
    for (uint32_t i = 0; rc == ERR_OK && i < options->address_count; i++)
        rc = check_address(daemon, options->addresses[i], err);
    return rc == ERR_OK ? check_address(daemon, http, err) : rc;
}

/* A bit for each of the sockets in the gift that this daemon listens on. */
static uint32_t wanted_sockets(const struct daemon *daemon)
{
    const struct request_sockets_options *options = &daemon->sockets_options;
    uint32_t sockets = 0;
    for (uint32_t i = 0; i < daemon->gift.socket_count; i++) {
        const char *given = daemon->gift.socket[i].address;
        bool wanted = strcmp(given, daemon->config->http) == 0;
        for (uint32_t k = 0; !wanted && k < options->address_count; k++)
            wanted = request_sockets_is_native(given) && strcmp(given, options->addresses[k]) == 0;
        sockets |= (uint32_t)wanted << i;
    }
    return sockets;
}

/* So that 0.0.0.0 can be opened where 127.0.0.1 was given, and the like. */
static void close_unwanted(struct daemon *daemon)
{
    uint32_t wanted = wanted_sockets(daemon);
    struct handover_gift *gift = &daemon->gift;
    for (uint32_t i = 0; i < gift->socket_count; i++) {
        if ((wanted >> i & 1) == 0 && gift->socket[i].fd >= 0) {
            close(gift->socket[i].fd);
            gift->socket[i].fd = -1;
        }
    }
}

enum err_code daemon_start_successor(struct daemon *daemon, struct err *err)
{
    struct successor_options options = {
        .base = lifecycle_base(daemon->lifecycle),
        .argv = daemon->argv,
        .fill_gift = fill_gift,
        .gift_ctx = daemon,
        .hold = erasure_hold,
        .hold_ctx = daemon->erasure,
        .changes = &daemon->changes,
        .on_ready = lifecycle_hand_over,
        .ready_ctx = daemon->lifecycle,
    };
    return successor_create(&options, &daemon->successor, err);
}

/* True while another process still serves, which started this one. */
static bool must_wait(struct daemon *daemon, enum store_recovery_state state)
{
    if (!daemon_is_heir(daemon) || daemon->parent.has_released)
        return false;
    if (state == STORE_RECOVERY_FAILED)
        return false; /* this one ends, and the other serves on */
    if (state != STORE_RECOVERING)
        handover_tell_ready(&daemon->parent, wanted_sockets(daemon));
    if (!handover_is_released(&daemon->parent))
        return true;
    store_end_follow(daemon->store);
    return store_log(daemon->store) != NULL; /* what is left is replayed first */
}

/* They name the process that has them. */
static enum err_code sign_locks(struct daemon *daemon, struct err *err)
{
    int models_lock_fd = registry_lock_fd(daemon->registry);
    enum err_code rc = file_sign_lock(daemon->lock_fd, err);
    return rc == ERR_OK && models_lock_fd >= 0 ? file_sign_lock(models_lock_fd, err) : rc;
}

static void record_start(struct daemon *daemon)
{
    struct audit_who who = audit_who_named("decided");
    char config[SHA256_HEX_BYTES], policies[SHA256_HEX_BYTES], features[SHA256_HEX_BYTES];
    config_digest(daemon->config, config);
    registry_policies_sha256(daemon->registry, policies);
    registry_features_sha256(daemon->registry, features);
    daemon->has_served = true;
    /* A failure is counted and logged: a shop without decisions is worse. */
    (void)!audit_record(daemon->audit, &who, "start", ERR_OK, NULL,
                        AUDIT_WHAT(LOG_STR("version", DECIDED_VERSION), LOG_STR("config", config),
                                   LOG_STR("policies", policies), LOG_STR("features", features),
                                   LOG_BOOL("takes_over", daemon_is_heir(daemon))),
                        NULL);
}

static enum err_code start_erasure(struct daemon *daemon, struct err *err)
{
    const struct erasure_parts parts = {
        .store = daemon->store, .decision_log = daemon->decision_log, .answers = daemon->answers};
    return erasure_start(daemon->erasure, &parts, err);
}

enum lifecycle_opening daemon_open_sockets(void *ctx, struct err *err)
{
    struct daemon *daemon = ctx;
    struct store_recovery recovery;
    store_recovery(daemon->store, &recovery, err);
    if (must_wait(daemon, recovery.state))
        return LIFECYCLE_TOO_EARLY;
    switch (recovery.state) {
    case STORE_RECOVERING:
    case STORE_FOLLOWING: return LIFECYCLE_TOO_EARLY;
    case STORE_RECOVERY_FAILED: return LIFECYCLE_CANNOT_OPEN;
    case STORE_RECOVERED: break;
    }
    if (recovery.last_sequence > 0)
        log_at(LOG_INFO, "recovered", LOG_INT("checkpoint", (int64_t)recovery.checkpoint_sequence),
               LOG_INT("first", (int64_t)recovery.first_sequence),
               LOG_INT("last", (int64_t)recovery.at_sequence),
               LOG_INT("refused", (int64_t)recovery.refused));
    enum err_code rc =
        daemon->has_inherited_lock || daemon_is_heir(daemon) ? sign_locks(daemon, err) : ERR_OK;
    if (rc == ERR_OK && daemon->decision_log != NULL) /* nobody else writes it any more */
        rc = decision_log_start(daemon->decision_log, err);
    if (rc == ERR_OK)
        rc = start_erasure(daemon, err);
    if (rc == ERR_OK && daemon_is_heir(daemon)) {
        registry_take_over(daemon->registry);
        close_unwanted(daemon);
        rc = daemon_start_http(daemon, err);
    }
    if (rc == ERR_OK)
        rc = start_sockets(daemon, err);
    if (rc == ERR_OK) /* an address may be in use */
        record_start(daemon);
    handover_gift_close(&daemon->gift);
    if (rc == ERR_OK)
        handover_tell_serving(&daemon->parent);
    return rc == ERR_OK ? LIFECYCLE_OPEN : LIFECYCLE_CANNOT_OPEN;
}
