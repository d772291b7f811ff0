/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rcu.h"
#include "server/control/pages.h"
#include "server/control/process_stats.h"
#include "server/metrics.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/service_rig.h"

struct fixture {
    struct service_rig rig;
    struct pages pages;
    bool leaving;
};

static bool is_leaving(void *ctx)
{
    return ((struct fixture *)ctx)->leaving;
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    service_rig_create(&fixture->rig);
    fixture->pages = (struct pages){.store = fixture->rig.registry.store,
                                    .serving = &fixture->rig.registry.serving,
                                    .registry = fixture->rig.registry.registry,
                                    .ready_without_models = true,
                                    .modes = &fixture->rig.modes,
                                    .metrics = fixture->rig.registry.metrics,
                                    .clock = &fixture->rig.clock.clock,
                                    .is_leaving = is_leaving,
                                    .ctx = fixture,
                                    .started_ms = 1700000000000};
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    service_rig_destroy(&fixture->rig);
    free(fixture);
    return 0;
}

static void page_is(struct fixture *fixture, const char *path, const char *query, int status,
                    const char *body)
{
    struct page page = {0};
    assert_true(pages_get(&fixture->pages, path, query, &page));
    assert_int_equal(page.status, status);
    assert_string_equal(page.body, body);
    assert_int_equal(page.body_bytes, strlen(body));
    assert_string_equal(page.content_type, "text/plain; charset=utf-8");
    free(page.body);
}

static void test_health_says_why_not(void **state)
{
    struct fixture *f = *state;
    struct page page;
    struct err err;
    page_is(f, "/livez", "", 200, "ok\n");
    page_is(f, "/readyz", "", 200, "ok\n");
    page_is(f, "/readyz", "verbose", 200,
            "[+]store ok: recovered\n[+]event_log ok: memory\n[+]decision_log ok: none\n"
            "[+]snapshot ok: epoch 1, policies builtin, 0 models\n"
            "[+]models ok: none serves, answers are generic\n"
            "[+]workers ok: all make progress\n[+]draining ok: no\n"
            "[+]mode ok: full\n[+]breakers ok: closed\nok\n");
    assert_int_equal(modes_set(&f->rig.modes, LEVEL_generic, 1000, text_of("a sale"), &err),
                     ERR_OK);
    f->leaving = true;
    page_is(f, "/livez", "", 200, "ok\n");
    page_is(f, "/readyz", "", 503,
            "[-]draining failed: the daemon is about to stop\nreadyz check failed\n");
    page_is(f, "/readyz", "x=1&verbose=1", 503,
            "[+]store ok: recovered\n[+]event_log ok: memory\n[+]decision_log ok: none\n"
            "[+]snapshot ok: epoch 1, policies builtin, 0 models\n"
            "[+]models ok: none serves, answers are generic\n"
            "[+]workers ok: all make progress\n"
            "[-]draining failed: the daemon is about to stop\n"
            "[+]mode ok: generic until 2023-11-14T22:13:21.000Z: a sale\n"
            "[+]breakers ok: closed\nreadyz check failed\n");
    page_is(f, "/readyz", "verbosely", 503,
            "[-]draining failed: the daemon is about to stop\nreadyz check failed\n");
    assert_false(pages_get(&f->pages, "/", "", &page));
    assert_false(pages_get(&f->pages, "/metrics/", "", &page));
    assert_false(pages_get(&f->pages, "", "", &page));
}

static void test_before_the_first_snapshot_it_is_not_ready(void **state)
{
    struct fixture *f = *state;
    struct serving none = {NULL};
    f->pages.serving = &none;
    page_is(f, "/readyz", "", 503,
            "[-]snapshot failed: no policies are in force yet\nreadyz check failed\n");
}

static void verbose_has(struct fixture *f, int status, const char *line)
{
    struct page page = {0};
    assert_true(pages_get(&f->pages, "/readyz", "verbose", &page));
    assert_int_equal(page.status, status);
    if (strstr(page.body, line) == NULL)
        fail_msg("no '%s' in\n%s", line, page.body);
    free(page.body);
}

