/* SPDX-License-Identifier: Apache-2.0 */
/* daemon - a real decided in a process of its own, for tests that go through the sockets.
 *
 * Started on port 0 in a temporary directory; the addresses are read from its log ("listening"
 * lines with the field `address`, then "ready").  Every failure aborts the test program with the
 * log. The binary is found through the environment variable DECIDED_BINARY, which ctest sets. */
#ifndef TESTS_SUPPORT_DAEMON_H
#define TESTS_SUPPORT_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/support/temp_dir.h"

struct daemon {
    pid_t pid;
    struct temp_dir dir; /* decided.json, state/, models/, decided.log */
    bool by_nng;         /* it listens by the nng library */
    char url[256];       /* "tcp://127.0.0.1:PORT" */
    char http[256];      /* "127.0.0.1:PORT" */
};

/* `config_extra`: members to put into the configuration, such as "\"history_items_max\": 1000", or
 * NULL.  Waits until it is ready. */
void daemon_start(struct daemon *daemon, const char *config_extra);
/* On "tcp://127.0.0.1:0" or "nng+tcp://127.0.0.1:0". */
void daemon_start_on(struct daemon *daemon, const char *listen, const char *config_extra);
/* From the next restart on at the port that it has now; `config_extra` as above. */
void daemon_keep_port(const struct daemon *daemon, const char *config_extra);
/* The same directory and configuration again, after daemon_wait; the addresses are new ones. */
void daemon_restart(struct daemon *daemon);
void daemon_signal(const struct daemon *daemon, int signal);
int daemon_wait(struct daemon *daemon); /* its exit status as of waitpid, within 30 s */
/* Memory of its own: the logs are mapped files, which grow with every decision. */
uint64_t daemon_resident_kib(const struct daemon *daemon);
/* True when a log line holding `text` appears within ten seconds. */
bool daemon_log_has(struct daemon *daemon, const char *text);
void daemon_stop(
    struct daemon *daemon); /* SIGTERM when it runs, wait for 0, remove the directory */

#endif
