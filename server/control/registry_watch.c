/* SPDX-License-Identifier: Apache-2.0 */
/* inotify only says that it is time to look: every event leads to the same scan, so that lost
 * events, full queues and file systems without inotify change nothing but the delay. */
#include <sys/inotify.h>
#include <unistd.h>

#include "server/control/registry_folders.h"
#include "server/control/registry_internal.h"

int reg_watch_open(void)
{
    return inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
}

void reg_watch_add(const struct registry *registry, const char *dir)
{
    /* The same directory again gives the same watch.  Without one the rescan finds what is new. */
    if (registry->watch_fd >= 0)
        (void)inotify_add_watch(registry->watch_fd, dir,
                                IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM |
                                    IN_DELETE | IN_ONLYDIR);
}

/* Hidden names are the registry's own: uploads and .serving. */
static bool is_news(const struct inotify_event *event)
{
    if ((event->mask & IN_Q_OVERFLOW) != 0)
        return true;
    return (event->mask & IN_IGNORED) == 0 && event->len > 0 && event->name[0] != '.';
}

bool reg_watch_drain(const struct registry *registry)
{
    _Alignas(struct inotify_event) char bytes[4096];
    bool news = false;
    ssize_t got = 0;
    if (registry->watch_fd < 0)
        return false;
    while ((got = read(registry->watch_fd, bytes, sizeof bytes)) > 0) {
        for (const char *at = bytes; at < bytes + got;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
            news |= is_news(event);
            at += sizeof *event + event->len;
        }
    }
    return news;
}
