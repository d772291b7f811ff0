/* SPDX-License-Identifier: Apache-2.0 */
/* What an export writes can be read again, and what could not be written is an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "base/file.h"
#include "base/rand.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/temp_dir.h"
#include "tools/ctl/export_out.h"

enum { LINES = 20000, LINE_BYTES = 100, TEXT_BYTES = LINES * LINE_BYTES };

static struct temp_dir dir;
static char path[2 * TEMP_DIR_BYTES];
static char *text; /* what is written, line by line */

static int setup(void **state)
{
    struct rand rand;
    (void)state;
    temp_dir_create(&dir);
    temp_dir_path(&dir, "out", path);
    text = malloc(TEXT_BYTES);
    rand_init(&rand, 1);
    for (uint32_t i = 0; i < LINES; i++) {
        char *line = text + (size_t)i * LINE_BYTES;
        memset(line, ' ', LINE_BYTES);
        int len = snprintf(line, LINE_BYTES, "{\"sequence\":%u,\"user\":\"u%016llx\"}", i,
                           (unsigned long long)rand_u64(&rand));
        line[len] = ' ';
        line[LINE_BYTES - 1] = '\n';
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(text);
    temp_dir_remove(&dir);
    return 0;
}

static void write_all(enum export_compression compression)
{
    struct export_out *out = NULL;
    assert_int_equal(export_out_open(path, compression, &out, NULL), ERR_OK);
    for (uint32_t i = 0; i < LINES; i++)
        assert_int_equal(export_out_write(out, text + (size_t)i * LINE_BYTES, LINE_BYTES, NULL),
                         ERR_OK);
    assert_int_equal(export_out_write(out, "", 0, NULL), ERR_OK);
    assert_int_equal(export_out_close(&out, NULL), ERR_OK);
    assert_null(out);
}

static uint8_t *read_file(size_t *ret_len)
{
    uint8_t *bytes = NULL;
    assert_int_equal(file_read(path, 2 * TEXT_BYTES, &bytes, ret_len, NULL), ERR_OK);
    return bytes;
}

static void test_plain_text_is_as_it_was(void **state)
{
    size_t len = 0;
    (void)state;
    write_all(EXPORT_PLAIN);
    uint8_t *bytes = read_file(&len);
    assert_int_equal(len, TEXT_BYTES);
    assert_memory_equal(bytes, text, TEXT_BYTES);
    free(bytes);
}

static void test_gzip_is_read_again(void **state)
{
    (void)state;
    write_all(EXPORT_GZIP);
    char *got = malloc(TEXT_BYTES + 1);
    gzFile in = gzopen(path, "rb");
    assert_non_null(in);
    assert_int_equal(gzread(in, got, TEXT_BYTES + 1), TEXT_BYTES);
    assert_false(gzdirect(in));
    assert_int_equal(gzclose(in), Z_OK);
    assert_memory_equal(got, text, TEXT_BYTES);
    free(got);
}

static size_t unzstd(const uint8_t *bytes, size_t len, char *got)
{
    return ZSTD_decompress(got, TEXT_BYTES + 1, bytes, len);
}

static void test_zstd_is_read_again_and_damage_is_found(void **state)
{
    size_t len = 0;
    (void)state;
    write_all(EXPORT_ZSTD);
    char *got = malloc(TEXT_BYTES + 1);
    uint8_t *bytes = read_file(&len);
    assert_true(len < TEXT_BYTES / 2);
    assert_int_equal(unzstd(bytes, len, got), TEXT_BYTES);
    assert_memory_equal(got, text, TEXT_BYTES);
    assert_true(ZSTD_isError(unzstd(bytes, len - 1, got))); /* cut */
    bytes[len / 2] ^= 1;
    assert_true(ZSTD_isError(unzstd(bytes, len, got)));
    free(bytes);
    free(got);
}

static void test_nothing_at_all_is_a_whole_file(void **state)
{
    struct export_out *out = NULL;
    size_t len = 0;
    char got[1];
    (void)state;
    assert_int_equal(export_out_open(path, EXPORT_ZSTD, &out, NULL), ERR_OK);
    assert_int_equal(export_out_close(&out, NULL), ERR_OK);
    assert_int_equal(export_out_close(&out, NULL), ERR_OK);
    uint8_t *bytes = read_file(&len);
    assert_int_equal(ZSTD_decompress(got, sizeof got, bytes, len), 0);
    free(bytes);
}

static void assert_file_is(const char *name, const char *expected)
{
    char at[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    temp_dir_path(&dir, name, at);
    enum err_code rc = file_read(at, 100, &bytes, &len, NULL);
    assert_int_equal(rc == ERR_OK, expected != NULL);
    if (expected == NULL)
        return;
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(bytes, expected, len);
    free(bytes);
}

/* A run that fails leaves what was there, and nothing beside it; a link stays one. */
static void test_the_place_is_taken_by_what_is_whole(void **state)
{
    (void)state;
    char link_path[2 * TEMP_DIR_BYTES];
    temp_dir_path(&dir, "link", link_path);
    for (int i = EXPORT_PLAIN; i <= EXPORT_ZSTD; i++) {
        struct export_out *out = NULL;
        temp_dir_write_text(&dir, "out", "before");
        assert_int_equal(export_out_open(path, (enum export_compression)i, &out, NULL), ERR_OK);
        assert_int_equal(export_out_write(out, "half", 4, NULL), ERR_OK);
        assert_file_is("out", "before");
        export_out_drop(&out);
        export_out_drop(&out);
        assert_null(out);
        assert_file_is("out", "before");
        assert_file_is("out.part", NULL);
    }
    struct export_out *out = NULL;
    assert_int_equal(symlink("out", link_path), 0);
    assert_int_equal(export_out_open(link_path, EXPORT_PLAIN, &out, NULL), ERR_OK);
    assert_int_equal(export_out_write(out, "after", 5, NULL), ERR_OK);
    assert_int_equal(export_out_close(&out, NULL), ERR_OK);
    assert_file_is("out", "after");
    assert_file_is("link", "after");
    assert_file_is("out.part", NULL);
    assert_file_is("link.part", NULL);
    struct stat st;
    assert_int_equal(lstat(link_path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
}

static void test_a_full_disk_is_an_error(void **state)
{
    (void)state;
    for (int i = EXPORT_PLAIN; i <= EXPORT_ZSTD; i++) {
        struct export_out *out = NULL;
        struct err err = {.text = ""};
        enum err_code rc = export_out_open("/dev/full", (enum export_compression)i, &out, &err);
        for (uint32_t n = 0; n < LINES && rc == ERR_OK; n++)
            rc = export_out_write(out, text + (size_t)n * LINE_BYTES, LINE_BYTES, &err);
        if (rc == ERR_OK)
            rc = export_out_close(&out, &err);
        else
            assert_int_equal(export_out_close(&out, NULL), ERR_OK); /* it was told already */
        assert_int_equal(rc, ERR_IO);
        assert_string_equal(err.text, "cannot write /dev/full: No space left on device");
        assert_int_equal(export_out_open("/nonexistent/x", (enum export_compression)i, &out, &err),
                         ERR_IO);
        assert_string_equal(err.text, "cannot open /nonexistent/x.part: No such file or directory");
    }
}

static void test_out_of_memory_is_an_error(void **state)
{
    (void)state;
    for (uint32_t n = 0;; n++) {
        struct export_out *out = NULL;
        alloc_fail_after(n);
        enum err_code rc = export_out_open(path, EXPORT_ZSTD, &out, NULL);
        bool failed = alloc_fail_off();
        assert_int_equal(export_out_close(&out, NULL), ERR_OK);
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        if (!failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_text_is_as_it_was),
        cmocka_unit_test(test_gzip_is_read_again),
        cmocka_unit_test(test_zstd_is_read_again_and_damage_is_found),
        cmocka_unit_test(test_nothing_at_all_is_a_whole_file),
        cmocka_unit_test(test_the_place_is_taken_by_what_is_whole),
        cmocka_unit_test(test_a_full_disk_is_an_error),
        cmocka_unit_test(test_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