static void test_each_model_is_told_and_a_bad_push_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct registry_rig *rig = &f->rig.registry;
    struct outcome outcome;
    struct err err;
    char path[2 * TEMP_DIR_BYTES], bad[2 * TEMP_DIR_BYTES];
    temp_dir_write_text(&rig->dir, "policies.json",
                        "{\"slots\": {\"home\": {\"ranker\": \"gone\", \"sources\": ["
                        "{\"source\": \"neighbors\", \"model\": \"near\"},"
                        "{\"source\": \"factors\", \"model\": \"gone2\"}]}}}");
    outcome_init(&outcome);
    registry_reload(rig->registry, temp_dir_path(&rig->dir, "policies.json", path), NULL, NULL, 0,
                    rig->previous_bytes_max, outcome_done, &outcome);
    assert_int_equal(outcome_wait(&outcome), ERR_OK);
    verbose_has(f, 200, "\n[!]model near missing: a policy names it, and no version serves\n");
    f->pages.ready_without_models = false;
    page_is(f, "/readyz", "", 503,
            "[-]models failed: none serves, answers are generic (ready_without_models)\n"
            "readyz check failed\n");
    rig_publish(rig, "near", "1", MODEL_neighbors);
    rig_scan(rig);
    verbose_has(f, 200, "\n[+]model near ok: near@1 serves, breaker closed\n");
    verbose_has(f, 200, "\n[!]model gone missing: ");
    /* A bad push: of a model that serves, and of one that does not. */
    model_sample_write(temp_dir_path(&rig->dir, "bad", bad), "near", "2", MODEL_neighbors);
    assert_int_equal(rig_install(rig, bad, "near", "3", &err), ERR_CORRUPT);
    assert_int_equal(rig_install(rig, bad, "gone2", "1", &err), ERR_CORRUPT);
    verbose_has(f, 200,
                "\n[+]model near ok: near@1 serves, breaker closed; newer 3 refused: "
                "manifest.json: version: expected '3' by the folder, got '2'\n");
    verbose_has(f, 200,
                "\n[!]model gone2 missing: a policy names it, and no version serves; "
                "refused last: ");
    rcu_read_begin();
    breaker_hold(serving_current(&rig->serving)->model[0]->breaker, BREAKER_HELD_OPEN);
    rcu_read_end();
    verbose_has(f, 200,
                "\n[!]model near not used: near@1 serves, breaker held_open; newer 3 refused: ");
    verbose_has(f, 200, "\n[!]breakers degraded: near@1 is held_open\n");
    page_is(f, "/readyz", "", 200, "ok\n");
}

static void test_a_refused_version_is_told_until_a_newer_one_serves(void **state)
{
    struct fixture *f = *state;
    struct registry_rig *rig = &f->rig.registry;
    char path[2 * TEMP_DIR_BYTES];
    struct err err = {.text = ""};
    rig_publish(rig, "near", "1", MODEL_neighbors);
    rig_scan(rig);
    model_sample_write(rig_path(rig, "work", path), "near", "2", MODEL_neighbors);
    assert_int_equal(unlink(rig_path(rig, "work/item_ids.txt", path)), 0);
    rig_move_in(rig, "near", "2");
    rig_scan(rig);
    verbose_has(f, 200,
                "\n[+]model near ok: near@1 serves, breaker closed; newer 2 refused: item_ids.txt");
    assert_int_equal(file_remove_tree(rig_path(rig, "models/near/2", path), NULL), ERR_OK);
    rig_scan(rig);
    verbose_has(f, 200, "\n[+]model near ok: near@1 serves, breaker closed\n");
    model_sample_write(rig_path(rig, "bad", path), "near", "9", MODEL_neighbors);
    assert_int_equal(rig_install(rig, path, "near", "3", &err), ERR_CORRUPT);
    verbose_has(f, 200, "near@1 serves, breaker closed; newer 3 refused: ");
    rig_publish(rig, "near", "4", MODEL_neighbors);
    rig_scan(rig);
    verbose_has(f, 200, "\n[+]model near ok: near@4 serves, breaker closed\n");
    /* It is newer than what a rollback serves. */
    assert_int_equal(rig_rollback(rig, "near", &err), ERR_OK);
    verbose_has(f, 200, "near@1 serves, breaker closed; newer 3 refused: ");
}

static void test_long_names_and_reasons_are_told_whole(void **state)
{
    struct fixture *f = *state;
    struct registry_rig *rig = &f->rig.registry;
    char name[MODEL_NAME_BYTES] = "", policies[256], path[2 * TEMP_DIR_BYTES];
    char wanted[2 * ERR_TEXT_BYTES];
    struct err err = {.text = ""};
    memset(name, 'n', sizeof name - 1);
    snprintf(
        policies, sizeof policies,
        "{\"slots\": {\"home\": {\"ranker\": \"%s\", \"sources\": [{\"source\": \"popular\"}]}}}",
        name);
    temp_dir_write_text(&rig->dir, "policies.json", policies);
    rig->policies = rig_path(rig, "policies.json", path);
    rig_reload(rig);
    rig->policies = NULL;
    model_sample_write(rig_path(rig, "bad", path), "other", "1", MODEL_trees);
    assert_int_equal(rig_install(rig, path, name, "1", &err), ERR_CORRUPT);
    snprintf(wanted, sizeof wanted, "no version serves; refused last: %s\n", err.text);
    verbose_has(f, 200, wanted);
    model_sample_write(rig_path(rig, "good", path), name, "1", MODEL_trees);
    assert_int_equal(rig_install(rig, path, name, "1", &err), ERR_OK);
    assert_int_equal(rig_install(rig, rig_path(rig, "bad", path), name, name, &err), ERR_CORRUPT);
    snprintf(wanted, sizeof wanted, "; newer %s refused: %s\n", name, err.text);
    verbose_has(f, 200, wanted);
}

