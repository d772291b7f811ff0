/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/daemon_client.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/transcode.h"
#include "tests/support/sp_client.h"

#define BYTES_MAX 1048576
#define WAIT_S    60

static _Noreturn void die(const char *what, const char *detail)
{
    fprintf(stderr, "daemon_client: %s: %s\n", what, detail);
    abort();
}

static uint8_t *buffer_of(size_t bytes)
{
    uint8_t *buffer = malloc(bytes);
    if (buffer == NULL)
        die("out of memory", "");
    return buffer;
}

/* {"op": OP, ...} as MessagePack. */
static size_t encode(const char *op, const char *json, uint8_t *bytes)
{
    struct err err;
    size_t text_bytes = strlen(json) + strlen(op) + 16;
    char *text = (char *)buffer_of(text_bytes);
    bool is_empty = json[1 + strspn(json + 1, " ")] == '}';
    snprintf(text, text_bytes, "{\"op\":\"%s\"%s%s", op, is_empty ? "" : ",", json + 1);
    struct pack pack = pack_into(bytes, BYTES_MAX);
    if (transcode_from_json(text, strlen(text), &pack, &err) != ERR_OK)
        die(text, err.text);
    free(text);
    return pack.used;
}

cJSON *daemon_ask_nng(const struct daemon *daemon, const char *op, const char *json)
{
    struct sp_client client;
    struct err err;
    uint8_t *bytes = buffer_of(BYTES_MAX);
    char *text = NULL;
    size_t text_len = 0;
    uint32_t id = 0;
    size_t len = encode(op, json, bytes);
    if (!sp_open(&client, daemon->url) || !sp_send(&client, 7, bytes, len))
        die("cannot send", daemon->url);
    ssize_t got = sp_receive(&client, &id, bytes, BYTES_MAX);
    if (got < 0 || id != 7)
        die("no reply", op);
    if (cursor_check(bytes, (size_t)got, CURSOR_VALUES_MAX, &err) != ERR_OK ||
        transcode_to_json(bytes, (size_t)got, 0, &text, &text_len, &err) != ERR_OK)
        die("the reply is malformed", err.text);
    cJSON *reply = cJSON_ParseWithLength(text, text_len);
    free(text);
    free(bytes);
    sp_close(&client);
    return reply;
}

static int connect_http(const struct daemon *daemon)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct timeval wait = {.tv_sec = WAIT_S};
    char host[64];
    const char *colon = strrchr(daemon->http, ':');
    snprintf(host, sizeof host, "%.*s", (int)(colon - daemon->http), daemon->http);
    address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        die("not an address", daemon->http);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* Sends and reads until the other side closes; the status, -1 without a whole head. */
static int exchange(int fd, const char *request, char *reply, size_t reply_bytes, char **ret_body)
{
    size_t used = 0;
    if (!send_all(fd, request, strlen(request)))
        return -1;
    for (ssize_t got = 1; got > 0 && used<reply_bytes - 1; used += got> 0 ? (size_t)got : 0)
        got = recv(fd, reply + used, reply_bytes - 1 - used, 0);
    reply[used] = '\0';
    *ret_body = strstr(reply, "\r\n\r\n");
    if (*ret_body == NULL || strncmp(reply, "HTTP/1.1 ", 9) != 0)
        return -1;
    *ret_body += 4;
    return (int)strtol(reply + 9, NULL, 10);
}

cJSON *daemon_ask_http(const struct daemon *daemon, const char *op, const char *json,
                       int *ret_status)
{
    char *request = (char *)buffer_of(BYTES_MAX), *reply = (char *)buffer_of(BYTES_MAX);
    char *body = NULL;
    int fd = connect_http(daemon);
    if (fd < 0)
        die("cannot connect", daemon->http);
    snprintf(request, BYTES_MAX,
             "POST /v1/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
             op, daemon->http, strlen(json), json);
    *ret_status = exchange(fd, request, reply, BYTES_MAX, &body);
    cJSON *parsed = *ret_status < 0 ? NULL : cJSON_Parse(body);
    if (parsed == NULL)
        die("no reply", op);
    free(request);
    free(reply);
    close(fd);
    return parsed;
}

int daemon_get(const struct daemon *daemon, const char *path, char *body, size_t body_bytes)
{
    char request[512];
    char *reply = (char *)buffer_of(BYTES_MAX), *found = NULL;
    int fd = connect_http(daemon), status = -1;
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
             path);
    if (fd >= 0) {
        status = exchange(fd, request, reply, BYTES_MAX, &found);
        close(fd);
    }
    snprintf(body, body_bytes, "%s", status < 0 ? "" : found);
    free(reply);
    return status;
}

bool reply_ok(const cJSON *reply)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply, "ok"));
}

const char *reply_text(const cJSON *reply, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(reply, key));
    return text == NULL ? "" : text;
}

const char *reply_error_text(const cJSON *reply, const char *key)
{
    return reply_text(cJSON_GetObjectItemCaseSensitive(reply, "error"), key);
}
