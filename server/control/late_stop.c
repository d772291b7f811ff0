/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/late_stop.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t is_held, asked;

static void on_signal(int number)
{
    if (number == SIGHUP)
        return;
    if (is_held != 0) {
        asked = number;
        return;
    }
    signal(number, SIG_DFL);
    raise(number);
}

void late_stop_install(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    is_held = asked = 0;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL); /* not SIG_IGN, which would drop one that is held */
}

void late_stop_hold(bool held)
{
    is_held = held;
}

int late_stop_asked(void)
{
    return asked;
}
