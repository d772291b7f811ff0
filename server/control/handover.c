/* SPDX-License-Identifier: Apache-2.0 */
/* The gift, and the message that carries it. */
#include "server/control/handover_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void handover_gift_init(struct handover_gift *gift)
{
    memset(gift, 0, sizeof *gift);
    gift->data_lock_fd = gift->models_lock_fd = -1;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void handover_gift_close(struct handover_gift *gift)
{
    close_fd(&gift->data_lock_fd);
    close_fd(&gift->models_lock_fd);
    for (uint32_t i = 0; i < gift->socket_count; i++)
        close_fd(&gift->socket[i].fd);
    gift->socket_count = 0;
}

int handover_gift_take(struct handover_gift *gift, const char *address)
{
    for (uint32_t i = 0; i < gift->socket_count; i++) {
        int fd = gift->socket[i].fd;
        if (fd >= 0 && strcmp(gift->socket[i].address, address) == 0) {
            gift->socket[i].fd = -1;
            return fd;
        }
    }
    return -1;
}

static int copy_fd(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

_Static_assert(HANDOVER_SOCKETS_MAX <= 32, "a bit for each socket");

void handover_gift_copy(const struct handover_gift *gift, uint32_t sockets,
                        struct handover_gift *ret_copy)
{
    handover_gift_init(ret_copy);
    ret_copy->data_lock_fd = copy_fd(gift->data_lock_fd);
    ret_copy->models_lock_fd = copy_fd(gift->models_lock_fd);
    for (uint32_t i = 0; i < gift->socket_count; i++) {
        int fd = (sockets >> i & 1) != 0 ? copy_fd(gift->socket[i].fd) : -1;
        if (fd < 0)
            continue;
        ret_copy->socket[ret_copy->socket_count] = gift->socket[i];
        ret_copy->socket[ret_copy->socket_count++].fd = fd;
    }
}

/* ---- one message: addresses, and the descriptors in the same order behind those of the locks */

#define VERSION 1u

struct wire {
    uint32_t version;
    uint32_t socket_count;
    uint32_t has_models_lock;
    char address[HANDOVER_SOCKETS_MAX][HANDOVER_ADDRESS_BYTES];
};

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE((HANDOVER_SOCKETS_MAX + 2) * sizeof(int))];
};

static enum err_code failed(const char *doing, struct err *err)
{
    return err_set(err, ERR_IO, "hand-over: cannot %s: %s", doing, strerror(errno));
}

enum err_code handover_send_gift(int fd, const struct handover_gift *gift, struct err *err)
{
    struct wire wire = {.version = VERSION,
                        .socket_count = gift->socket_count,
                        .has_models_lock = gift->models_lock_fd >= 0};
    union control control = {0};
    int fds[HANDOVER_SOCKETS_MAX + 2];
    size_t count = 0;
    fds[count++] = gift->data_lock_fd;
    if (gift->models_lock_fd >= 0)
        fds[count++] = gift->models_lock_fd;
    for (uint32_t i = 0; i < gift->socket_count; i++) {
        fds[count++] = gift->socket[i].fd;
        snprintf(wire.address[i], sizeof wire.address[i], "%s", gift->socket[i].address);
    }
    struct iovec part = {&wire, sizeof wire};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(head), fds, count * sizeof(int));
    return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)sizeof wire
               ? ERR_OK
               : failed("send descriptors", err);
}

/* The descriptors that came; they are ours whatever the message says. */
static size_t take_fds(struct msghdr *message, int fds[HANDOVER_SOCKETS_MAX + 2])
{
    size_t count = 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL;
         head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(head), count * sizeof(int));
    }
    return count;
}

enum err_code handover_receive_gift(int fd, struct handover_gift *gift, struct err *err)
{
    struct wire wire = {0};
    union control control;
    int fds[HANDOVER_SOCKETS_MAX + 2];
    struct iovec part = {&wire, sizeof wire};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (got < 0)
        return failed("receive descriptors", err);
    size_t count = take_fds(&message, fds);
    bool good = got == (ssize_t)sizeof wire && wire.version == VERSION &&
                wire.socket_count <= HANDOVER_SOCKETS_MAX && wire.has_models_lock <= 1 &&
                count == 1 + wire.has_models_lock + wire.socket_count;
    if (!good) {
        for (size_t i = 0; i < count; i++)
            close(fds[i]);
        return err_set(err, ERR_BAD_INPUT,
                       "hand-over: the daemon that started this one speaks another version");
    }
    size_t at = 0;
    gift->data_lock_fd = fds[at++];
    if (wire.has_models_lock == 1)
        gift->models_lock_fd = fds[at++];
    gift->socket_count = wire.socket_count;
    for (uint32_t i = 0; i < wire.socket_count; i++) {
        wire.address[i][HANDOVER_ADDRESS_BYTES - 1] = '\0';
        snprintf(gift->socket[i].address, sizeof gift->socket[i].address, "%s", wire.address[i]);
        gift->socket[i].fd = fds[at++];
    }
    return ERR_OK;
}
