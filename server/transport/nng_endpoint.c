/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses of the socket: bound without disturbing whoever is there already, and who of their
 * peers counts as local. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "server/transport/address.h"
#include "server/transport/nng_internal.h"

#define TLS_SCHEME "tls+tcp://"
#define WS_SCHEME  "ws://"
static bool is_loopback(const nng_sockaddr *address)
{
    static const uint8_t loopback6[16] = {[15] = 1};
    static const uint8_t mapped4[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
    switch (address->s_family) {
    case NNG_AF_INPROC:
    case NNG_AF_IPC: return true;
    case NNG_AF_INET: return (ntohl(address->s_in.sa_addr) >> 24) == 127;
    case NNG_AF_INET6:
        return memcmp(address->s_in6.sa_addr, loopback6, sizeof loopback6) == 0 ||
               memcmp(address->s_in6.sa_addr, mapped4, sizeof mapped4) == 0;
    default: return false;
    }
}

static bool peer_is_local(nng_pipe pipe)
{
    nng_sockaddr peer;
    return nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &peer) == 0 && is_loopback(&peer);
}

void nng_endpoint_settle_locality(struct nng_server *server)
{
    uint32_t local_count = 0;
    for (uint32_t i = 0; i < server->endpoint_count; i++)
        local_count += server->endpoints[i].local;
    if (local_count == 0)
        atomic_store(&server->locality, LOCALITY_NONE);
    if (local_count < server->endpoint_count)
        return;
    atomic_store(&server->locality, LOCALITY_ALL);
    if (atomic_load(&server->foreign_peer_seen))
        atomic_store(&server->locality, LOCALITY_MIXED);
}

/* Packets from elsewhere can reach a loopback address: by route_localnet and a rule of NAT. */
void nng_endpoint_note_peer(struct nng_server *server, nng_pipe pipe)
{
    if (peer_is_local(pipe))
        return;
    enum nng_locality all = LOCALITY_ALL;
    atomic_store(&server->foreign_peer_seen, true);
    atomic_compare_exchange_strong(&server->locality, &all, LOCALITY_MIXED);
}

bool nng_pipe_is_local(const struct nng_server *server, nng_pipe pipe)
{
    enum nng_locality locality = atomic_load_explicit(&server->locality, memory_order_acquire);
    if (locality != LOCALITY_MIXED)
        return locality == LOCALITY_ALL;
    int id = nng_listener_id(nng_pipe_listener(pipe));
    for (uint32_t i = 0; i < server->endpoint_count; i++) {
        const struct nng_endpoint *endpoint = &server->endpoints[i];
        if (id > 0 && atomic_load(&endpoint->listener_id) == id)
            return endpoint->local && peer_is_local(pipe);
    }
    return false;
}

void nng_pipe_name_peer(nng_pipe pipe, char *buf, size_t buf_bytes)
{
    char host[INET6_ADDRSTRLEN] = "?";
    nng_sockaddr peer = {.s_family = NNG_AF_UNSPEC};
    if (nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &peer) != 0)
        peer.s_family = NNG_AF_UNSPEC;
    if (peer.s_family == NNG_AF_INET)
        inet_ntop(AF_INET, &peer.s_in.sa_addr, host, sizeof host);
    else if (peer.s_family == NNG_AF_INET6)
        inet_ntop(AF_INET6, peer.s_in6.sa_addr, host, sizeof host);
    else if (peer.s_family == NNG_AF_IPC || peer.s_family == NNG_AF_INPROC)
        text_copy(TEXT_LITERAL("this machine"), host, sizeof host);
    snprintf(buf, buf_bytes, "nng %s", host);
}

static enum err_code listen_failure(const char *address, int rc, struct err *err)
{
    switch (rc) {
    case NNG_EADDRINUSE:
        return err_set(err, ERR_BUSY, "address '%s' is in use by another process", address);
    case NNG_EADDRINVAL:
    case NNG_EINVAL:
    case NNG_ENOTSUP:
        return err_set(err, ERR_BAD_INPUT, "cannot listen on '%s': %s", address, nng_strerror(rc));
    default: return err_set(err, ERR_IO, "cannot listen on '%s': %s", address, nng_strerror(rc));
    }
}

