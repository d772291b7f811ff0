/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

static int pipe_fd[2];
static char line[2 * LOG_LINE_BYTES];

static int set_up(void **state)
{
    (void)state;
    if (pipe2(pipe_fd, O_NONBLOCK) != 0)
        return -1;
    log_set_fd(pipe_fd[1]);
    log_set_level(LOG_DEBUG);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_set_fd(STDERR_FILENO);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
    return 0;
}

/* What was logged, as an object; it must be one line. */
static cJSON *logged(void)
{
    ssize_t got = read(pipe_fd[0], line, sizeof line - 1);
    assert_true(got > 0 && got <= LOG_LINE_BYTES);
    line[got] = '\0';
    assert_ptr_equal(strchr(line, '\n'), line + got - 1);
    assert_true(text_is_utf8(line, (size_t)got));
    cJSON *object = cJSON_Parse(line);
    assert_non_null(object);
    return object;
}

static void test_a_line_is_an_object_with_its_fields_in_order(void **state)
{
    (void)state;
    uint64_t before = log_written_lines(LOG_INFO);
    log_at(LOG_INFO, "listening", LOG_STR("address", "tcp://127.0.0.1:7100"),
           LOG_INT("port", -7100), LOG_REAL("share", 0.5), LOG_BOOL("tls", false),
           LOG_STR("none", NULL), LOG_REAL("bad", NAN));
    cJSON *object = logged();
    const char *tail = strstr(line, "\"level\"");
    assert_string_equal(
        tail, "\"level\":\"info\",\"msg\":\"listening\",\"address\":\"tcp://127.0.0.1:7100\","
              "\"port\":-7100,\"share\":0.5,\"tls\":false,\"none\":null,\"bad\":null}\n");
    assert_int_equal(strlen(cJSON_GetObjectItem(object, "ts")->valuestring), 24);
    assert_int_equal(log_written_lines(LOG_INFO), before + 1);
    cJSON_Delete(object);
}

static void test_hostile_texts_cannot_break_the_line(void **state)
{
    (void)state;
    char all[256];
    for (int c = 1; c < 256; c++)
        all[c - 1] = (char)c;
    all[255] = '\0';
    log_at(LOG_WARN, "a \"quoted\"\nmessage\\", LOG_STR("all", all),
           LOG_STR("utf8", "caf\xC3\xA9 \xF0\x9F\x9B\x92"), LOG_STR("cut", "\xE2\x82"),
           LOG_STR("surrogate", "\xED\xA0\x80"));
    cJSON *object = logged();
    assert_string_equal(cJSON_GetObjectItem(object, "msg")->valuestring, "a \"quoted\"\nmessage\\");
    const char *got = cJSON_GetObjectItem(object, "all")->valuestring;
    assert_memory_equal(got, all, 127);
    assert_string_equal(got + 127 + 3 * 127, "\xEF\xBF\xBD"); /* one for each of 128 bytes */
    assert_string_equal(cJSON_GetObjectItem(object, "utf8")->valuestring,
                        "caf\xC3\xA9 \xF0\x9F\x9B\x92");
    assert_string_equal(cJSON_GetObjectItem(object, "cut")->valuestring,
                        "\xEF\xBF\xBD\xEF\xBF\xBD");
    cJSON_Delete(object);
}

static void test_a_line_of_any_length_stays_json(void **state)
{
    (void)state;
    static char text[3 * LOG_LINE_BYTES];
    static const char *const units[] = {"a", "\n", "\x01", "\xF0\x9F\x9B\x92", "\xFF"};
    for (size_t unit = 0; unit < sizeof units / sizeof units[0]; unit++) {
        size_t unit_len = strlen(units[unit]);
        for (size_t len = 3800; len < 4200; len++) {
            size_t at = 0;
            memset(text, 'x', 5);
            for (at = 5; at + unit_len < len; at += unit_len)
                memcpy(text + at, units[unit], unit_len);
            text[at] = '\0';
            log_at(LOG_INFO, "m", LOG_STR("long", text), LOG_INT("after", 12345),
                   LOG_STR("s", "t"));
            cJSON *object = logged();
            bool cut = cJSON_IsTrue(cJSON_GetObjectItem(object, "cut"));
            const cJSON *last = cJSON_GetObjectItem(object, "s");
            assert_int_equal(cut, last == NULL || strcmp(last->valuestring, "t") != 0);
            cJSON_Delete(object);
        }
    }
    memset(text, 'k', sizeof text - 1);
    log_at(LOG_INFO, text, LOG_STR(text, text));
    cJSON_Delete(logged());
    log_at(LOG_INFO, "m", LOG_STR(text, "v"), LOG_INT("b", 1));
    cJSON_Delete(logged());
}

static void test_levels_filter_and_lines_that_do_not_fit_are_counted(void **state)
{
    (void)state;
    log_set_level(LOG_WARN);
    log_at(LOG_INFO, "quiet", LOG_INT("n", 1));
    assert_int_equal(read(pipe_fd[0], line, sizeof line), -1);
    log_write(LOG_ERROR, "bare", NULL, 0);
    cJSON_Delete(logged());

    enum log_level level = LOG_DEBUG;
    assert_int_equal(log_level_parse("error", &level), ERR_OK);
    assert_int_equal(level, LOG_ERROR);
    assert_int_equal(log_level_parse("Error", &level), ERR_BAD_INPUT);
    assert_int_equal(log_level_parse("", &level), ERR_BAD_INPUT);
    assert_int_equal(log_level_parse(NULL, &level), ERR_BAD_INPUT);

    uint64_t dropped = log_dropped_lines();
    static char filler[65536];
    while (write(pipe_fd[1], filler, sizeof filler) > 0) {
    }
    errno = 1234;
    log_at(LOG_ERROR, "lost", LOG_INT("n", 1));
    assert_int_equal(errno, 1234);
    assert_int_equal(log_dropped_lines(), dropped + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_line_is_an_object_with_its_fields_in_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_hostile_texts_cannot_break_the_line, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_line_of_any_length_stays_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_levels_filter_and_lines_that_do_not_fit_are_counted,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
