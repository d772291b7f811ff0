/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/wakeup_latency.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static enum err_code refuse(const char *device, int32_t latency_us, int why, struct err *err)
{
    return err_set(err, ERR_IO,
                   "cpu_wakeup_latency_us: %s does not take %d: %s; expected a device that this "
                   "user may write",
                   device, latency_us, strerror(why));
}

enum err_code wakeup_latency_ask(const char *device, int32_t latency_us, int *ret_fd,
                                 struct err *err)
{
    *ret_fd = -1;
    int fd = open(device, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return refuse(device, latency_us, errno, err);
    ssize_t put = write(fd, &latency_us, sizeof latency_us);
    if (put != sizeof latency_us) {
        int why = put < 0 ? errno : EIO;
        close(fd);
        return refuse(device, latency_us, why, err);
    }
    *ret_fd = fd;
    return ERR_OK;
}
