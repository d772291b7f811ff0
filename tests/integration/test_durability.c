/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon that is killed at random moments while events are sent to it: each event that was
 * acknowledged with `disk` is in the log once, none is there twice, and the state of the daemon is
 * that of a replay.  DURABILITY_KILLS says how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "base/pack.h"
#include "base/rand.h"
#include "client/decide.h"
#include "featurestore/definitions.h"
#include "featurestore/store.h"
#include "featurestore/store_features.h"
#include "tests/support/daemon.h"
#include "tests/support/daemon_client.h"

enum { SENDERS = 3, BATCHES_MAX = 20000, KILLS = 10, PHASE_S = 120 };
enum { EVENTS_MOST = 40 };

/* What daemons have when their configuration does not say. */
static const struct store_limits limits = {.items_max = 1000000,
                                           .people_max = 10000000,
                                           .history_items_max = 100,
                                           .queue_events_max = 100000,
                                           .dedup_events_max = 1000000,
                                           .prices_max = 8,
                                           .feature_rows_max = 1000000};

static char features_path[512]; /* "": no features are defined */
static struct daemon served;
static struct decide_client *client;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool stopping;                  /* under the mutex, as is the next one */
static uint32_t acknowledged[SENDERS]; /* batches of each sender, which come one by one */
static char wrong[200];

/* How many events the batch has, and what they are, follows from its number. */
static uint32_t size_of(uint32_t sender, uint32_t batch)
{
    return 1 + (sender * 7 + batch * 13) % EVENTS_MOST;
}

static size_t make_batch(uint32_t sender, uint32_t batch, uint8_t *bytes, size_t capacity)
{
    static const char *const types[] = {"view", "cart_add", "purchase", "search"};
    struct pack pack = pack_into(bytes, capacity);
    uint32_t count = size_of(sender, batch);
    pack_array(&pack, count);
    for (uint32_t i = 0; i < count; i++) {
        char id[48], user[32], item[32];
        snprintf(id, sizeof id, "%u-%u-%u", sender, batch, i);
        snprintf(user, sizeof user, "u%u", (batch * 31 + i) % 200);
        snprintf(item, sizeof item, "i%u", (batch * 17 + i * 3) % 300);
        pack_map(&pack, 4);
        pack_key(&pack, "id");
        pack_str(&pack, id);
        pack_key(&pack, "type");
        pack_str(&pack, types[(batch + i) % 4]);
        pack_key(&pack, "user");
        pack_str(&pack, user);
        pack_key(&pack, "items");
        pack_array(&pack, 1);
        pack_map(&pack, 1);
        pack_key(&pack, "id");
        pack_str(&pack, item);
    }
    assert_false(pack.overflow);
    return pack.used;
}

/* True when all of the batch is on disk; false when it must be sent again. */
static bool is_acknowledged(const struct decide_reply *reply, uint32_t count)
{
    if (reply->status != DECIDE_OK)
        return false;
    struct cursor map = cursor_of(reply->bytes, reply->bytes_len);
    uint32_t pairs = 0;
    int64_t sum = 0, value = 0;
    for (cursor_map(&map, &pairs); pairs > 0; pairs--) {
        struct text key;
        cursor_text(&map, &key);
        if ((text_is(key, "accepted") || text_is(key, "duplicate")) && cursor_int(&map, &value))
            sum += value;
        else
            cursor_skip(&map, NULL);
    }
    if (sum != count) {
        pthread_mutex_lock(&mutex);
        snprintf(wrong, sizeof wrong, "%lld of %u events were taken", (long long)sum, count);
        pthread_mutex_unlock(&mutex);
    }
    return sum == count;
}

static void *run_sender(void *argument)
{
    uint32_t sender = (uint32_t)(uintptr_t)argument;
    static _Thread_local uint8_t bytes[65536];
    for (uint32_t batch = 0; batch < BATCHES_MAX; batch++) {
        size_t len = make_batch(sender, batch, bytes, sizeof bytes);
        for (bool done = false; !done;) {
            struct decide_reply *reply = decide_events(client, bytes, len, 500000);
            done = is_acknowledged(reply, size_of(sender, batch));
            decide_reply_free(reply);
            pthread_mutex_lock(&mutex);
            acknowledged[sender] += done;
            bool stop = stopping || wrong[0] != '\0';
            pthread_cond_broadcast(&changed);
            pthread_mutex_unlock(&mutex);
            if (stop)
                return NULL;
        }
    }
    return NULL;
}

static uint32_t sum_acknowledged(void)
{
    uint32_t sum = 0;
    for (int i = 0; i < SENDERS; i++)
        sum += acknowledged[i];
    return sum;
}

static void wait_for_more(uint32_t count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PHASE_S;
    pthread_mutex_lock(&mutex);
    uint32_t wanted = sum_acknowledged() + count;
    int rc = 0;
    while (rc == 0 && sum_acknowledged() < wanted && wrong[0] == '\0')
        rc = pthread_cond_timedwait(&changed, &mutex, &until);
    pthread_mutex_unlock(&mutex);
    assert_string_equal(wrong, "");
    assert_int_equal(rc, 0);
}

static uint64_t daemon_hash(void)
{
    cJSON *reply = daemon_ask_nng(&served, "state_hash", "{}");
    assert_true(reply_ok(reply));
    uint64_t hash = strtoull(reply_text(reply, "hash"), NULL, 16);
    cJSON_Delete(reply);
    return hash;
}

static void open_log_dir(struct event_log_options *options, char *path)
{
    *options = (struct event_log_options){.dir = temp_dir_path(&served.dir, "state/events", path),
                                          .bytes_max = UINT64_C(8) << 30,
                                          .read_only = true,
                                          .clock = clock_system()};
}