static void test_a_worker_that_stands_still_makes_it_unready(void **state)
{
    struct fixture *f = *state;
    metric_set(f->pages.metrics, M_WORKERS_STILL, 0, 0, 1);
    page_is(f, "/readyz", "", 503,
            "[-]workers failed: 1 of the request socket stands still\nreadyz check failed\n");
    metric_set(f->pages.metrics, M_WORKERS_STILL, 0, 0, 2);
    verbose_has(f, 503, "\n[-]workers failed: 2 of the request socket stand still\n");
    metric_set(f->pages.metrics, M_WORKERS_STILL, 0, 0, 0);
    page_is(f, "/readyz", "", 200, "ok\n");
}

static void test_gauges_are_read_when_asked_for(void **state)
{
    struct fixture *f = *state;
    struct page page;
    cJSON_Delete(service_rig_ask(&f->rig, "{\"op\": \"events\", \"events\": [{\"id\": \"1\", "
                                          "\"type\": \"view\", \"user\": \"u\", \"items\": "
                                          "[{\"id\": \"i\"}]}, 3]}"));
    static const char *const lines[] = {
        "\ndecided_ready 1\n",
        "\ndecided_draining 0\n",
        "\ndecided_events_total{result=\"accepted\"} 1\n",
        "\ndecided_events_total{result=\"rejected\"} 1\n",
        "\ndecided_people{kind=\"user\"} 1\n",
        "\ndecided_mode_floor{level=\"full\"} 1\n",
        "\ndecided_mode_floor{level=\"static\"} 0\n",
        "\nprocess_start_time_seconds 1700000000\n",
        "\ndecided_build_info{version=\"" DECIDED_VERSION "\"",
        "\ndecided_snapshot_epoch 1\n",
    };
    assert_true(pages_get(&f->pages, "/metrics", "", &page));
    assert_int_equal(page.status, 200);
    assert_string_equal(page.content_type, "text/plain; version=0.0.4; charset=utf-8");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (strstr(page.body, lines[i]) == NULL)
            fail_msg("no '%s' in\n%s", lines[i], page.body);
    }
    free(page.body);
    f->leaving = true;
    assert_true(pages_get(&f->pages, "/metrics", "", &page));
    assert_non_null(strstr(page.body, "\ndecided_ready 0\n"));
    assert_non_null(strstr(page.body, "\ndecided_draining 1\n"));
    free(page.body);
}

/* `promtool check metrics` finds nothing to say about a page with every kind of row in it. */
static void test_promtool_accepts_the_page(void **state)
{
    struct fixture *f = *state;
    struct page page;
    if (system("command -v promtool >/dev/null") != 0) {
        print_message("promtool is not installed: the page is not checked\n");
        skip();
    }
    cJSON_Delete(service_rig_ask(&f->rig, "{\"op\": \"recommend\"}"));
    cJSON_Delete(service_rig_ask(&f->rig, "{\"op\": \"buy\"}"));
    assert_true(pages_get(&f->pages, "/metrics", "", &page));
    FILE *promtool = popen("promtool check metrics", "w");
    assert_non_null(promtool);
    assert_int_equal(fwrite(page.body, 1, page.body_bytes, promtool), page.body_bytes);
    assert_int_equal(pclose(promtool), 0);
    free(page.body);
}

static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {"/livez", "/readyz", "/metrics"};
    for (size_t i = 0; i < 3; i++) {
        for (uint32_t n = 0;; n++) {
            struct page page = {0};
            alloc_fail_after(n);
            assert_true(pages_get(&f->pages, paths[i], "verbose", &page));
            bool failed = alloc_fail_off();
            if (page.body == NULL)
                assert_true(failed);
            free(page.body);
            if (!failed)
                break;
        }
    }
}

static void test_figures_of_this_process(void **state)
{
    (void)state;
    struct process_stats before, after;
    process_stats_read(&before);
    assert_true(before.cpu_s > 0);
    assert_in_range(before.open_fds, 3, before.max_fds);
    assert_true(before.resident_bytes > 1 << 20);
    assert_true(before.virtual_bytes >= before.resident_bytes);
    assert_in_range(before.threads, 1, 64);
    FILE *file = tmpfile();
    process_stats_read(&after);
    assert_int_equal(after.open_fds, before.open_fds + 1);
    fclose(file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_model_is_told_and_a_bad_push_changes_nothing),
        TEST(test_a_refused_version_is_told_until_a_newer_one_serves),
        TEST(test_long_names_and_reasons_are_told_whole),
        TEST(test_health_says_why_not),
        TEST(test_before_the_first_snapshot_it_is_not_ready),
        TEST(test_a_worker_that_stands_still_makes_it_unready),
        TEST(test_gauges_are_read_when_asked_for),
        TEST(test_promtool_accepts_the_page),
        TEST(test_no_memory),
        cmocka_unit_test(test_figures_of_this_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
