/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/transcode.h"
#include "tools/cli/failure.h"
#include "tools/ctl/command.h"

#define TOKEN_BYTES_MAX 4096
#define MESSAGE_BYTES   1024
#define MOMENT_MS       1000

static void say(const char *command, const char *fmt, va_list list)
    __attribute__((format(printf, 2, 0)));

static void say(const char *command, const char *fmt, va_list list)
{
    fputs("decidectl: ", stderr);
    if (command != NULL)
        fprintf(stderr, "%s: ", command);
    vfprintf(stderr, fmt, list);
    fputc('\n', stderr);
}

/* With --json the first message that is no warning stands on stdout, too. */
static struct {
    bool wanted, done;
} as_json;

void ctl_messages_as_json(bool json)
{
    as_json.wanted = json;
}

int ctl_usage(const char *command, const char *fmt, ...)
{
    va_list list;
    va_start(list, fmt);
    say(command, fmt, list);
    va_end(list);
    if (as_json.wanted) {
        char message[MESSAGE_BYTES];
        va_start(list, fmt);
        vsnprintf(message, sizeof message, fmt, list);
        va_end(list);
        ctl_json_error("usage", message);
    }
    if (command == NULL)
        fputs("try: decidectl --help\n", stderr);
    else
        fprintf(stderr, "try: decidectl %s --help\n", command);
    return EXIT_USAGE;
}

int ctl_fail(const char *command, const char *fmt, ...)
{
    char message[MESSAGE_BYTES];
    va_list list;
    va_start(list, fmt);
    say(command, fmt, list);
    va_end(list);
    va_start(list, fmt);
    vsnprintf(message, sizeof message, fmt, list);
    va_end(list);
    if (as_json.wanted)
        ctl_json_error("failed", message);
    return EXIT_FAILED;
}

void ctl_warn(const char *command, const char *fmt, ...)
{
    va_list list;
    va_start(list, fmt);
    say(command, fmt, list);
    va_end(list);
}

/* The first line of the file that --token-file names, so that the token is in no list of
 * processes. */
static bool read_token(struct ctl *ctl)
{
    struct err err = {0};
    uint8_t *bytes = NULL;
    size_t len = 0;
    if (ctl->token_file == NULL)
        return true;
    if (file_read(ctl->token_file, TOKEN_BYTES_MAX, &bytes, &len, &err) != ERR_OK) {
        ctl_usage(NULL, "--token-file: %s", err.text);
        return false;
    }
    char *token = (char *)bytes;
    token[strcspn(token, "\r\n")] = '\0';
    /* Blanks around it do not count, as for the daemon. */
    size_t blanks = strspn(token, " \t");
    size_t end = strlen(token);
    while (end > blanks && (token[end - 1] == ' ' || token[end - 1] == '\t'))
        end--;
    memmove(token, token + blanks, end - blanks);
    token[end - blanks] = '\0';
    if (token[0] == '\0') {
        free(bytes);
        ctl_usage(NULL, "--token-file: '%s' is empty", ctl->token_file);
        return false;
    }
    free(ctl->token_read);
    ctl->token_read = token;
    ctl->token = token;
    return true;
}

struct decide_client *ctl_client(struct ctl *ctl)
{
    char error[DECIDE_ERROR_BYTES] = "";
    if (ctl->client != NULL)
        return ctl->client;
    if (!read_token(ctl))
        return NULL;
    struct decide_options options = decide_options_default();
    options.urls = ctl->url;
    options.token = ctl->token;
    options.timeout_us = ctl->timeout_us;
    if (decide_client_create(&options, &ctl->client, error) != DECIDE_OK) {
        ctl_usage(NULL, "--url: %s", error);
        return NULL;
    }
    return ctl->client;
}

void ctl_close(struct ctl *ctl)
{
    if (ctl->client != NULL)
        decide_client_destroy(&ctl->client);
    free(ctl->token_read);
    ctl->token_read = NULL;
}

/* Not so of a bundle that is refused for its signature. */
static bool is_about_who_calls(const struct decide_reply *reply)
{
    return reply->error_message != NULL && strstr(reply->error_message, "administration") != NULL;
}

