/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/config_address.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

#include "base/num.h"

#define HOST_BYTES_MAX 256

#define FORM_FAULT "expected tcp://HOST:PORT or ipc:///PATH"
#define PATH_FAULT "expected a path of at most 107 bytes"
_Static_assert(sizeof((struct sockaddr_un *)NULL)->sun_path == 108, "PATH_FAULT says 107");

/* "HOST:PORT"; the port is a number, the host may be anything but nothing. */
static bool split_host_port(const char *value, struct text *ret_host, int64_t *ret_port)
{
    const char *colon = strrchr(value, ':');
    if (colon == NULL || colon == value || !num_parse_int(text_of(colon + 1), 0, 65535, ret_port))
        return false;
    *ret_host = (struct text){value, (uint32_t)(colon - value)};
    return true;
}

static bool is_host_port(const char *value)
{
    struct text host;
    int64_t port;
    return split_host_port(value, &host, &port);
}

/* "ws://HOST:PORT/PATH"; the path may be "/" or nothing. */
static bool is_websocket(const char *value)
{
    char host_port[HOST_BYTES_MAX];
    if (strncmp(value, "ws://", 5) != 0)
        return false;
    struct text text = {value + 5, (uint32_t)strcspn(value + 5, "/")};
    return text.len < sizeof host_port &&
           is_host_port(text_copy(text, host_port, sizeof host_port));
}

static const char *path_fault(const char *path)
{
    if (path[0] != '/' || path[1] == '\0')
        return FORM_FAULT;
    return strlen(path) < sizeof((struct sockaddr_un *)NULL)->sun_path ? NULL : PATH_FAULT;
}

const char *config_listen_fault(const char *value)
{
    static const struct {
        const char *scheme;
        bool is_path, is_name;
    } schemes[] = {
        {"tcp://", false, false}, {"nng+tcp://", false, false}, {"tls+tcp://", false, false},
        {"ipc://", true, false},  {"nng+ipc://", true, false},  {"inproc://", false, true},
    };
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t len = strlen(schemes[i].scheme);
        if (strncmp(value, schemes[i].scheme, len) != 0)
            continue;
        if (schemes[i].is_path)
            return path_fault(value + len);
        bool is_fine = schemes[i].is_name ? value[len] != '\0' : is_host_port(value + len);
        return is_fine ? NULL : FORM_FAULT;
    }
    return is_websocket(value) ? NULL : FORM_FAULT;
}

const char *config_http_fault(const char *value)
{
    struct in6_addr address;
    struct text host;
    char name[INET6_ADDRSTRLEN];
    int64_t port;
    bool is_fine = split_host_port(value, &host, &port);
    bool is_v6 = is_fine && host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (is_v6)
        host = (struct text){host.ptr + 1, host.len - 2};
    is_fine =
        is_fine && host.len < sizeof name &&
        inet_pton(is_v6 ? AF_INET6 : AF_INET, text_copy(host, name, sizeof name), &address) == 1;
    return is_fine ? NULL : "expected an IP address and a port, such as 127.0.0.1:7101";
}

static bool is_every_host(struct text host)
{
    return text_is(host, "0.0.0.0") || text_is(host, "[::]") || text_is(host, "*");
}

bool config_addresses_clash(const char *listen, const char *http)
{
    const char *place = strstr(listen, "://");
    struct text host, http_host;
    int64_t port, http_port;
    char host_port[HOST_BYTES_MAX];
    if (place == NULL || strncmp(place, ":///", 4) == 0)
        return false;
    struct text text = {place + 3, (uint32_t)strcspn(place + 3, "/")};
    if (text.len >= sizeof host_port ||
        !split_host_port(text_copy(text, host_port, sizeof host_port), &host, &port) ||
        !split_host_port(http, &http_host, &http_port) || port != http_port || port == 0)
        return false;
    return text_equal(host, http_host) || is_every_host(host) || is_every_host(http_host);
}
