/* SPDX-License-Identifier: Apache-2.0 */
/* What an import reads in the replies of a daemon, and what it reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/pack.h"
#include "tools/ctl/import.h"

static void test_replies_are_read(void **state)
{
    (void)state;
    uint8_t bytes[512];
    struct import_reply reply;
    struct err err;
    struct pack pack = pack_into(bytes, sizeof bytes);
    pack_map(&pack, 5);
    pack_key(&pack, "ok");
    pack_bool(&pack, true);
    pack_key(&pack, "accepted");
    pack_int(&pack, 5);
    pack_key(&pack, "duplicate");
    pack_int(&pack, 2);
    pack_key(&pack, "rejected");
    pack_array(&pack, 1);
    pack_map(&pack, 3);
    pack_key(&pack, "index");
    pack_int(&pack, 3);
    pack_key(&pack, "code");
    pack_str(&pack, "bad_request");
    pack_key(&pack, "message");
    pack_str(&pack, "ts: in the future");
    pack_key(&pack, "rejected_total");
    pack_int(&pack, 120);
    assert_int_equal(import_parse_reply(bytes, pack.used, &reply, &err), ERR_OK);
    assert_int_equal(reply.accepted, 5);
    assert_int_equal(reply.duplicate, 2);
    assert_int_equal(reply.rejected, 120);
    assert_int_equal(reply.described, 1);
    assert_int_equal(reply.rejection[0].index, 3);
    assert_string_equal(reply.rejection[0].message, "ts: in the future");
    for (size_t len = 0; len < pack.used; len++)
        assert_int_not_equal(import_parse_reply(bytes, len, &reply, &err), ERR_OK);
    assert_int_not_equal(import_parse_reply("\x80", 1, &reply, &err), ERR_OK);
}

static void test_reports(void **state)
{
    (void)state;
    struct import_job job = {.path = "f.csv", .since_ms = 0, .before_ms = INT64_MAX};
    struct import_result result = {.lines = 1000,
                                   .kept = 700,
                                   .outside = 50,
                                   .errors = 40,
                                   .accepted = 650,
                                   .duplicate = 30,
                                   .rejected = 20,
                                   .line_done = 1001,
                                   .seconds = 0.5,
                                   .rule_count = 1,
                                   .rule = {{"customer \"known\"", 210}}};
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);
    import_print(&job, &result, to);
    import_print_json(&job, &result, NULL, to);
    fclose(to);
    assert_string_equal(
        text,
        "f.csv: 1,000 lines in 0.5 s (2,000/s)\n"
        "  kept                                    700\n"
        "  left out                                260\n"
        "    customer \"known\"                      210\n"
        "    not in the time asked for              50\n"
        "  errors                                   40\n"
        "  accepted                                650\n"
        "  duplicate                                30\n"
        "  rejected                                 20\n"
        "{\"ok\":false,\"why\":null,\"file\":\"f.csv\",\"lines\":1000,\"kept\":700,\"left_out\":"
        "{\"customer \\\"known\\\"\":210,\"not in the time asked for\":50},\"errors\":40,"
        "\"accepted\":650,\"duplicate\":30,\"rejected\":20,\"next_line\":1002,\"seconds\":0.5,"
        "\"lines_per_s\":2000.0}\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies_are_read),
        cmocka_unit_test(test_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
