/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "client/clock.h"
#include "tools/bench/link.h"
#include "tools/bench/schedule.h"
#include "tools/bench/stop.h"

#define NOBODY UINT32_MAX

#define WAIT_NS_MAX UINT64_C(100000000) /* a stop is noticed within that */

enum { EVENTS_MAX = 64, BURST_MAX = 128 };

/* A request on its way; the number of its slot is its id on the wire. */
struct slot {
    uint64_t due_ns, sent_ns;
    uint32_t link;      /* NOBODY: free */
    uint32_t next_free; /* NOBODY: none */
};

struct load {
    const struct bench_options *options;
    struct traffic *traffic;
    struct load_result *result;
    struct link_target target;
    struct link *links;
    uint64_t *retry_at_ns; /* of links that are closed */
    uint32_t link_count;
    int epoll;
    struct slot *slots;
    uint32_t first_free, in_flight;
    struct schedule schedule;
    uint64_t measure_ns, end_ns; /* when warm-up and run end */
    uint8_t request[SP_HEADER_BYTES_MAX + TRAFFIC_REQUEST_BYTES];
};

static bool is_measured(const struct load *load, uint64_t ns)
{
    return ns >= load->measure_ns && ns < load->end_ns;
}

static void watch(struct load *load, uint32_t index, int operation)
{
    struct link *link = &load->links[index];
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    link->is_watched_for_room = link_has_unsent(link);
    if (link->is_watched_for_room)
        event.events |= EPOLLOUT;
    (void)epoll_ctl(load->epoll, operation, link->conn.fd, &event);
}

static enum err_code open_link(struct load *load, uint32_t index, struct err *err)
{
    enum err_code rc = link_open(&load->links[index], &load->target, err);
    if (rc == ERR_OK)
        watch(load, index, EPOLL_CTL_ADD);
    else
        load->retry_at_ns[index] = client_now_ns() + LOAD_RECONNECT_NS;
    return rc;
}

static void give_up(struct load *load, struct slot *slot, uint64_t now_ns)
{
    if (is_measured(load, slot->due_ns)) {
        load->result->lost_count++;
        hist_record(&load->result->latency, now_ns - slot->due_ns);
    }
    load->links[slot->link].in_flight--;
    slot->link = NOBODY;
    slot->next_free = load->first_free;
    load->first_free = (uint32_t)(slot - load->slots);
    load->in_flight--;
}

/* The link is lost, with what was on its way on it (or, for NOBODY, the run is over). */
static void drop_link(struct load *load, uint32_t index)
{
    uint64_t now_ns = client_now_ns();
    for (uint32_t i = 0; i < LOAD_IN_FLIGHT_MAX; i++)
        if (load->slots[i].link != NOBODY && (index == NOBODY || load->slots[i].link == index))
            give_up(load, &load->slots[i], now_ns);
    if (index == NOBODY)
        return;
    link_close(&load->links[index]);
    load->retry_at_ns[index] = now_ns + LOAD_RECONNECT_NS;
}

static void flush(struct load *load, uint32_t index)
{
    struct link *link = &load->links[index];
    if (!link_flush(link))
        drop_link(load, index);
    else if (link_has_unsent(link) != link->is_watched_for_room)
        watch(load, index, EPOLL_CTL_MOD);
}

/* A request that never left; it would wait until the run gives up. */
static void count_unsent(struct load *load, uint64_t due_ns)
{
    if (!is_measured(load, due_ns))
        return;
    load->result->unsent_count++;
    hist_record(&load->result->latency, load->end_ns + LOAD_DRAIN_NS - due_ns);
}

/* Queues one request on the link; the caller flushes. */
static void issue(struct load *load, uint32_t index, uint64_t due_ns)
{
    struct load_result *result = load->result;
    bool measured = is_measured(load, due_ns);
    uint8_t *body = load->request + SP_HEADER_BYTES_MAX;
    size_t len = traffic_pack(load->traffic, body);
    result->due_count += measured;
    if (index == NOBODY || load->first_free == NOBODY) {
        count_unsent(load, due_ns);
        return;
    }
    struct link *link = &load->links[index];
    uint32_t id = load->first_free;
    uint8_t *frame = sp_put_header(body, len, id, link->conn.ipc);
    if (!link_put(link, frame, len + sp_header_bytes(link->conn.ipc))) {
        count_unsent(load, due_ns);
        return;
    }
    load->first_free = load->slots[id].next_free;
    uint64_t now_ns = client_now_ns();
    load->slots[id] = (struct slot){.due_ns = due_ns, .sent_ns = now_ns, .link = index};
    load->in_flight++;
    link->in_flight++;
    if (measured)
        hist_record(&result->lag, now_ns - due_ns);
}

