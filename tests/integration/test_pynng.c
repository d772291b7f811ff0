/* SPDX-License-Identifier: Apache-2.0 */
/* pynng, which is nng in a Python program, asks the daemon, and answers libdecide. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/pack.h"
#include "client/decide.h"
#include "tests/support/daemon.h"
#include "tests/support/program.h"

#define VARIABLE   "DECIDED_PYNNG_PYTHON"
#define TIMEOUT_US UINT64_C(20000000)

enum { TURNS = 60, AT_ONCE = 40, PAD_STEP = 1009, BODY_BYTES = 65536 };

static const char *python(void)
{
    const char *named = getenv(VARIABLE);
    return named == NULL ? "/usr/bin/python3" : named;
}

static const char *script(char ret_path[TEMP_DIR_BYTES])
{
    snprintf(ret_path, TEMP_DIR_BYTES, "%s/tests/oracle/pynng_peer.py", getenv("DECIDED_SOURCE"));
    return ret_path;
}

static bool is_installed(void)
{
    static struct program program;
    program_run(&program, (const char *const[]){python(), "-c", "import pynng", NULL});
    if (program.exit_code != 0)
        fprintf(stderr,
                "SKIPPED: no conversation with pynng: %s cannot import it (set " VARIABLE
                " to an interpreter that can)\n",
                python());
    return program.exit_code == 0;
}

static void ask(const struct daemon *daemon)
{
    static struct program program;
    char path[TEMP_DIR_BYTES];
    program_run(&program, (const char *const[]){python(), script(path), "ask", daemon->url, NULL});
    if (program.exit_code != 0)
        print_error("%s\n", program.err);
    assert_int_equal(program.exit_code, 0);
}

static void pynng_asks_both_listeners(void **state)
{
    (void)state;
    struct daemon daemon;
    if (!is_installed())
        skip();
    daemon_start(&daemon, NULL);
    ask(&daemon);
    daemon_stop(&daemon);
    daemon_start_on(&daemon, "nng+tcp://127.0.0.1:0", NULL);
    ask(&daemon);
    daemon_stop(&daemon);
}

/* ---- pynng answers ---------------------------------------------------------------------------
 */

struct peer {
    pid_t pid;
    int to; /* closed, it ends */
    char url[128];
};

static void start_peer(struct peer *peer)
{
    int in[2], out[2];
    char path[TEMP_DIR_BYTES];
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    peer->pid = fork();
    assert_true(peer->pid >= 0);
    if (peer->pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        close(in[1]); /* its own input would never end */
        execl(python(), python(), script(path), "answer", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    peer->to = in[1];
    FILE *from = fdopen(out[0], "r");
    assert_non_null(from);
    assert_non_null(fgets(peer->url, sizeof peer->url, from));
    peer->url[strcspn(peer->url, "\n")] = '\0';
    fclose(from);
}

static void stop_peer(const struct peer *peer)
{
    int status = 0;
    close(peer->to);
    assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* {"number": n, "pad": n * PAD_STEP bytes} */
static size_t body_of(uint32_t number, uint8_t *ret_body)
{
    static const uint8_t pad[BODY_BYTES];
    struct pack pack = pack_into(ret_body, BODY_BYTES);
    pack_map(&pack, 2);
    pack_text(&pack, TEXT_LITERAL("number"));
    pack_uint(&pack, number);
    pack_text(&pack, TEXT_LITERAL("pad"));
    pack_text(&pack, (struct text){(const char *)pad, number * PAD_STEP});
    assert_false(pack.overflow);
    return pack.used;
}

/* The reply holds what was sent beside op and budget. */
static void check_reply(const struct decide_reply *reply, uint32_t number)
{
    static uint8_t body[BODY_BYTES];
    size_t len = body_of(number, body);
    if (reply->status != DECIDE_OK)
        print_error("%s: %s\n", decide_status_name(reply->status), reply->error_message);
    assert_int_equal(reply->status, DECIDE_OK);
    assert_non_null(memmem(reply->bytes, reply->bytes_len, body + 1, len - 1));
}

struct counted {
    uint32_t number;
    bool ended;
};

static void take_reply(struct decide_reply *reply, void *argument)
{
    struct counted *counted = argument;
    check_reply(reply, counted->number);
    counted->ended = true;
    decide_reply_free(reply);
}

static void pynng_answers_the_client_library(void **state)
{
    (void)state;
    struct peer peer;
    struct decide_client *client = NULL;
    struct counted counted[AT_ONCE] = {0};
    static uint8_t body[BODY_BYTES];
    char error[DECIDE_ERROR_BYTES];
    if (!is_installed())
        skip();
    start_peer(&peer);
    struct decide_options options = decide_options_default();
    options.urls = peer.url;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_OK);
    for (uint32_t i = 0; i < TURNS; i++) {
        struct decide_reply *reply =
            decide_call(client, "status", body, body_of(i, body), TIMEOUT_US);
        check_reply(reply, i);
        decide_reply_free(reply);
    }
    for (uint32_t i = 0; i < AT_ONCE; i++) {
        counted[i].number = i;
        assert_true(decide_submit_call(client, "status", body, body_of(i, body), TIMEOUT_US,
                                       take_reply, &counted[i]) != 0);
    }
    for (uint32_t i = 0; i < AT_ONCE; i++) {
        while (!counted[i].ended) {
            struct pollfd readable = {.fd = decide_fd(client), .events = POLLIN};
            assert_true(poll(&readable, 1, 20000) >= 0);
            decide_process(client);
        }
    }
    decide_client_destroy(&client);
    stop_peer(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pynng_asks_both_listeners),
        cmocka_unit_test(pynng_answers_the_client_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
