/* SPDX-License-Identifier: Apache-2.0 */
/* bench_visible - how long it takes until what was sent is seen: events go to a daemon at a fixed
 * rate, and a reader asks for features of a person until they show the event.
 *
 * usage: bench_visible URL [RATE [SECONDS [BATCH]]]   (default 20000 events/s, 10 s, batches of
 * 100)
 *
 * Batches leave when they are due, whatever the replies do, and are acknowledged on disk.  The
 * first event of every batch that finds the reader idle is of a person of its own; the reader asks
 * for `user.events` of that person until there is one, and the time runs from when the batch was
 * due.  bench_visible.py runs it beside decisions. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/pack.h"
#include "base/rand.h"
#include "client/decide.h"

enum { BATCH_MAX = 500, BATCH_BYTES = 1 << 17, SAMPLES_MAX = 100000, PEOPLE = 20000, ITEMS = 4000 };
enum { WAIT_US = 2000000, PAUSE_NS = 50000 };

static struct decide_client *writer, *reader;
static atomic_bool is_over;
/* What the reader is to look for: set by the writer when it is 0, set to 0 by the reader. */
static _Atomic uint64_t sample_due_ns;
static _Atomic uint32_t sample_person;
static double sample_ms[SAMPLES_MAX], ack_ms[SAMPLES_MAX];
static uint32_t sample_count, ack_count, failures;
static uint32_t unseen;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bench_visible: %s\n", what);
    exit(1);
}

static uint64_t now_ns(void)
{
    return clock_now_ns(clock_system());
}

/* ---- the reader ------------------------------------------------------------------------------ */

/* Known, and so with an event: a person who is unknown is refused as not_found. */
static bool is_seen(uint32_t person)
{
    uint8_t body[128];
    struct pack pack = pack_into(body, sizeof body);
    char user[32];
    snprintf(user, sizeof user, "sample-%u", person);
    pack_map(&pack, 2);
    pack_key(&pack, "user");
    pack_str(&pack, user);
    pack_key(&pack, "names");
    pack_array(&pack, 1);
    pack_str(&pack, "user.events");
    struct decide_reply *reply = decide_call(reader, "features", body, pack.used, WAIT_US);
    bool seen = reply->status == DECIDE_OK && !reply->fallback;
    decide_reply_free(reply);
    return seen;
}

static void pause_for(long ns)
{
    const struct timespec pause = {0, ns};
    (void)nanosleep(&pause, NULL); /* one that is cut short is as good */
}

static void *look(void *ctx)
{
    while (!atomic_load(&is_over)) {
        uint64_t due_ns = atomic_load(&sample_due_ns);
        if (due_ns == 0) {
            pause_for(PAUSE_NS);
            continue;
        }
        uint32_t person = atomic_load(&sample_person);
        bool seen = is_seen(person);
        while (!seen && now_ns() - due_ns < (uint64_t)WAIT_US * 1000) {
            pause_for(2 * PAUSE_NS); /* asking without one would take a core from the daemon */
            seen = is_seen(person);
        }
        unseen += !seen;
        if (sample_count < SAMPLES_MAX)
            sample_ms[sample_count++] = (double)(now_ns() - due_ns) / 1e6;
        atomic_store(&sample_due_ns, 0);
    }
    return ctx;
}

/* ---- the writer ------------------------------------------------------------------------------ */

static void pack_event(struct pack *pack, uint64_t number, const char *user, uint32_t item)
{
    char id[32], name[24];
    snprintf(id, sizeof id, "v%u-%" PRIu64, (unsigned)getpid(), number);
    snprintf(name, sizeof name, "item-%u", item);
    pack_map(pack, 4);
    pack_key(pack, "id");
    pack_str(pack, id);
    pack_key(pack, "type");
    pack_str(pack, "view");
    pack_key(pack, "user");
    pack_str(pack, user);
    pack_key(pack, "items");
    pack_array(pack, 1);
    pack_map(pack, 1);
    pack_key(pack, "id");
    pack_str(pack, name);
}

static void on_reply(struct decide_reply *reply, void *argument)
{
    const uint64_t *due_ns = argument;
    if (reply->status != DECIDE_OK || reply->fallback)
        failures++;
    if (ack_count < SAMPLES_MAX)
        ack_ms[ack_count++] = (double)(now_ns() - *due_ns) / 1e6;
    free(argument);
    decide_reply_free(reply);
}