/* Where a probe reaches the listener: a wildcard address is reached by the loopback. */
static socklen_t probe_address_of(const nng_sockaddr *bound, union nng_probe_address *ret_address)
{
    *ret_address = (union nng_probe_address){.any = {.sa_family = AF_UNSPEC}};
    switch (bound->s_family) {
    case NNG_AF_INET:
        ret_address->in = (struct sockaddr_in){.sin_family = AF_INET,
                                               .sin_port = bound->s_in.sa_port,
                                               .sin_addr.s_addr = bound->s_in.sa_addr};
        if (ret_address->in.sin_addr.s_addr == htonl(INADDR_ANY))
            ret_address->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof ret_address->in;
    case NNG_AF_INET6:
        ret_address->in6 =
            (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = bound->s_in6.sa_port};
        memcpy(&ret_address->in6.sin6_addr, bound->s_in6.sa_addr, 16);
        if (IN6_IS_ADDR_UNSPECIFIED(&ret_address->in6.sin6_addr))
            ret_address->in6.sin6_addr = in6addr_loopback;
        return sizeof ret_address->in6;
    case NNG_AF_IPC:
        ret_address->un = (struct sockaddr_un){.sun_family = AF_UNIX};
        snprintf(ret_address->un.sun_path, sizeof ret_address->un.sun_path, "%.107s",
                 bound->s_ipc.sa_path);
        return sizeof ret_address->un;
    default: return 0;
    }
}

/* nng does not say the port of a ws address that left it open. */
static void note_ws_port(struct nng_endpoint *endpoint, const nng_sockaddr *bound)
{
    char path[NNG_ADDRESS_BYTES];
    char *host = endpoint->address + strlen(WS_SCHEME);
    char *slash = host + strcspn(host, "/");
    snprintf(path, sizeof path, "%s", slash);
    *slash = '\0';
    char *colon = strrchr(host, ':');
    if (colon == NULL)
        return;
    uint16_t port = bound->s_family == NNG_AF_INET ? bound->s_in.sa_port : bound->s_in6.sa_port;
    snprintf(colon, (size_t)(endpoint->address + sizeof endpoint->address - colon), ":%u%s",
             ntohs(port), path);
}

static void note_bound(struct nng_endpoint *endpoint)
{
    nng_sockaddr bound = {.s_family = NNG_AF_INPROC};
    char *url = NULL;
    if (nng_listener_get_string(endpoint->listener, NNG_OPT_URL, &url) == 0)
        snprintf(endpoint->address, sizeof endpoint->address, "%s", url);
    nng_strfree(url);
    nng_listener_get_addr(endpoint->listener, NNG_OPT_LOCADDR, &bound);
    endpoint->local = is_loopback(&bound);
    if (strncmp(endpoint->address, WS_SCHEME, strlen(WS_SCHEME)) == 0)
        note_ws_port(endpoint, &bound);
    /* What the probe says is no opening of TLS or HTTP. */
    endpoint->probe_address_bytes = 0;
    if (strncmp(endpoint->address, ADDRESS_TCP, strlen(ADDRESS_TCP)) == 0 ||
        strncmp(endpoint->address, ADDRESS_IPC, strlen(ADDRESS_IPC)) == 0)
        endpoint->probe_address_bytes = probe_address_of(&bound, &endpoint->probe_address);
}

enum err_code nng_endpoint_listen(struct nng_server *server, struct nng_endpoint *endpoint,
                                  struct err *err)
{
    bool is_ipc = strncmp(endpoint->address, ADDRESS_IPC, strlen(ADDRESS_IPC)) == 0;
    if (is_ipc) {
        enum err_code rc = address_check_ipc_path(endpoint->address + strlen(ADDRESS_IPC), err);
        if (rc != ERR_OK)
            return rc;
    }
    nng_listener listener;
    int rc = nng_listener_create(&listener, server->socket, endpoint->address);
    if (rc != 0)
        return listen_failure(endpoint->address, rc, err);
    if (is_ipc)
        rc = nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, ADDRESS_IPC_MODE);
    else if (strncmp(endpoint->address, TLS_SCHEME, strlen(TLS_SCHEME)) == 0)
        rc = nng_listener_set_string(listener, NNG_OPT_TLS_CERT_KEY_FILE,
                                     server->options.tls_certificate_file);
    if (rc == 0)
        rc = nng_listener_start(listener, 0);
    if (rc != 0) {
        nng_listener_close(listener);
        return listen_failure(endpoint->address, rc, err);
    }
    endpoint->listener = listener;
    note_bound(endpoint);
    atomic_store(&endpoint->listener_id, nng_listener_id(listener));
    return ERR_OK;
}

void nng_endpoint_close(struct nng_endpoint *endpoint)
{
    if (atomic_exchange(&endpoint->listener_id, 0) != 0)
        nng_listener_close(endpoint->listener);
}