static void count_answer(struct load *load, const struct sp_message *message, uint64_t took_ns)
{
    struct load_result *result = load->result;
    struct text what;
    result->reply_bytes += message->body_bytes;
    switch (traffic_read(message->body, message->body_bytes, &what)) {
    case ANSWER_OK:
        result->ok_count++;
        result->in_budget_count += took_ns <= load->options->budget_us * 1000;
        if (what.len > 0)
            tally_add(&result->levels, what, 1);
        break;
    case ANSWER_REFUSED:
        result->refused_count++;
        hist_record(&result->refusal, took_ns);
        tally_add(&result->errors, what, 1);
        break;
    case ANSWER_MALFORMED: result->malformed_count++; break;
    }
}

/* False when the peer sent what belongs to no request. */
static bool take_reply(struct load *load, uint32_t index, const struct sp_message *message,
                       uint64_t now_ns)
{
    uint32_t id = message->id & ~SP_ID_FLAG;
    if (id >= LOAD_IN_FLIGHT_MAX || load->slots[id].link != index)
        return false;
    struct slot *slot = &load->slots[id];
    load->result->answered_in_time += is_measured(load, now_ns);
    if (is_measured(load, slot->due_ns)) {
        hist_record(&load->result->latency, now_ns - slot->due_ns);
        count_answer(load, message, now_ns - slot->sent_ns);
    }
    slot->link = NOBODY;
    slot->next_free = load->first_free;
    load->first_free = id;
    load->in_flight--;
    load->links[index].in_flight--;
    return true;
}

static void serve(struct load *load, uint32_t index)
{
    struct link *link = &load->links[index];
    if (!link_fill(link)) {
        drop_link(load, index);
        return;
    }
    uint64_t now_ns = client_now_ns();
    bool closed_loop = load->options->mode == BENCH_CLOSED;
    struct sp_message message;
    enum sp_state state;
    while ((state = link_next(link, &message)) == SP_MESSAGE) {
        if (!take_reply(load, index, &message, now_ns)) {
            state = SP_BAD;
            break;
        }
        if (closed_loop && now_ns < load->end_ns)
            issue(load, index, client_now_ns());
    }
    if (state == SP_BAD)
        drop_link(load, index);
    else if (closed_loop)
        flush(load, index);
}

static void revive(struct load *load, uint64_t now_ns)
{
    for (uint32_t i = 0; i < load->link_count; i++) {
        if (link_is_open(&load->links[i]) || now_ns < load->retry_at_ns[i])
            continue;
        bool back = open_link(load, i, NULL) == ERR_OK;
        if (load->options->mode != BENCH_CLOSED || now_ns >= load->end_ns)
            continue;
        if (back) {
            issue(load, i, client_now_ns());
            flush(load, i);
        } else { /* whoever waits for it asks each time in vain */
            load->result->due_count += is_measured(load, now_ns);
            count_unsent(load, now_ns);
        }
    }
}

/* The first of those with the least on its way, as a pool lends what is idle. */
static uint32_t choose_link(const struct load *load)
{
    uint32_t best = NOBODY;
    for (uint32_t i = 0; i < load->link_count; i++)
        if (link_is_open(&load->links[i]) &&
            (best == NOBODY || load->links[i].in_flight < load->links[best].in_flight))
            best = i;
    return best;
}

/* Queues what is due, up to a burst, and writes it with one call per link. */
static void send_due(struct load *load, uint64_t now_ns)
{
    for (int i = 0; i < BURST_MAX; i++) {
        uint64_t due_ns = schedule_next_ns(&load->schedule);
        if (due_ns > now_ns || due_ns >= load->end_ns)
            break;
        issue(load, choose_link(load), due_ns);
        schedule_advance(&load->schedule);
    }
    for (uint32_t i = 0; i < load->link_count; i++)
        if (link_is_open(&load->links[i]) && link_has_unsent(&load->links[i]))
            flush(load, i);
}

static void wait_and_serve(struct load *load, uint64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t now_ns = client_now_ns();
    uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    struct timespec left = client_timespec(left_ns < WAIT_NS_MAX ? left_ns : WAIT_NS_MAX);
    int count = epoll_pwait2(load->epoll, events, EVENTS_MAX, &left, NULL);
    for (int i = 0; i < count; i++) {
        uint32_t index = events[i].data.u32;
        if (link_is_open(&load->links[index]) && (events[i].events & EPOLLOUT) != 0)
            flush(load, index);
        if (link_is_open(&load->links[index]))
            serve(load, index);
    }
}

