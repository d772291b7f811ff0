/* SPDX-License-Identifier: Apache-2.0 */
/* The slots of a page: what each of them gives when the others have had their turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/decide/page.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/service_rig.h"

static struct service_rig *rig;

static int set_up(void **state)
{
    (void)state;
    rig = calloc(1, sizeof *rig);
    service_rig_create(rig);
    /* Popular in the order a b c d. */
    static const char *const items[] = {"a", "a", "a", "a", "b", "b", "b", "c", "c", "d"};
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++) {
        char event[300];
        snprintf(
            event, sizeof event,
            "{\"op\": \"events\", \"events\": [{\"id\": \"e%zu\", \"type\": \"view\", \"user\": "
            "\"u%zu\", \"items\": [{\"id\": \"%s\"}]}]}",
            i, i, items[i]);
        cJSON_Delete(service_rig_ask(rig, event));
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    service_rig_destroy(rig);
    free(rig);
    return 0;
}

/* "home/full: a b | again/full: c" */
static const char *ask(const char *json)
{
    static char line[4096];
    size_t used = 0;
    cJSON *reply = service_rig_ask(rig, json);
    const cJSON *slot = NULL, *item = NULL;
    line[0] = '\0';
    if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply, "ok")))
        used += (size_t)snprintf(line, sizeof line, "%s",
                                 cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(
                                     cJSON_GetObjectItemCaseSensitive(reply, "error"), "message")));
    cJSON_ArrayForEach(slot, cJSON_GetObjectItemCaseSensitive(reply, "slots"))
    {
        assert_int_equal(
            strlen(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(slot, "decision"))), 26);
        used += (size_t)snprintf(
            line + used, sizeof line - used, "%s%s/%s:", used > 0 ? " | " : "",
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(slot, "slot")),
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(slot, "policy")));
        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(slot, "items"))
        {
            used += (size_t)snprintf(
                line + used, sizeof line - used, " %s",
                cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "id")));
        }
    }
    cJSON_Delete(reply);
    return line;
}

static void no_item_comes_twice(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"op\": \"decide\", \"slots\": [{\"slot\": \"home\", \"n\": 1}, {\"slot\": \"again\", "
         "\"n\": "
         "2}, {\"slot\": \"home\"}]}",
         "home/home@builtin: a | again/again@builtin: b c | home/home@builtin: d"},
        /* What is excluded for the page, and for one slot. */
        {"{\"op\": \"decide\", \"exclude\": [\"a\"], \"slots\": [{\"slot\": \"nowhere\", \"n\": 1, "
         "\"exclude\": [\"b\"]}, {\"slot\": \"again\"}]}",
         "nowhere/home@builtin: c | again/again@builtin: b d"},
        {"{\"op\": \"decide\", \"user\": \"u9\", \"slots\": [{\"slot\": \"home\", \"n\": 3}]}",
         "home/home@builtin: a b c"},
        /* Nothing is left: the static list. */
        {"{\"op\": \"decide\", \"slots\": [{\"slot\": \"home\"}, {\"slot\": \"home\"}, {\"slot\": "
         "\"home\"}]}",
         "home/home@builtin: a b c d | home/home@builtin: i7 | home/home@builtin:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *got = ask(cases[i][0]);
        if (strcmp(got, cases[i][1]) != 0)
            fail_msg("%s: expected '%s', got '%s'", cases[i][0], cases[i][1], got);
    }
}

static void bad_slots_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"op\": \"decide\"}", "slots: needed by decide, at least one"},
        {"{\"op\": \"decide\", \"slots\": []}", "slots: needed by decide, at least one"},
        {"{\"op\": \"decide\", \"slots\": {}}", "slots: expected an array, got a map"},
        {"{\"op\": \"decide\", \"slots\": [\"home\"]}", "slots: expected maps, got a text"},
        {"{\"op\": \"decide\", \"slots\": [{\"n\": 3}]}", "slots.slot: missing"},
        {"{\"op\": \"decide\", \"slots\": [{\"slot\": \"a\", \"n\": 0}]}",
         "slots.n: expected 1..200, got 0"},
        {"{\"op\": \"decide\", \"slots\": [{\"slot\": \"a\", \"n\": 9223372036854775808}]}",
         "slots.n: expected 1..200, got more than 2^63 - 1"},
        {"{\"op\": \"decide\", \"slots\": [{\"slot\": \"a\", \"seeds\": 7}]}",
         "slots.seeds: expected an array, got an integer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(ask(cases[i][0]), cases[i][1]);
    char many[2000] = "{\"op\": \"decide\", \"slots\": [{\"slot\": \"a\"}";
    for (int i = 0; i < 16; i++)
        strncat(many, ", {\"slot\": \"a\"}", sizeof many - strlen(many) - 1);
    strncat(many, "]}", sizeof many - strlen(many) - 1);
    assert_string_equal(ask(many), "slots: more than 16");
}

/* ---- what the policy allows ------------------------------------------------------------------ */

struct line {
    char text[200];
    size_t used;
};

static void put_slot(void *ctx, const struct page_slot *slot)
{
    struct line *line = ctx;
    const struct request *request = slot->request;
    const struct decision *decision = slot->decision;
    line->used += (size_t)snprintf(line->text + line->used, sizeof line->text - line->used,
                                   "%.*s:", (int)request->slot.len, request->slot.ptr);
    for (uint32_t i = 0; i < decision->count; i++)
        line->used +=
            (size_t)snprintf(line->text + line->used, sizeof line->text - line->used, " %.*s ",
                             (int)decision->items[i].id.len, decision->items[i].id.ptr);
}

static void a_slot_may_repeat_what_others_show(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct line line = {.used = 0};
    fixture_init(&fixture);
    fixture_load_shop(&fixture);
    fixture_serve(&fixture,
                  "{\"slots\": {\"one\": {\"sources\": [{\"source\": \"popular\"}]}, \"all\": "
                  "{\"repeats\": true, \"sources\": [{\"source\": \"popular\"}]}}}");
    (void)fixture_decide(&fixture,
                         "{\"op\": \"decide\", \"filters\": {\"categories\": [\"hats\"]}, "
                         "\"slots\": [{\"slot\": \"one\", \"n\": 1}, {\"slot\": \"one\", "
                         "\"n\": 1}, {\"slot\": \"all\", \"n\": 2}, {\"slot\": \"all\", "
                         "\"n\": 1, \"filters\": {\"categories\": [\"shoes\"]}}]}");
    decide_page(&fixture.env, fixture.worker, &fixture.request, put_slot, &line);
    assert_string_equal(line.text, "one: e one: d all: e  d all: c ");
    fixture_deinit(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_item_comes_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_slots_are_refused, set_up, tear_down),
        cmocka_unit_test(a_slot_may_repeat_what_others_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
