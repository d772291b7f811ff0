/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions of a real daemon, computed again from their log after a restart: to the bit, by linear
 * models and by trees; what was changed afterwards is told. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "tests/support/daemon_client.h"
#include "tests/support/model_sample.h"
#include "tests/support/program.h"

#define ROUNDS  120
#define WAIT_NS UINT64_C(20000000000)

static struct daemon served;
static struct program program;
static char models[2 * TEMP_DIR_BYTES];
static char first[64]; /* the id of the first decision, by the linear ranker */

/* Runs decidectl with the words of the line; "MODELS" and "@NAME" are paths. */
static const char *ctl(int code, const char *line)
{
    static char words[16][1200];
    const char *argv[20] = {0};
    char path[1024], copy[1200], *rest = copy;
    int argc = 0;
    snprintf(path, sizeof path, "%s/decidectl", getenv("DECIDED_TOOLS"));
    argv[argc++] = path;
    argv[argc++] = "--url";
    argv[argc++] = served.url;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word; (word = strsep(&rest, " ")) != NULL && argc < 18; argc++) {
        if (word[0] == '@')
            snprintf(words[argc - 3], sizeof words[0], "%s/%s", served.dir.path, word + 1);
        else
            snprintf(words[argc - 3], sizeof words[0], "%s",
                     strcmp(word, "MODELS") == 0 ? models : word);
        argv[argc] = words[argc - 3];
    }
    program_run(&program, argv);
    if (program.exit_code != code)
        fail_msg("decidectl %s: exit %d\n%s%s", line, program.exit_code, program.out, program.err);
    return program.out;
}

static cJSON *ask(const char *op, const char *json)
{
    cJSON *reply = daemon_ask_nng(&served, op, json);
    if (!reply_ok(reply))
        fail_msg("%s %s: %s", op, json, cJSON_PrintUnformatted(reply));
    return reply;
}

static void push(const char *name, const char *version, enum model_kind kind)
{
    char dir[2 * TEMP_DIR_BYTES], below[64], line[128];
    snprintf(below, sizeof below, "bundle-%s-%s", name, version);
    model_sample_write(temp_dir_path(&served.dir, below, dir), name, version, kind);
    snprintf(line, sizeof line, "model push @%s", below);
    (void)ctl(0, line);
}

/* Two decisions of a person whose history grows all the time. */
static void decide_once(int round)
{
    char json[512];
    snprintf(json, sizeof json,
             "{\"events\": [{\"id\": \"e%d\", \"type\": \"%s\", \"user\": \"u%d\", \"items\": "
             "[{\"id\": \"i%d\"}]}]}",
             round, round % 3 == 0 ? "purchase" : "view", round % 7, round * 5 % 8);
    cJSON_Delete(ask("events", json));
    snprintf(json, sizeof json, "{\"user\": \"u%d\", \"n\": %d}", round % 7, 2 + round % 5);
    cJSON *reply = ask("recommend", json);
    cJSON_Delete(reply);
    snprintf(
        json, sizeof json,
        "{\"user\": \"u%d\", \"items\": [{\"id\": \"i%d\", \"score\": 0.%d}, {\"id\": \"i%d\"}, "
        "{\"id\": \"nobody knows\", \"score\": -1e30}]}",
        round % 7, round % 8, 10 + round, (round + 3) % 8);
    reply = ask("rank", json);
    if (first[0] == '\0')
        snprintf(first, sizeof first, "%s", reply_text(reply, "decision"));
    cJSON_Delete(reply);
}

static int set_up(void **state)
{
    (void)state;
    daemon_start(&served, NULL);
    temp_dir_path(&served.dir, "models", models);
    for (int i = 0; i < MODEL_SAMPLE_ITEMS; i++) {
        char event[256];
        snprintf(event, sizeof event,
                 "{\"events\": [{\"id\": \"c%d\", \"type\": \"item_upsert\", \"currency\": "
                 "\"EUR\", \"items\": [{\"id\": \"i%d\", \"price\": %d}]}]}",
                 i, i, 333 * (i + 1));
        cJSON_Delete(ask("events", event));
    }
    push("near", "1", MODEL_neighbors);
    push("rank", "1", MODEL_linear);
    for (int round = 0; round < ROUNDS; round++)
        decide_once(round);
    push("rank", "2", MODEL_trees);
    for (int round = ROUNDS; round < 2 * ROUNDS; round++)
        decide_once(round);
    daemon_signal(&served, SIGTERM);
    assert_int_equal(daemon_wait(&served), 0);
    daemon_restart(&served);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    daemon_stop(&served);
    return 0;
}

static double number(const cJSON *object, const char *key)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsNumber(value))
        fail_msg("%s is no number in %s", key, cJSON_PrintUnformatted(object));
    return value->valuedouble;
}

static cJSON *parsed(const char *text)
{
    cJSON *root = cJSON_Parse(text);
    if (root == NULL)
        fail_msg("no JSON: %s", text);
    return root;
}

