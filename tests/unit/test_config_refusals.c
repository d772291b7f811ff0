/* SPDX-License-Identifier: Apache-2.0 */
/* Which configurations are refused and where: keys, addresses, files and places that they name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/control/config.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/temp_dir.h"

#define LONG_NAME "123456789 123456789 123456789 123456789 123456789"

static const struct {
    const char *text, *says;
} bad_configurations[] = {
    {"", "c.json:1:1"},
    {"[]", "expected an object"},
    {"{\"listn\": []}", "unknown key 'listn', did you mean 'listen'?"},
    {"{\"zzzzzzzz\": 1}", "unknown key 'zzzzzzzz'"},
    {"{\"event_retention\": [\"veiw=30d\"]}",
     "event_retention[0]: expected a type of event and how long it is kept, such as view=30d, "
     "got 'veiw=30d'"},
    {"{\"event_retention\": [\"custom:x=30d\"]}", "expected a type of event"},
    {"{\"event_retention\": [\"view\"]}", "expected a type of event"},
    {"{\"event_retention\": [\"view=30\"]}", "expected a number of days or hours"},
    {"{\"event_retention\": [\"view=d\"]}", "expected a number of days or hours"},
    {"{\"event_retention\": [\"view=\"]}", "expected a number of days or hours"},
    {"{\"event_retention\": [\"view=0d\"]}", "expected a number of days or hours"},
    {"{\"event_retention\": [\"view=99999999999d\"]}", "expected a number of days"},
    {"{\"event_retention\": [\"consent=30d\"]}", "they have no retention of their own"},
    {"{\"event_retention\": [\"view=30d\", \"click=1d\", \"view=40d\"]}",
     "event_retention[2]: 'view=40d' is of the type that 'view=30d' is of"},
    {"{\"queue_delay_target_us\": 5000, \"queue_delay_max_us\": 4999}",
     "queue_delay_target_us: expected at most queue_delay_max_us, 4999, got 5000"},
    {"{\"queue_delay_target_us\": 10001}", "expected at most queue_delay_max_us, 1000, got 10001"},
    {"{\"event_retention\": {\"view\": \"30d\"}}", "event_retention: expected an array"},
    {"{\"http\": 1}", "c.json: http: expected a string, got a number"},
    {"{\"data_dir\": \"/d\", \"models_dir\": \"/d\"}", "models_dir: '/d' is data_dir"},
    {"{\"event_log_bytes_max\": 1}",
     "event_log_bytes_max: expected 0 (no log) or 16777216 bytes or more, got 1"},
    {"{\"decision_log_bytes_max\": 16777215}", "decision_log_bytes_max: expected 0 (no log) or"},
    {"{\"http\": \"\"}", "c.json: http: expected 1..255 bytes, got 0"},
    {"{\"http\": \"127.0.0.1\"}",
     "http: expected an IP address and a port, such as 127.0.0.1:7101, got '127.0.0.1'"},
    {"{\"http\": \":80\"}", "expected an IP address"},
    {"{\"http\": \"localhost:80\"}", "expected an IP address"},
    {"{\"http\": \"::1:80\"}", "expected an IP address"},
    {"{\"http\": \"127.0.0.1:65536\"}", "expected an IP address"},
    {"{\"http\": \"127.0.0.1:7100\"}",
     "http: '127.0.0.1:7100' has the port of listen[0], 'tcp://127.0.0.1:7100'"},
    {"{\"http\": \"0.0.0.0:9\", \"listen\": [\"ipc:///a\", \"ws://a:9/x\"]}",
     "has the port of listen[1]"},
    {"{\"http\": \"[::1]:9\", \"listen\": [\"nng+tcp://*:9\"]}", "has the port of listen[0]"},
    {"{\"listen\": [\"ipc:///" LONG_NAME LONG_NAME "123456789\"]}",
     "listen[0]: expected a path of at most 107 bytes, got '"},
    {"{\"listen\": []}", "listen: expected 1..16 addresses, got 0"},
    {"{\"listen\": \"tcp://a:1\"}", "listen: expected an array, got a string"},
    {"{\"listen\": [\"tcp://a\"]}", "listen[0]: expected tcp://HOST:PORT or ipc:///PATH"},
    {"{\"listen\": [\"tcp://a:1\", 7]}", "listen[1]: expected a string, got a number"},
    {"{\"listen\": [\"udp://a:1\"]}", "expected tcp://"},
    {"{\"listen\": [\"nng+tcp://a\"]}", "expected tcp://"},
    {"{\"listen\": [\"nng+ws://a:1\"]}", "expected tcp://"},
    {"{\"listen\": [\"nng+ipc://a\"]}", "expected tcp://"},
    {"{\"listen\": [\"inproc://\"]}", "expected tcp://"},
    {"{\"listen\": [\"ws://a/x:1\"]}", "expected tcp://"},
    {"{\"listen\": [\"tls+tcp://a:1\"]}", "needs tls_certificate_file"},
    {"{\"workers\": 65}", "workers"},
    {"{\"workers\": -1}", "workers"},
    {"{\"listen\": [\"ipc://a\"]}", "expected tcp://"},
    {"{\"listen\": [\"tcp://a:1\", \"tcp://a:1\"]}", "listen[1]: 'tcp://a:1' is given twice"},
    {"{\"static_items\": [\"\"]}", "static_items[0]: expected an id"},
    {"{\"static_items\": [\"a\", \"a\"]}", "given twice"},
    {"{\"log_level\": \"loud\"}", "expected debug, info, warn or error, got 'loud'"},
    {"{\"events_mode\": \"lax\"}", "events_mode: expected one of 'lenient strict', got 'lax'"},
    {"{\"events_mode\": \"lenient strict\"}", "expected one of"},
    {"{\"events_mode\": \"stric\"}", "expected one of"},
    {"{\"data_dir\": \"\"}", "data_dir: expected 1..4095 bytes, got 0"},
    {"{\"items_max\": 1.5}", "items_max: expected an integer"},
    {"{\"items_max\": \"1\"}", "items_max: expected an integer, got a string"},
    {"{\"items_max\": 1, \"items_max\": 2}", "c.json:1:"},
    {"{\"http\": \"127.0.0.1:1\",}", "c.json:1:"},
};

static void test_refuses_and_says_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_configurations / sizeof bad_configurations[0]; i++) {
        struct config *config = NULL;
        struct err err = {0};
        enum err_code rc = config_parse("c.json", bad_configurations[i].text,
                                        strlen(bad_configurations[i].text), NULL, &config, &err);
        assert_int_not_equal(rc, ERR_OK);
        assert_null(config);
        if (strstr(err.text, bad_configurations[i].says) == NULL)
            fail_msg("%s\n  says: %s\n  without: %s", bad_configurations[i].text, err.text,
                     bad_configurations[i].says);
    }
}

static void test_takes_addresses_of_every_scheme(void **state)
{
    (void)state;
    static const char text[] =
        "{\"http\": \"[::1]:7100\", \"listen\": [\"tcp://[::1]:0\", \"ipc:///" LONG_NAME LONG_NAME
        "12345678\", \"tcp://127.0.0.1:7100\", \"nng+tcp://localhost:1\", "
        "\"nng+ipc:///b\", "
        "\"inproc://c\", \"ws://d:2\", \"ws://d:2/e/f\", \"tls+tcp://g:3\"], "
        "\"tls_certificate_file\": \"h.pem\", \"workers\": 64}";
    struct config *config = NULL;
    struct err err = {0};
    assert_int_equal(config_parse("/x/c.json", text, strlen(text), NULL, &config, &err), ERR_OK);
    assert_int_equal(config->listen.count, 9);
    assert_int_equal(config->workers, 64);
    assert_string_equal(config->tls_certificate_file, "/x/h.pem");
    config_destroy(&config);
}

static void test_files_referred_to_are_read(void **state)
{
    (void)state;
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    temp_dir_create(&dir);
    static const struct {
        const char *policies, *token, *says;
    } cases[] = {
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"popular\"}]}}}", " 0123456789abcdef\n",
         NULL},
        {"{\"slots\": {}}", "0123456789abcdef", "p.json"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"popular\"}], "
         "\"filters\": [\"item.seen_often > 2.0\"]}}}",
         "0123456789abcdef", NULL}, /* a feature of f.json */
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"popular\"}], "
         "\"filters\": [\"item.seen_oftn > 2.0\"]}}}",
         "0123456789abcdef", "unknown field 'item.seen_oftn'"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"popular\"}]}}}", "short", "16..256"},
    };
    temp_dir_write_text(&dir, "d.json",
                        "{\"policies\": \"p.json\", \"admin_token_file\": \"t\", "
                        "\"features\": \"f.json\", \"data_dir\": \"new\"}");
    temp_dir_write_text(&dir, "f.json",
                        "{\"features\": {\"item.seen_often\": {\"kind\": \"count\", "
                        "\"events\": [\"view\"], \"window\": \"7d\"}}}");
    struct config_source source = {.path = temp_dir_path(&dir, "d.json", path)};
    struct config *config = NULL;
    struct err err = {0};
    assert_int_equal(config_load(&source, &config, &err), ERR_OK);
    assert_int_equal(config_check_files(config, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "p.json"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        temp_dir_write_text(&dir, "p.json", cases[i].policies);
        temp_dir_write_text(&dir, "t", cases[i].token);
        enum err_code rc = config_check_files(config, &err);
        if (cases[i].says == NULL) {
            assert_int_equal(rc, ERR_OK);
            continue;
        }
        assert_int_equal(rc, ERR_BAD_INPUT);
        assert_non_null(strstr(err.text, cases[i].says));
        assert_null(strstr(err.text, "0123456789abcdef")); /* the secret stays one */
    }
    config_destroy(&config);
    temp_dir_remove(&dir);
}

