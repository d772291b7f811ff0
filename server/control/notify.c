/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/notify.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/num.h"

static struct sockaddr_un address;
static socklen_t address_bytes; /* 0: nobody listens */
static uint64_t watchdog_us;

/* The variables may have been meant for a parent that exec'ed something else. */
static uint64_t watchdog_of_environment(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    int64_t value = 0, owner = getpid();
    if (usec == NULL || !num_parse_int(text_of(usec), 1, INT64_MAX, &value))
        return 0;
    if (pid != NULL && !num_parse_int(text_of(pid), 1, INT64_MAX, &owner))
        return 0;
    return owner == getpid() ? (uint64_t)value : 0;
}

void notify_init(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path == NULL ? 0 : strlen(path);
    address_bytes = 0;
    watchdog_us = watchdog_of_environment();
    if (len < 2 || len >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* the abstract name space */
    address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

void notify_send(const char *state)
{
    if (address_bytes == 0)
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* Whoever does not listen has no use for it; the daemon goes on either way. */
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                  (const struct sockaddr *)&address, address_bytes);
    close(fd);
}

void notify_reloading(const struct clock *clock)
{
    char state[64];
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
             clock_now_ns(clock) / 1000);
    notify_send(state);
}

uint64_t notify_watchdog_us(void)
{
    return address_bytes == 0 ? 0 : watchdog_us;
}