static void test_every_logged_decision_is_made_again_to_the_bit(void **state)
{
    (void)state;
    cJSON *counts = parsed(ctl(0, "replay --all --models MODELS --json"));
    assert_int_equal(number(counts, "differing"), 0);
    assert_int_equal(number(counts, "refused"), 0);
    assert_true(number(counts, "equal") >= 3 * ROUNDS);
    assert_int_equal(number(counts, "equal") + number(counts, "unranked"), 4 * ROUNDS);
    cJSON_Delete(counts);
    /* From a file it is the same. */
    (void)ctl(0, "export decisions --out @log.ndjson");
    counts = parsed(ctl(0, "replay --all --log @log.ndjson --models MODELS --json"));
    assert_true(number(counts, "equal") >= 3 * ROUNDS);
    cJSON_Delete(counts);
    char line[256];
    snprintf(line, sizeof line, "replay %s --models MODELS", first);
    assert_non_null(strstr(ctl(0, line), "bit for bit"));
    /* And from one that was packed on the way. */
    (void)ctl(0, "export decisions --out @log.ndjson.gz");
    (void)ctl(0, "export decisions --out @log.ndjson.zst");
    snprintf(line, sizeof line, "replay %s --log @log.ndjson.gz --models MODELS", first);
    assert_non_null(strstr(ctl(0, line), "bit for bit"));
    snprintf(line, sizeof line, "replay %s --log @log.ndjson.zst --models MODELS", first);
    assert_non_null(strstr(ctl(0, line), "bit for bit"));
}

static void test_another_version_is_shown_beside_it(void **state)
{
    (void)state;
    char line[256];
    snprintf(line, sizeof line, "replay %s --models MODELS --with rank@1 --json", first);
    cJSON *replay = parsed(ctl(0, line));
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(replay, "items"))
    {
        /* The same version gives the same scores and places. */
        assert_true(number(item, "with_score") == number(item, "computed"));
        assert_true(number(item, "with_place") == number(item, "place"));
    }
    cJSON_Delete(replay);
    snprintf(line, sizeof line, "replay %s --models MODELS --with rank@3", first);
    (void)ctl(1, line);
    assert_non_null(strstr(program.err, "rank@3 is not in"));
    push("rank", "3", MODEL_linear);
    (void)ctl(0, line);
    assert_non_null(strstr(program.out, "PLACE"));
    snprintf(line, sizeof line, "replay %s --models MODELS --with near@1", first);
    (void)ctl(1, line);
    assert_non_null(strstr(program.err, "which ranks nothing"));
}

static void write_model(const char *name, enum model_kind kind)
{
    char dir[2 * TEMP_DIR_BYTES], below[64];
    snprintf(below, sizeof below, "elsewhere/%s/1", name);
    model_sample_write(temp_dir_path(&served.dir, below, dir), name, "1", kind);
}

static cJSON *replay_with(const char *with)
{
    char line[256];
    snprintf(line, sizeof line, "replay %s --models @elsewhere --with %s --json", first, with);
    return parsed(ctl(0, line));
}

static void refuses_with(const char *with, const char *why)
{
    char line[256];
    snprintf(line, sizeof line, "replay %s --models @elsewhere --with %s", first, with);
    (void)ctl(strstr(why, "expected NAME@VERSION") != NULL ? 2 : 1, line);
    if (strstr(program.err, why) == NULL)
        fail_msg("--with %s: expected '%s', got '%s'", with, why, program.err);
}

/* The blend is 2 * a + sigmoid(b) / 2, where a has the default 1 and b has 0. */
static void test_a_blend_is_made_of_the_versions_that_are_given(void **state)
{
    (void)state;
    const cJSON *item;
    uint32_t count = 0;
    write_model("rank", MODEL_linear);
    write_model("a", MODEL_linear);
    write_model("b", MODEL_linear);
    write_model("mix", MODEL_blend);
    cJSON *replay = replay_with("mix@1,b@1,a@1");
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(replay, "items"))
    {
        if (cJSON_GetObjectItemCaseSensitive(item, "computed") == NULL)
            continue;
        double part = number(item, "computed"); /* a and b are as the one that ranked */
        double blend = 2 * part + 0.5 / (1 + exp(-part));
        assert_true(fabs(number(item, "with_score") - blend) <= 1e-5 * fmax(1, fabs(blend)));
        count++;
    }
    assert_true(count >= 2);
    cJSON_Delete(replay);
    /* The decision names neither part. */
    replay = replay_with("mix@1");
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(replay, "items"))
        assert_true(number(item, "with_score") == 2.25);
    cJSON_Delete(replay);
    refuses_with("mix@1,rank@1", "mix@1 has no part that is called rank");
    refuses_with("rank@1,a@1", "rank@1 has no part that is called a");
    refuses_with("mix@1,a@1,a@1", "a is given twice");
    refuses_with("mix@1,a@2", "a@2 is not in");
    refuses_with("mix@1,,a@1", "expected NAME@VERSION");
}

static char *read_log(void)
{
    char path[2 * TEMP_DIR_BYTES];
    struct buffer text = {0};
    FILE *file = fopen(temp_dir_path(&served.dir, "log.ndjson", path), "r");
    assert_non_null(file);
    for (int c; (c = fgetc(file)) != EOF;)
        buffer_put_char(&text, (char)c);
    fclose(file);
    return buffer_take(&text, &(size_t){0});
}

