/* SPDX-License-Identifier: Apache-2.0 */
/* What addresses name, and whether a listener could be opened there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/transport/address.h"
#include "tests/support/temp_dir.h"

static void test_ports(void **state)
{
    (void)state;
    assert_int_equal(address_port("tcp://127.0.0.1:7100"), 7100);
    assert_int_equal(address_port("nng+tcp://[::1]:7"), 7);
    assert_int_equal(address_port("ws://localhost:80/a:9"), 80);
    assert_int_equal(address_port("127.0.0.1:7101"), 7101);
    assert_int_equal(address_port("tcp://127.0.0.1:0"), 0);
    assert_int_equal(address_port("tcp://127.0.0.1"), 0);
    assert_int_equal(address_port("tcp://127.0.0.1:65536"), 0);
    assert_int_equal(address_port("ipc:///run/d:80"), 0);
    assert_int_equal(address_port("inproc://name"), 0);
    assert_int_equal(address_port(""), 0);
}

static void check(const char *address, enum err_code expected)
{
    struct err err = {.text = ""};
    enum err_code rc = address_probe(address, &err);
    if (rc != expected)
        fail_msg("%s: %d %s", address, (int)rc, err.text);
    assert_true(rc == ERR_OK || strstr(err.text, "://") != NULL || strchr(err.text, ':') != NULL);
}

static void test_tcp(void **state)
{
    (void)state;
    static const char *const forms[] = {"tcp://127.0.0.1:%u", "nng+tcp://localhost:%u",
                                        "ws://127.0.0.1:%u/path", "127.0.0.1:%u"};
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t bytes = sizeof address;
    char text[64];
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        snprintf(text, sizeof text, forms[i], ntohs(address.sin_port));
        check(text, ERR_BUSY);
    }
    close(fd);
    check("tcp://127.0.0.1:0", ERR_OK);
    check("tcp://[::1", ERR_BAD_INPUT);
    check("tcp://name.invalid:7100", ERR_BAD_INPUT);
    check("tcp://192.0.2.1:7100", ERR_IO); /* nobody's */
    check("inproc://name", ERR_OK);
}

static void test_ipc(void **state)
{
    (void)state;
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES], address[2 * TEMP_DIR_BYTES + 16];
    temp_dir_create(&dir);
    snprintf(address, sizeof address, "nng+ipc://%s", temp_dir_path(&dir, "s", path));
    check(address, ERR_OK);
    temp_dir_write_text(&dir, "s", "no socket");
    check(address, ERR_EXISTS);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_ipc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
