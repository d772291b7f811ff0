/* SPDX-License-Identifier: Apache-2.0 */
/* docs/evaluation.md, run as it stands there: on the public Online Retail file, when it is beside
 * the source tree (../shared/data) or named by DECIDED_RETAIL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/json.h"
#include "tests/support/daemon.h"

#define PATH_BYTES 4096
#define SPLIT      "time:2011-11-01"

static char retail[PATH_BYTES]; /* "" when it is not there */
static char map[PATH_BYTES];
static struct daemon shop;

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    if (value == NULL)
        fail_msg("%s is not set: run this through ctest", name);
    return value;
}

/* What `tool` with these arguments prints; it has to succeed. */
__attribute__((format(printf, 2, 3))) static char *run(const char *tool, const char *fmt, ...)
{
    char arguments[3 * PATH_BYTES], command[5 * PATH_BYTES];
    struct buffer text = {0};
    va_list args;
    va_start(args, fmt);
    vsnprintf(arguments, sizeof arguments, fmt, args);
    va_end(args);
    snprintf(command, sizeof command, "'%s/%s' %s", environment("DECIDED_TOOLS"), tool, arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    for (int c; (c = fgetc(pipe)) != EOF;)
        buffer_put_char(&text, (char)c);
    int status = pclose(pipe);
    char *output = buffer_take(&text, &(size_t){0});
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("%s\n%s", command, output);
    return output;
}

static cJSON *run_json(const char *tool, const char *arguments)
{
    char *text = run(tool, "%s", arguments);
    cJSON *root = cJSON_Parse(text);
    if (root == NULL)
        fail_msg("%s %s printed no JSON:\n%s", tool, arguments, text);
    free(text);
    return root;
}

static double metric(const cJSON *report, const char *mode, const char *name)
{
    const cJSON *eval = cJSON_GetObjectItemCaseSensitive(report, "eval");
    const cJSON *of_mode = cJSON_GetObjectItemCaseSensitive(eval, mode);
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(of_mode, name);
    assert_non_null(value);
    return value->valuedouble;
}

/* The map with two more rules, so that the daemon knows only what the models know. */
static void write_training_map(const char *path)
{
    static const char *const later[] = {"2011-11", "2011-12"};
    cJSON *root = NULL;
    struct err err = {0};
    if (json_parse_file(map, 1 << 20, &root, &err) != ERR_OK)
        fail_msg("%s", err.text);
    cJSON *keep = cJSON_GetObjectItemCaseSensitive(root, "keep");
    for (int i = 0; i < 2; i++) {
        cJSON *rule = cJSON_CreateObject();
        cJSON_AddStringToObject(rule, "name", later[i]);
        cJSON_AddStringToObject(rule, "column", "InvoiceDate");
        cJSON_AddStringToObject(rule, "begins_not_with", later[i]);
        cJSON_AddItemToArray(keep, rule);
    }
    char *text = cJSON_Print(root);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    cJSON_free(text);
    cJSON_Delete(root);
}

static int setup(void **state)
{
    const char *given = getenv("DECIDED_RETAIL");
    char extra[PATH_BYTES];
    (void)state;
    if (given != NULL)
        snprintf(retail, sizeof retail, "%s", given);
    else
        snprintf(retail, sizeof retail, "%s/../shared/data/online-retail/online_retail.csv.gz",
                 environment("DECIDED_SOURCE"));
    if (access(retail, R_OK) != 0) {
        fprintf(stderr, "test_evaluation: SKIPPED: '%s' is not there\n", retail);
        retail[0] = '\0';
        return 0;
    }
    snprintf(map, sizeof map, "%s/deploy/maps/online-retail.json", environment("DECIDED_SOURCE"));
    snprintf(extra, sizeof extra,
             "\"history_items_max\": 1000, \"queue_delay_target_us\": 0, \"policies\": \"%s/%s\"",
             environment("DECIDED_SOURCE"), "deploy/policies.json");
    daemon_start(&shop, extra);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (retail[0] != '\0')
        daemon_stop(&shop);
    return 0;
}

/* Trains, checks the metrics of the model itself, and pushes it. */
static void train(const char *kind, double *ret_new, double *ret_any)
{
    char arguments[3 * PATH_BYTES];
    snprintf(
        arguments, sizeof arguments,
        "%s --events '%s' --map '%s' --out '%s/bundles' --name demo-%s --version 1 --eval " SPLIT
        " --json 2>/dev/null",
        kind, retail, map, shop.dir.path, kind);
    cJSON *report = run_json("decide-train", arguments);
    *ret_new = metric(report, "new", "recall@20");
    *ret_any = metric(report, "any", "recall@20");
    assert_true(metric(report, "new", "users") == 1440);
    assert_true(metric(report, "any", "users") == 1538);
    cJSON_Delete(report);
    free(run("decidectl", "--url %s model push '%s/bundles/demo-%s/1' 2>&1", shop.url,
             shop.dir.path, kind));
}

static void test_what_is_served_recommends_as_well_as_is_said(void **state)
{
    char training_map[PATH_BYTES], arguments[3 * PATH_BYTES];
    double new_recall = 0.0, any_recall = 0.0;
    (void)state;
    if (retail[0] == '\0')
        skip();
    snprintf(training_map, sizeof training_map, "%s/training-map.json", shop.dir.path);
    write_training_map(training_map);
    free(run("decidectl", "--url %s import events '%s' --map '%s' 2>&1", shop.url, retail,
             training_map));

    train("popularity", &new_recall, &any_recall);
    assert_true(new_recall > 0.0503 && new_recall < 0.0513);
    assert_true(any_recall > 0.0966 && any_recall < 0.0976);
    train("neighbors", &new_recall, &any_recall);
    assert_true(new_recall >= 0.121);
    train("factors", &new_recall, &any_recall);
    assert_true(new_recall >= 0.109);

    snprintf(arguments, sizeof arguments,
             "eval --url %s --events '%s' --map '%s' --eval " SPLIT " --json 2>/dev/null", shop.url,
             retail, map);
    cJSON *report = run_json("decide-train", arguments);
    const cJSON *levels = cJSON_GetObjectItemCaseSensitive(report, "levels");
    assert_int_equal(cJSON_GetArraySize(levels), 1);
    assert_string_equal(levels->child->string, "full");
    assert_true(levels->child->valuedouble == 1440 + 1538);
    assert_true(metric(report, "any", "recall@20") >= 0.34);
    assert_true(metric(report, "new", "recall@20") >= 0.124);
    cJSON_Delete(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_served_recommends_as_well_as_is_said),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
