/* SPDX-License-Identifier: Apache-2.0 */
/* What was noted is there after a start; what a crash cut off goes, and damage is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "featurestore/erase_ledger.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/disk_fault.h"
#include "tests/support/temp_dir.h"

enum { PART = 64 };

static struct temp_dir dir;
static char path[2 * TEMP_DIR_BYTES];
static struct erase_ledger *ledger;
static struct err err;

static int set_up(void **state)
{
    (void)state;
    temp_dir_create(&dir);
    temp_dir_path(&dir, ERASE_LEDGER_NAME, path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    disk_fault_off();
    erase_ledger_close(&ledger);
    temp_dir_remove(&dir);
    return 0;
}

static void open_it(void)
{
    erase_ledger_close(&ledger);
    if (erase_ledger_open(path, &ledger, &err) != ERR_OK ||
        erase_ledger_load(ledger, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

static struct erase_entry entry_of(uint64_t number)
{
    struct erase_entry entry = {.kind = number % 10 == 0 ? ERASE_DONE : ERASE_USER,
                                .request = number,
                                .sequence = number * 7,
                                .arrival_ms = (int64_t)number * -3,
                                .time_ms = INT64_MAX - (int64_t)number};
    if (entry.kind == ERASE_USER)
        memset(entry.key.bytes, (int)number, sizeof entry.key.bytes);
    return entry;
}

static void add(uint64_t first, uint64_t last)
{
    assert_int_equal(erase_ledger_reserve(ledger, (uint32_t)(last - first + 1), &err), ERR_OK);
    for (uint64_t i = first; i <= last; i++) {
        struct erase_entry entry = entry_of(i);
        erase_ledger_add(ledger, &entry);
    }
}

static void check_holds(uint64_t last)
{
    assert_int_equal(erase_ledger_count(ledger), last);
    for (uint64_t i = 1; i <= last; i++) {
        struct erase_entry want = entry_of(i);
        const struct erase_entry *got = erase_ledger_at(ledger, i - 1);
        assert_int_equal(got->kind, want.kind);
        assert_int_equal(got->request, want.request);
        assert_int_equal(got->sequence, want.sequence);
        assert_int_equal(got->arrival_ms, want.arrival_ms);
        assert_int_equal(got->time_ms, want.time_ms);
        assert_memory_equal(&got->key, &want.key, sizeof want.key);
    }
    assert_int_equal(erase_ledger_last_request(ledger), last);
    assert_int_equal(erase_ledger_done_request(ledger), last / 10 * 10);
}

static size_t read_all(uint8_t **ret_bytes)
{
    size_t len = 0;
    assert_int_equal(file_read(path, 1 << 20, ret_bytes, &len, &err), ERR_OK);
    return len;
}

static void write_all(const uint8_t *bytes, size_t len)
{
    temp_dir_write(&dir, ERASE_LEDGER_NAME, bytes, len);
}

static void test_entries_are_read_back(void **state)
{
    (void)state;
    uint8_t salt[ERASE_SALT_BYTES];
    struct stat info;
    open_it();
    check_holds(0);
    memcpy(salt, erase_ledger_salt(ledger), sizeof salt);
    add(1, 205);
    assert_true(erase_ledger_is_gathered(ledger));
    assert_int_equal(erase_ledger_flush(ledger, &err), ERR_OK);
    assert_false(erase_ledger_is_gathered(ledger));
    check_holds(205);
    open_it();
    check_holds(205);
    assert_memory_equal(salt, erase_ledger_salt(ledger), sizeof salt);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(info.st_size, 206 * PART);
    add(206, 207); /* what was not flushed is lost */
    open_it();
    check_holds(205);
    add(206, 207);
    assert_int_equal(erase_ledger_flush(ledger, &err), ERR_OK);
    open_it();
    check_holds(207);
}

static void test_two_ledgers_have_different_keys(void **state)
{
    (void)state;
    struct erase_key keys[3];
    char text[ERASE_KEY_HEX_BYTES];
    for (int i = 0; i < 2; i++) {
        unlink(path);
        open_it();
        keys[i] = erase_key_of(erase_ledger_salt(ledger), ERASE_USER, text_of("u"));
    }
    keys[2] = erase_key_of(erase_ledger_salt(ledger), ERASE_ANON, text_of("u"));
    assert_memory_not_equal(&keys[0], &keys[1], sizeof keys[0]);
    assert_memory_not_equal(&keys[1], &keys[2], sizeof keys[0]);
    assert_int_equal(strlen(erase_key_hex(&keys[0], text)), 32);
}

static void test_a_tail_that_was_cut_off_goes(void **state)
{
    (void)state;
    uint8_t *bytes = NULL;
    open_it();
    add(1, 12);
    assert_int_equal(erase_ledger_flush(ledger, &err), ERR_OK);
    size_t len = read_all(&bytes);
    uint8_t *longer = calloc(1, len + 3 * PART);
    memcpy(longer, bytes, len);
    for (size_t cut = PART; cut <= len; cut += 7) { /* anywhere behind the header */
        write_all(bytes, cut);
        open_it();
        check_holds(cut / PART - 1);
        add(cut / PART, 12);
        assert_int_equal(erase_ledger_flush(ledger, &err), ERR_OK);
        open_it();
        check_holds(12);
    }
    for (size_t zeros = 1; zeros <= 3 * PART; zeros += 13) { /* or grown, and never written */
        write_all(longer, len + zeros);
        open_it();
        check_holds(12);
        struct stat info;
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_size, (long)len);
    }
    for (size_t cut = 0; cut < PART; cut++) { /* while it was made */
        write_all(bytes, cut);
        open_it();
        check_holds(0);
    }
    free(longer);
    free(bytes);
}