static void test_places_are_looked_at(void **state)
{
    (void)state;
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    temp_dir_create(&dir);
    struct config_source source = {.path = temp_dir_path(&dir, "d.json", path)};
    struct config *config = NULL;
    struct err err = {0};
    temp_dir_write_text(&dir, "file", "");
    static const struct {
        const char *dir, *says;
    } places[] = {{"{\"data_dir\": \"file\"}", "data_dir: '"},
                  {"{\"data_dir\": \"file/x\"}", "data_dir: cannot use '"},
                  {"{\"data_dir\": \"new\", \"models_dir\": \"file\"}", "models_dir: '"},
                  {"{\"data_dir\": \"new\", \"tls_certificate_file\": \"file\"}", NULL},
                  {"{\"data_dir\": \"new\"}", NULL}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        temp_dir_write_text(&dir, "d.json", places[i].dir);
        assert_int_equal(config_load(&source, &config, &err), ERR_OK);
        enum err_code rc = config_check_files(config, &err);
        assert_int_equal(rc, places[i].says == NULL ? ERR_OK : ERR_BAD_INPUT);
        assert_true(places[i].says == NULL ||
                    strncmp(err.text, places[i].says, strlen(places[i].says)) == 0);
        config_destroy(&config);
    }
    temp_dir_write_text(&dir, "d.json",
                        "{\"data_dir\": \"new\", \"tls_certificate_file\": \"none.pem\"}");
    assert_int_equal(config_load(&source, &config, &err), ERR_OK);
    assert_int_equal(config_check_files(config, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "none.pem': No such file or directory"));
    config_destroy(&config);
    struct config_source missing = {.path = "/nonexistent/d.json"};
    assert_int_equal(config_load(&missing, &config, &err), ERR_NOT_FOUND);
    assert_null(config);
    temp_dir_remove(&dir);
}

