/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/stop.h"

#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t requested;
static pid_t leader; /* set before the handler is; children are stopped by it alone */

static void on_signal(int signal)
{
    if (requested && getpid() == leader)
        _exit(128 + signal);
    requested = 1;
}

void stop_on_signals(void)
{
    /* Without SA_RESTART: waiting ends at once. */
    struct sigaction action = {.sa_handler = on_signal};
    leader = getpid();
    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool stop_is_requested(void)
{
    return requested != 0;
}