static void test_damage_is_refused(void **state)
{
    (void)state;
    uint8_t *bytes = NULL;
    open_it();
    add(1, 3);
    assert_int_equal(erase_ledger_flush(ledger, &err), ERR_OK);
    size_t len = read_all(&bytes);
    for (size_t at = 0; at < len; at++) {
        struct erase_ledger *damaged = NULL;
        bytes[at] ^= 0x40;
        write_all(bytes, len);
        enum err_code rc = erase_ledger_open(path, &damaged, &err);
        assert_true(rc == ERR_CORRUPT || (rc == ERR_UNSUPPORTED && at < PART));
        assert_null(damaged);
        assert_non_null(strstr(err.text, ERASE_LEDGER_NAME));
        if (at >= PART) {
            char place[48];
            snprintf(place, sizeof place, "entry %zu is damaged", at / PART);
            assert_non_null(strstr(err.text, place));
        }
        bytes[at] ^= 0x40;
    }
    memcpy(bytes + PART, bytes + 2 * PART, PART); /* an entry in the place of another */
    write_all(bytes, len);
    struct erase_ledger *damaged = NULL;
    assert_int_equal(erase_ledger_open(path, &damaged, &err), ERR_CORRUPT);
    free(bytes);
}

static void test_what_fails_is_tried_again_or_never(void **state)
{
    (void)state;
    open_it();
    add(1, 100);
    disk_fault_after(DISK_FAULT_WRITE, 1, ENOSPC); /* the second of two writes */
    assert_int_equal(erase_ledger_flush(ledger, &err), ERR_DISK_FULL);
    disk_fault_off();
    assert_true(erase_ledger_is_gathered(ledger));
    assert_int_equal(erase_ledger_flush(ledger, &err), ERR_OK);
    open_it();
    check_holds(100);
    for (int call = DISK_FAULT_WRITE; call <= DISK_FAULT_SYNC; call++) {
        add(101, 101);
        disk_fault_after((enum disk_fault_call)call, 0, EIO);
        assert_int_equal(erase_ledger_flush(ledger, &err), ERR_IO);
        disk_fault_off();
        assert_int_equal(erase_ledger_flush(ledger, &err), ERR_IO); /* nobody knows what is there */
        open_it();
        if (call == DISK_FAULT_WRITE)
            check_holds(100);
        else
            check_holds(101);
    }
    unlink(path);
    erase_ledger_close(&ledger);
    for (int call = DISK_FAULT_WRITE; call <= DISK_FAULT_SYNC; call++) {
        disk_fault_after((enum disk_fault_call)call, 0, EIO);
        assert_int_equal(erase_ledger_open(path, &ledger, &err), ERR_IO);
        disk_fault_off();
        assert_null(ledger);
    }
    open_it();
    check_holds(0);
}

static void test_without_memory(void **state)
{
    (void)state;
    open_it();
    add(1, 20);
    assert_int_equal(erase_ledger_flush(ledger, &err), ERR_OK);
    for (uint32_t n = 0;; n++) {
        erase_ledger_close(&ledger);
        alloc_fail_after(n);
        enum err_code rc = erase_ledger_open(path, &ledger, &err);
        if (rc == ERR_OK)
            rc = erase_ledger_reserve(ledger, 1000, &err);
        if (!alloc_fail_off()) {
            assert_int_equal(rc, ERR_OK);
            assert_true(n >= 4);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
    check_holds(20);
}

static void test_a_set_of_people(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static const uint8_t salt[ERASE_SALT_BYTES] = {1, 2, 3};
    struct erase_set set;
    char id[32];
    erase_set_init(&set, salt);
    assert_null(erase_set_find(&set, ERASE_USER, text_of("u1")));
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < COUNT; i++) {
            snprintf(id, sizeof id, "u%u", i);
            struct erase_key key = erase_key_of(salt, ERASE_USER, text_of(id));
            /* Of two the later counts. */
            uint64_t sequence = round == 0 ? i : i + (i % 2 == 0 ? 5 : 0);
            assert_int_equal(erase_set_add(&set, &key, sequence, &err), ERR_OK);
        }
        assert_int_equal(set.count, COUNT);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "u%u", i);
        const struct erase_set_slot *slot = erase_set_find(&set, ERASE_USER, text_of(id));
        assert_non_null(slot);
        assert_int_equal(slot->sequence, i % 2 == 0 ? i + 5 : i);
        assert_null(erase_set_find(&set, ERASE_ANON, text_of(id)));
    }
    assert_null(erase_set_find(&set, ERASE_USER, text_of("")));
    assert_null(erase_set_find(&set, ERASE_USER, (struct text){NULL, 0}));
    erase_set_deinit(&set);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_entries_are_read_back),
        TEST(test_two_ledgers_have_different_keys),
        TEST(test_a_tail_that_was_cut_off_goes),
        TEST(test_damage_is_refused),
        TEST(test_what_fails_is_tried_again_or_never),
        TEST(test_without_memory),
        TEST(test_a_set_of_people),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
