/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/process_stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/num.h"

enum {
    STAT_THREADS = 18
}; /* the number of blanks between ')' and num_threads, less one: proc(5) */

/* Files of /proc have no size, so base/file.h does not read them. */
static size_t read_small(const char *path, char *buf, size_t buf_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, buf, buf_bytes - 1);
    close(fd);
    size_t len = got < 0 ? 0 : (size_t)got;
    buf[len] = '\0';
    return len;
}

/* The number in the field with that index, counted from 0 and separated by blanks. */
static uint64_t field(const char *line, uint32_t index)
{
    int64_t value = 0;
    for (; index > 0; index--) {
        line = strchr(line, ' ');
        if (line == NULL)
            return 0;
        line++;
    }
    struct text text = {line, (uint32_t)strcspn(line, " \n")};
    return num_parse_int(text, 0, INT64_MAX, &value) ? (uint64_t)value : 0;
}

static uint64_t count_entries(const char *path)
{
    uint64_t count = 0;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count - (count > 0); /* the descriptor of this very directory */
}

static double seconds(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

void process_stats_read(struct process_stats *ret_stats)
{
    char line[1024];
    struct rusage usage;
    struct rlimit limit;
    struct process_stats stats = {.open_fds = count_entries("/proc/self/fd")};
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        stats.cpu_s = seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        stats.max_fds = limit.rlim_cur;
    if (read_small("/proc/self/statm", line, sizeof line) > 0) {
        uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
        stats.virtual_bytes = field(line, 0) * page_bytes;
        stats.resident_bytes = field(line, 1) * page_bytes;
    }
    if (read_small("/proc/self/stat", line, sizeof line) > 0) {
        const char *behind_name = strrchr(line, ')'); /* the name may hold blanks itself */
        if (behind_name != NULL)
            stats.threads = field(behind_name, STAT_THREADS);
    }
    *ret_stats = stats;
}