/* The line of the first decision, with a character behind `where` made another one. */
static void tamper(const char *where, const char *from, char to)
{
    char *log = read_log();
    char *line = strstr(log, first);
    assert_non_null(line);
    while (line > log && line[-1] != '\n')
        line--;
    char *end = strchr(line, '\n');
    end[1] = '\0';
    char *at = strstr(line, where);
    assert_non_null(at);
    at += strlen(where);
    at += strcspn(at, from);
    assert_true(*at != '\0' && at < end);
    *at = to;
    temp_dir_write_text(&served.dir, "tampered.ndjson", line);
    free(log);
}

static void test_what_was_changed_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *where, *from;
        char to;
    } changes[] = {
        {"\"features\":[[", "12345678", '9'}, /* the price of the first item */
        {"\"ranked\":[", "012345678", '9'},   /* its score */
    };
    char line[256];
    (void)ctl(0, "export decisions --out @log.ndjson");
    snprintf(line, sizeof line, "replay %s --log @tampered.ndjson --models MODELS", first);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        tamper(changes[i].where, changes[i].from, changes[i].to);
        (void)ctl(1, line);
        assert_non_null(strstr(program.out, "differs: place 1"));
        assert_null(strstr(program.out, "equal"));
    }
    tamper("\"names\":[", "i", 'x'); /* "xtem.price" */
    (void)ctl(1, line);
    assert_non_null(strstr(program.err, "which the log of this decision does not have"));
    tamper("\"scores\":", "[", '{');
    (void)ctl(1, line);
    assert_non_null(strstr(program.err, "tampered.ndjson, line 1"));
}

/* As an answer of pins alone is logged: a ranker is named, and saw none of the items. */
static void test_what_no_ranker_saw_is_not_called_equal(void **state)
{
    (void)state;
    char line[256];
    (void)ctl(0, "export decisions --out @log.ndjson");
    char *log = read_log(), *from = strstr(log, first);
    assert_non_null(from);
    *strchr(from, '\n') = '\0';
    while (from > log && from[-1] != '\n')
        from--;
    cJSON *record = parsed(from);
    for (int i = 0; i < 2; i++) {
        const char *key = i == 0 ? "features" : "ranked";
        cJSON *column = cJSON_GetObjectItemCaseSensitive(record, key);
        for (int item = 0; item < cJSON_GetArraySize(column); item++)
            cJSON_ReplaceItemInArray(column, item, cJSON_CreateNull());
    }
    char *text = cJSON_PrintUnformatted(record);
    temp_dir_write_text(&served.dir, "pinned.ndjson", text);
    snprintf(line, sizeof line, "replay %s --log @pinned.ndjson --models MODELS", first);
    (void)ctl(1, line);
    assert_non_null(strstr(program.err, "no ranker saw its items"));
    (void)ctl(0, "replay --all --log @pinned.ndjson --models MODELS");
    assert_non_null(strstr(program.out, "0 equal, 0 differ, 1 were scored by no ranker"));
    cJSON_free(text);
    cJSON_Delete(record);
    free(log);
}

static void test_refusals_say_why(void **state)
{
    (void)state;
    char line[256];
    snprintf(line, sizeof line, "replay %s --models @nowhere", first);
    (void)ctl(1, line);
    assert_non_null(strstr(program.err, "rank@1 is not in"));
    (void)ctl(1, "replay --all --models @nowhere");
    assert_non_null(strstr(program.out, "could not be replayed"));
    (void)ctl(1, "replay 01HF7YAT00AAAAAAAAAAAAAAAA --models MODELS");
    assert_non_null(strstr(program.err, "is not in the log"));
    (void)ctl(2, "replay --all --models MODELS --with rank");
    assert_non_null(strstr(program.err, "expected NAME@VERSION"));
    (void)ctl(2, "replay --models MODELS");
    (void)ctl(2, "replay --all");
    cJSON *reply = ask("similar", "{\"items\": [\"i1\"], \"n\": 2}");
    snprintf(line, sizeof line, "replay %s --models MODELS", reply_text(reply, "decision"));
    uint64_t until_ns = clock_now_ns(clock_system()) + WAIT_NS;
    do { /* the log is written a moment after the reply */
        (void)ctl(1, line);
    } while (strstr(program.err, "no ranker saw its items") == NULL &&
             clock_now_ns(clock_system()) < until_ns);
    assert_non_null(strstr(program.err, "no ranker saw its items"));
    cJSON_Delete(reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_logged_decision_is_made_again_to_the_bit),
        cmocka_unit_test(test_another_version_is_shown_beside_it),
        cmocka_unit_test(test_a_blend_is_made_of_the_versions_that_are_given),
        cmocka_unit_test(test_what_was_changed_is_told),
        cmocka_unit_test(test_what_no_ranker_saw_is_not_called_equal),
        cmocka_unit_test(test_refusals_say_why),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