static void define_features(struct store *store)
{
    struct definitions *definitions = NULL;
    struct err err = {.text = ""};
    if (features_path[0] == '\0')
        return;
    if (definitions_parse_file(features_path, &definitions, &err) != ERR_OK ||
        store_define_features(store, &definitions, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

static uint64_t replayed_hash(void)
{
    char path[2 * TEMP_DIR_BYTES];
    struct event_log_options options;
    struct store *store = NULL;
    struct err err;
    struct store_recovery recovery;
    static const struct store_checkpoint_options none; /* all of the log is replayed */
    uint64_t sequence = 0, hash = 0;
    open_log_dir(&options, path);
    assert_int_equal(store_create(&limits, clock_system(), &store, &err), ERR_OK);
    define_features(store);
    assert_int_equal(store_open_log(store, &options, &none, &err), ERR_OK);
    assert_int_equal(store_start(store, &err), ERR_OK);
    do {
        hash = store_state_hash(store, &sequence);
        store_recovery(store, &recovery, &err);
    } while (recovery.state == STORE_RECOVERING);
    assert_int_equal(recovery.state, STORE_RECOVERED);
    hash = store_state_hash(store, &sequence);
    store_stop(store);
    store_destroy(&store);
    return hash;
}

/* Each event of the batches that were acknowledged is there, and none is there twice. */
static void check_log(void)
{
    static uint8_t seen[SENDERS][BATCHES_MAX][EVENTS_MOST];
    char path[2 * TEMP_DIR_BYTES];
    struct event_log_options options;
    struct event_log *event_log = NULL;
    struct event_log_reader reader;
    struct event_record record;
    struct err err;
    enum err_code rc;
    memset(seen, 0, sizeof seen);
    open_log_dir(&options, path);
    assert_int_equal(event_log_open(&options, &event_log, &err), ERR_OK);
    assert_int_equal(event_log_read_begin(event_log, 1, &reader, &err), ERR_OK);
    while ((rc = event_log_read_next(&reader, &record, &err)) == ERR_OK) {
        char id[64];
        unsigned sender, batch, i;
        struct cursor map = cursor_of((const uint8_t *)record.event.ptr, record.event.len);
        struct text key, text = {0};
        uint32_t pairs = 0;
        assert_true(cursor_map(&map, &pairs));
        assert_true(cursor_text(&map, &key)); /* the senders put the id first */
        assert_true(cursor_text(&map, &text));
        text_copy(text, id, sizeof id);
        assert_int_equal(sscanf(id, "%u-%u-%u", &sender, &batch, &i), 3);
        seen[sender][batch][i]++;
    }
    assert_int_equal(rc, ERR_NOT_FOUND);
    event_log_read_end(&reader);
    event_log_close(&event_log);
    for (uint32_t s = 0; s < SENDERS; s++)
        for (uint32_t b = 0; b < BATCHES_MAX; b++)
            for (uint32_t i = 0; i < EVENTS_MOST; i++) {
                bool must = b < acknowledged[s] && i < size_of(s, b);
                if (seen[s][b][i] > 1 || (must && seen[s][b][i] == 0))
                    fail_msg("event %u-%u-%u is there %u times", s, b, i, seen[s][b][i]);
            }
}

static void start(void)
{
    char extra[640] = "\"checkpoint_events\": 1000";
    size_t used = strlen(extra);
    if (features_path[0] != '\0')
        snprintf(extra + used, sizeof extra - used, ", \"features\": \"%s\"", features_path);
    daemon_start(&served, extra);
    daemon_keep_port(&served, extra);
    memset(acknowledged, 0, sizeof acknowledged);
    stopping = false;
}

static void kill_and_check(void)
{
    const char *wanted = getenv("DURABILITY_KILLS");
    int64_t kills = KILLS;
    assert_true(wanted == NULL || num_parse_int(text_of(wanted), 1, 100000, &kills));
    pthread_t senders[SENDERS];
    char error[DECIDE_ERROR_BYTES];
    struct rand rand;
    rand_init(&rand, 7);
    start();
    struct decide_options options = decide_options_default();
    options.urls = served.url;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_OK);
    for (uintptr_t i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&senders[i], NULL, run_sender, (void *)i), 0);
    for (int64_t i = 0; i < kills; i++) {
        wait_for_more((uint32_t)rand_below(&rand, 40));
        daemon_signal(&served, SIGKILL);
        daemon_wait(&served);
        daemon_restart(&served);
    }
    wait_for_more(20);
    pthread_mutex_lock(&mutex);
    stopping = true;
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(senders[i], NULL);
    assert_string_equal(wrong, "");
    uint64_t hash = daemon_hash();
    print_message("%d kills, %u batches acknowledged\n", (int)kills, sum_acknowledged());
    decide_client_destroy(&client);
    daemon_signal(&served, SIGKILL);
    daemon_wait(&served);
    assert_true(replayed_hash() == hash);
    check_log();
    daemon_restart(&served);
    assert_true(daemon_hash() == hash);
    daemon_stop(&served);
}

static void test_no_acknowledged_event_is_lost_or_doubled(void **state)
{
    (void)state;
    features_path[0] = '\0';
    kill_and_check();
}

static void test_features_are_those_of_a_replay_too(void **state)
{
    (void)state;
    snprintf(features_path, sizeof features_path, "%s/deploy/features.json",
             getenv("DECIDED_SOURCE"));
    kill_and_check();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_acknowledged_event_is_lost_or_doubled),
        cmocka_unit_test(test_features_are_those_of_a_replay_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