static uint64_t cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * CLIENT_NS_PER_SEC + (uint64_t)used.tv_nsec;
}

static void begin(struct load *load, uint64_t now_ns)
{
    const struct bench_options *options = load->options;
    load->measure_ns = now_ns + (uint64_t)(options->warmup_s * 1e9);
    load->end_ns = load->measure_ns + (uint64_t)(options->duration_s * 1e9);
    /* Not the seed of the traffic: who asks must not depend on when. */
    schedule_init(&load->schedule, options->rate, options->arrivals == BENCH_POISSON,
                  ~options->seed, now_ns);
    for (uint32_t i = 0; options->mode == BENCH_CLOSED && i < load->link_count; i++) {
        issue(load, i, client_now_ns());
        flush(load, i);
    }
}

static bool has_due(const struct load *load)
{
    return load->options->mode != BENCH_CLOSED && schedule_next_ns(&load->schedule) < load->end_ns;
}

/* Until the end, and then until everything is answered or given up. */
static void go_on(struct load *load, uint64_t now_ns)
{
    while (now_ns < load->end_ns ||
           ((load->in_flight > 0 || has_due(load)) && now_ns < load->end_ns + LOAD_DRAIN_NS)) {
        if (has_due(load))
            send_due(load, now_ns);
        revive(load, now_ns);
        uint64_t until_ns = now_ns < load->end_ns ? load->end_ns : load->end_ns + LOAD_DRAIN_NS;
        if (has_due(load))
            until_ns = schedule_next_ns(&load->schedule);
        wait_and_serve(load, until_ns);
        now_ns = client_now_ns();
        if (stop_is_requested() && now_ns < load->end_ns)
            load->end_ns = now_ns;
    }
    for (; has_due(load); schedule_advance(&load->schedule)) {
        uint64_t due_ns = schedule_next_ns(&load->schedule);
        load->result->due_count += is_measured(load, due_ns);
        count_unsent(load, due_ns);
    }
}

void load_run(struct load *load, struct load_result *result)
{
    /* The default lets the kernel wake us 50 us late, which would all count as lag. */
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    memset(result, 0, sizeof *result);
    load->result = result;
    uint64_t start_ns = client_now_ns();
    uint64_t cpu_start_ns = cpu_ns();
    begin(load, start_ns);
    go_on(load, start_ns);
    drop_link(load, NOBODY);
    result->measured_ns = load->end_ns > load->measure_ns ? load->end_ns - load->measure_ns : 0;
    result->wall_ns = client_now_ns() - start_ns;
    result->cpu_ns = cpu_ns() - cpu_start_ns;
}

static enum err_code start(struct load *load, struct err *err)
{
    enum err_code rc = link_resolve(load->options->url, &load->target, err);
    if (rc != ERR_OK)
        return rc;
    load->links = calloc(load->options->connections, sizeof *load->links);
    for (uint32_t i = 0; load->links != NULL && i < load->options->connections; i++)
        load->links[i].conn.fd = -1;
    load->retry_at_ns = calloc(load->options->connections, sizeof *load->retry_at_ns);
    load->slots = calloc(LOAD_IN_FLIGHT_MAX, sizeof *load->slots);
    if (load->links == NULL || load->retry_at_ns == NULL || load->slots == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for %u connections",
                       load->options->connections);
    for (uint32_t i = 0; i < LOAD_IN_FLIGHT_MAX; i++)
        load->slots[i] =
            (struct slot){.link = NOBODY, .next_free = i + 1 < LOAD_IN_FLIGHT_MAX ? i + 1 : NOBODY};
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load->epoll < 0)
        return err_set(err, ERR_IO, "epoll: %s", strerror(errno));
    for (; load->link_count < load->options->connections; load->link_count++) {
        rc = open_link(load, load->link_count, err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

enum err_code load_create(const struct bench_options *options, struct traffic *traffic,
                          struct load **ret_load, struct err *err)
{
    struct load *load = calloc(1, sizeof *load);
    if (load == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    *load = (struct load){.options = options, .traffic = traffic, .epoll = -1};
    enum err_code rc = start(load, err);
    if (rc == ERR_OK)
        *ret_load = load;
    else
        load_destroy(&load);
    return rc;
}

void load_destroy(struct load **load)
{
    struct load *dead = *load;
    *load = NULL;
    if (dead == NULL)
        return;
    for (uint32_t i = 0; dead->links != NULL && i < dead->options->connections; i++)
        link_deinit(&dead->links[i]);
    if (dead->epoll >= 0)
        close(dead->epoll);
    free(dead->slots);
    free(dead->retry_at_ns);
    free(dead->links);
    free(dead);
}
