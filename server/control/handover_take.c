/* SPDX-License-Identifier: Apache-2.0 */
/* The new one: takes what it was given, and waits until the old one is done. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/num.h"
#include "server/control/handover_internal.h"

enum err_code handover_take(struct handover_parent *parent, struct handover_gift *gift,
                            struct err *err)
{
    const char *variable = getenv(HANDOVER_VARIABLE);
    int64_t fd = -1;
    *parent = (struct handover_parent){.fd = -1};
    handover_gift_init(gift);
    if (variable == NULL)
        return ERR_OK;
    if (!num_parse_int(text_of(variable), 0, 1 << 20, &fd) ||
        fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
        return err_set(err, ERR_BAD_INPUT,
                       "%s is '%.40s', which is no descriptor; it is set by a daemon for its "
                       "successor only",
                       HANDOVER_VARIABLE, variable);
    unsetenv(HANDOVER_VARIABLE); /* not for those that this one starts */
    parent->fd = (int)fd;
    enum err_code rc = handover_receive_gift(parent->fd, gift, err);
    if (rc != ERR_OK) {
        close(parent->fd);
        parent->fd = -1;
    }
    return rc;
}

void handover_tell_ready(struct handover_parent *parent, uint32_t sockets)
{
    char message[HANDOVER_READY_BYTES] = {HANDOVER_READY};
    if (parent->was_told_ready)
        return;
    parent->was_told_ready = true;
    memcpy(message + 1, &sockets, sizeof sockets);
    /* One that is gone has released, too. */
    (void)!send(parent->fd, message, sizeof message, MSG_NOSIGNAL);
}

bool handover_is_released(struct handover_parent *parent)
{
    char word = 0;
    if (parent->has_released)
        return true;
    ssize_t got = recv(parent->fd, &word, 1, MSG_DONTWAIT);
    parent->has_released = got >= 0 || (errno != EAGAIN && errno != EINTR);
    return parent->has_released;
}

void handover_tell_serving(struct handover_parent *parent)
{
    char word = HANDOVER_SERVING;
    if (parent->fd < 0)
        return;
    (void)!send(parent->fd, &word, 1, MSG_NOSIGNAL);
    close(parent->fd);
    parent->fd = -1;
}