/* Folders that only another user could make or write. */
static void test_places_are_doubted(void **state)
{
    (void)state;
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES], closed[2 * TEMP_DIR_BYTES], link[2 * TEMP_DIR_BYTES];
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{\"data_dir\": \"open\", \"models_dir\": \"closed\"}", NULL}, /* it is only read */
        {"{\"data_dir\": \"open/a/b\", \"models_dir\": \"open/m\"}", NULL},
        {"{\"data_dir\": \"closed\", \"models_dir\": \"open\"}", "closed' cannot be written by "},
        {"{\"data_dir\": \"closed/a/b\", \"models_dir\": \"open\"}", "b' cannot be made by user "},
        {"{\"data_dir\": \"open\", \"models_dir\": \"closed/m\"}", "m' cannot be made by user "},
    };
    temp_dir_create(&dir);
    assert_int_equal(chmod(dir.path, 0755), 0);
    assert_int_equal(mkdir(temp_dir_path(&dir, "open", path), 0777), 0);
    assert_int_equal(chmod(path, 0777), 0);
    assert_int_equal(mkdir(temp_dir_path(&dir, "closed", closed), 0555), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {0}, doubts[CONFIG_DOUBTS_MAX] = {0};
        struct config *config = NULL;
        temp_dir_path(&dir, "d.json", path);
        assert_int_equal(
            config_parse(path, cases[i].text, strlen(cases[i].text), NULL, &config, &err), ERR_OK);
        uid_t user = geteuid();
        assert_int_equal(user == 0 ? seteuid(65534) : 0, 0); /* root may write everywhere */
        enum err_code rc = config_check_files(config, &err);
        uint32_t count = config_doubts(config, doubts);
        assert_int_equal(user == 0 ? seteuid(0) : 0, 0);
        assert_int_equal(rc, ERR_OK);
        assert_int_equal(count, cases[i].says != NULL);
        if (count == 1)
            assert_non_null(strstr(doubts[0].text, cases[i].says));
        assert_int_equal(access(temp_dir_path(&dir, "open/a", path), F_OK), -1); /* none is made */
        config_destroy(&config);
    }
    assert_int_equal(symlink("gone", temp_dir_path(&dir, "link", link)), 0);
    static const char *const links[] = {"{\"data_dir\": \"link\"}", "{\"data_dir\": \"link/a\"}"};
    for (size_t i = 0; i < 2; i++) {
        struct err err = {0};
        struct config *config = NULL;
        temp_dir_path(&dir, "d.json", path);
        assert_int_equal(config_parse(path, links[i], strlen(links[i]), NULL, &config, &err),
                         ERR_OK);
        assert_int_equal(config_check_files(config, &err), ERR_BAD_INPUT);
        assert_non_null(strstr(err.text, "link' is a link to nothing"));
        config_destroy(&config);
    }
    temp_dir_remove(&dir);
}

static void test_no_memory(void **state)
{
    (void)state;
    const char *text = "{\"listen\": [\"tcp://a:1\"], \"policies\": \"p\", \"data_dir\": \"d\"}";
    for (uint32_t n = 0;; n++) {
        struct config *config = NULL;
        struct err err = {0};
        alloc_fail_after(n);
        enum err_code rc = config_parse("e/c.json", text, strlen(text), NULL, &config, &err);
        char *dump = rc == ERR_OK ? config_dump(config) : NULL;
        bool failed = alloc_fail_off();
        if (rc != ERR_OK) {
            assert_int_equal(rc, ERR_NOMEM);
            assert_null(config);
        }
        assert_true(failed || dump != NULL);
        free(dump);
        config_destroy(&config);
        if (!failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuses_and_says_where),
        cmocka_unit_test(test_takes_addresses_of_every_scheme),
        cmocka_unit_test(test_files_referred_to_are_read),
        cmocka_unit_test(test_places_are_looked_at),
        cmocka_unit_test(test_places_are_doubted),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