static void send_batch(uint64_t due_ns, uint64_t first, uint32_t count, uint32_t sample,
                       struct rand *rand)
{
    static uint8_t bytes[BATCH_BYTES];
    struct pack pack = pack_into(bytes, sizeof bytes);
    pack_array(&pack, count);
    for (uint32_t i = 0; i < count; i++) {
        char user[32];
        if (i == 0 && sample > 0)
            snprintf(user, sizeof user, "sample-%u", sample);
        else
            snprintf(user, sizeof user, "user-%u", (unsigned)rand_below(rand, PEOPLE));
        pack_event(&pack, first + i, user, (uint32_t)rand_below(rand, ITEMS));
    }
    uint64_t *due = malloc(sizeof *due);
    if (due == NULL || pack.overflow)
        die("no room for a batch");
    *due = due_ns;
    (void)decide_submit_events(writer, bytes, pack.used, WAIT_US, on_reply, due);
}

static void wait_until(uint64_t due_ns)
{
    while (now_ns() < due_ns) {
        if (decide_process(writer) > 0)
            continue;
        uint64_t left_ns = due_ns - now_ns();
        if ((int64_t)left_ns > 0)
            pause_for(left_ns < PAUSE_NS ? (long)left_ns : PAUSE_NS);
    }
}

static void run(uint64_t rate, uint64_t seconds, uint32_t batch)
{
    struct rand rand;
    rand_init(&rand, 3);
    uint64_t batches = rate * seconds / batch;
    uint64_t begin_ns = now_ns();
    uint32_t sample = (uint32_t)getpid() * 1000;
    for (uint64_t b = 0; b < batches; b++) {
        uint64_t due_ns = begin_ns + b * batch * 1000000000 / rate;
        wait_until(due_ns);
        bool samples = atomic_load(&sample_due_ns) == 0;
        sample += samples;
        send_batch(due_ns, b * batch, batch, samples ? sample : 0, &rand);
        if (samples) {
            atomic_store(&sample_person, sample);
            atomic_store(&sample_due_ns, due_ns);
        }
        (void)decide_process(writer);
    }
    wait_until(now_ns() + 500000000);
    printf("%" PRIu64
           " events in %.2f s, %u batches answered, %u failed, %u samples, %u not seen\n",
           batches * batch, (double)(now_ns() - begin_ns) / 1e9 - 0.5, ack_count, failures,
           sample_count, unseen);
}

/* ---- the report ------------------------------------------------------------------------------ */

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static void report(const char *what, double *ms, uint32_t count)
{
    if (count == 0)
        die("nothing was measured");
    qsort(ms, count, sizeof *ms, by_size);
    printf("%-16s p50 %7.2f ms, p90 %7.2f ms, p99 %7.2f ms, at most %7.2f ms\n", what,
           ms[count / 2], ms[count * 9 / 10], ms[(uint64_t)count * 99 / 100], ms[count - 1]);
}

static struct decide_client *connect_to(const char *url)
{
    struct decide_options options = decide_options_default();
    struct decide_client *client = NULL;
    char error[DECIDE_ERROR_BYTES];
    options.urls = url;
    options.retry_percent = DECIDE_RETRY_NEVER;
    options.hedge_after_us = DECIDE_HEDGE_NEVER;
    if (decide_client_create(&options, &client, error) != DECIDE_OK)
        die(error);
    return client;
}

int main(int argc, char **argv)
{
    uint64_t number[3] = {20000, 10, 100};
    for (int i = 2; i < argc && i < 5; i++) {
        if (!num_parse_uint(text_of(argv[i]), &number[i - 2]) || number[i - 2] == 0)
            die("usage: bench_visible URL [RATE [SECONDS [BATCH]]]");
    }
    if (argc < 2 || number[2] > BATCH_MAX)
        die("usage: bench_visible URL [RATE [SECONDS [BATCH]]]");
    pthread_t thread;
    writer = connect_to(argv[1]);
    reader = connect_to(argv[1]);
    if (pthread_create(&thread, NULL, look, NULL) != 0)
        die("no thread");
    run(number[0], number[1], (uint32_t)number[2]);
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    report("acknowledged", ack_ms, ack_count);
    report("visible", sample_ms, sample_count);
    decide_client_destroy(&writer);
    decide_client_destroy(&reader);
    return 0;
}