/* What the operator can do about it; "" when the message says it all. */
static const char *advice(const struct decide_reply *reply)
{
    const char *code = reply->error_code == NULL ? "" : reply->error_code;
    switch (reply->status) {
    case DECIDE_UNREACHABLE: return "is decided running there? See --url or DECIDED_URL";
    case DECIDE_TIMEOUT: return "it may be busy: try a longer --timeout";
    case DECIDE_PROTOCOL: return "is that the nng address of a decided?";
    case DECIDE_REFUSED: break;
    default: return "";
    }
    if (strcmp(code, "unauthorized") == 0)
        return "give the token of the daemon's admin_token_file with --token-file";
    if (strcmp(code, "forbidden") == 0 && is_about_who_calls(reply))
        return "run it on the daemon's machine, or configure admin_token_file there";
    if (strcmp(code, "draining") == 0)
        return "it is about to stop: use another one";
    if (strcmp(code, "overloaded") == 0 && reply->retry_after_ms > 0)
        return reply->retry_after_ms <= MOMENT_MS ? "try again in a moment"
                                                  : "try again in a minute";
    return "";
}

void ctl_json_error(const char *code, const char *message)
{
    if (!as_json.done)
        failure_print_json(code, message, stdout);
    as_json.done = true;
}

int ctl_report(const struct ctl *ctl, const char *what, const struct decide_reply *reply)
{
    const char *code =
        reply->error_code != NULL ? reply->error_code : decide_status_name(reply->status);
    const char *message = reply->error_message != NULL ? reply->error_message : "no answer";
    const char *help = advice(reply);
    ctl_warn(what, "%s (%s)%s%s", message, code, help[0] == '\0' ? "" : "; ", help);
    if (!ctl->json)
        return EXIT_FAILED;
    if (reply->bytes == NULL || ctl_print_json(reply) != EXIT_FINE) /* the daemon's own words */
        ctl_json_error(code, message);
    return EXIT_FAILED;
}

struct cursor ctl_map(const struct decide_reply *reply)
{
    return cursor_of(reply->bytes, reply->bytes_len);
}

int ctl_print_json(const struct decide_reply *reply)
{
    struct err err = {0};
    char *json = NULL;
    size_t len = 0;
    if (cursor_check(reply->bytes, reply->bytes_len, CURSOR_VALUES_MAX, &err) != ERR_OK ||
        transcode_to_json(reply->bytes, reply->bytes_len, 0, &json, &len, &err) != ERR_OK)
        return ctl_fail(NULL, "the reply cannot be shown: %s", err.text);
    puts(json);
    free(json);
    return EXIT_FINE;
}

int ctl_call(struct ctl *ctl, const char *op, const struct pack *body, uint64_t timeout_us,
             struct decide_reply **ret_reply)
{
    struct err err = {0};
    int code = EXIT_FINE;
    *ret_reply = NULL;
    if (body != NULL && body->overflow)
        return ctl_usage(op, "the arguments are too long");
    if (ctl_client(ctl) == NULL)
        return EXIT_USAGE;
    struct decide_reply *reply = decide_call(ctl->client, op, body == NULL ? NULL : body->bytes,
                                             body == NULL ? 0 : body->used, timeout_us);
    if (reply->status != DECIDE_OK || reply->bytes == NULL)
        code = ctl_report(ctl, op, reply);
    else if (cursor_check(reply->bytes, reply->bytes_len, CURSOR_VALUES_MAX, &err) != ERR_OK)
        code = ctl_fail(op, "%s: what came is no reply: %s", ctl->url, err.text);
    if (code == EXIT_FINE)
        *ret_reply = reply;
    else
        decide_reply_free(reply);
    return code;
}

int ctl_call_patiently(struct ctl *ctl, const char *op, const struct pack *body, uint64_t least_us,
                       struct decide_reply **ret_reply)
{
    *ret_reply = NULL;
    if (ctl_client(ctl) == NULL)
        return EXIT_USAGE;
    struct decide_reply *ping = decide_call(ctl->client, "ping", NULL, 0, ctl->timeout_us);
    int code = ping->status == DECIDE_OK ? EXIT_FINE : ctl_report(ctl, op, ping);
    decide_reply_free(ping);
    if (code != EXIT_FINE)
        return code;
    return ctl_call(ctl, op, body, ctl->timeout_us > least_us ? ctl->timeout_us : least_us,
                    ret_reply);
}
