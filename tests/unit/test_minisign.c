/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and signatures of minisign: its own program's, ours, and everything that is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "models/minisign.h"
#include "tests/support/program.h"
#include "tests/support/signing.h"
#include "tests/support/temp_dir.h"

#define MINISIGN "/usr/bin/minisign" /* tools/setup installs it */

static const char message[] = "{\"format\": 1}\n";
#define MESSAGE_BYTES (sizeof message - 1)

static struct signer signer;
static struct minisign_keys keys;

static int set_up(void **state)
{
    char text[MINISIGN_KEY_TEXT_BYTES + 1];
    (void)state;
    keys.count = 0;
    signer_create(&signer, 7);
    return minisign_keys_add(&keys, signer_key_text(&signer, text), NULL) == ERR_OK ? 0 : -1;
}

static enum err_code verify(const char *signature, const char *bytes, size_t len,
                            struct minisign_proof *proof, struct err *err)
{
    return minisign_verify(&keys, "m.minisig", text_of(signature), bytes, len, proof, err);
}

static void test_both_forms_hold_and_say_who_signed(void **state)
{
    (void)state;
    for (int hashed = 0; hashed < 2; hashed++) {
        char text[SIGNATURE_TEXT_BYTES];
        struct minisign_proof proof;
        struct err err = {.text = ""};
        signer_sign(&signer, hashed == 1, message, MESSAGE_BYTES, "timestamp:1\tÜber", text);
        assert_int_equal(verify(text, message, MESSAGE_BYTES, &proof, &err), ERR_OK);
        assert_string_equal(proof.key_id, "0707070707070707");
        assert_string_equal(proof.trusted_comment, "timestamp:1\tÜber");
        signer_sign(&signer, hashed == 1, message, MESSAGE_BYTES, "", text);
        assert_int_equal(verify(text, message, MESSAGE_BYTES, &proof, &err), ERR_OK);
        assert_string_equal(proof.trusted_comment, "");
    }
}

static void test_another_key_is_named(void **state)
{
    struct signer other;
    char text[SIGNATURE_TEXT_BYTES], key_text[MINISIGN_KEY_TEXT_BYTES + 1];
    struct minisign_proof proof;
    struct err err = {.text = ""};
    (void)state;
    signer_create(&other, 9);
    signer_sign(&other, true, message, MESSAGE_BYTES, "c", text);
    assert_int_equal(verify(text, message, MESSAGE_BYTES, &proof, &err), ERR_DENIED);
    assert_string_equal(err.text, "m.minisig: signed by the key 0909090909090909, which is none of "
                                  "the 1 known");
    assert_int_equal(minisign_keys_add(&keys, signer_key_text(&other, key_text), &err), ERR_OK);
    assert_int_equal(verify(text, message, MESSAGE_BYTES, &proof, &err), ERR_OK);
    /* Who takes the id of a known key has not its secret. */
    memset(other.public_key.id, 7, sizeof other.public_key.id);
    signer_sign(&other, true, message, MESSAGE_BYTES, "c", text);
    assert_int_equal(verify(text, message, MESSAGE_BYTES, &proof, &err), ERR_DENIED);
    assert_non_null(strstr(err.text, "does not hold"));
}

/* Each character of each line, and every shorter text, in both forms. */
static void test_no_other_text_holds(void **state)
{
    (void)state;
    for (int hashed = 0; hashed < 2; hashed++) {
        char good[SIGNATURE_TEXT_BYTES], bad[SIGNATURE_TEXT_BYTES];
        struct minisign_proof proof;
        signer_sign(&signer, hashed == 1, message, MESSAGE_BYTES, "version 12", good);
        size_t len = strlen(good);
        size_t untrusted = strlen("untrusted comment: ");
        size_t second_line = (size_t)(strchr(good, '\n') + 1 - good);
        for (size_t i = 0; i < len - 1; i++) { /* the last line feed may be missing */
            memcpy(bad, good, len + 1);
            bad[i] = '\0';
            assert_int_not_equal(verify(bad, message, MESSAGE_BYTES, &proof, NULL), ERR_OK);
            if (i >= untrusted && i < second_line - 1)
                continue; /* nobody vouches for that comment */
            for (int bit = 0; bit < 8; bit++) {
                memcpy(bad, good, len + 1);
                bad[i] = (char)(bad[i] ^ (1 << bit));
                if (minisign_verify(&keys, "m", (struct text){bad, (uint32_t)len}, message,
                                    MESSAGE_BYTES, &proof, NULL) == ERR_OK)
                    fail_msg("bit %d of byte %zu does not count", bit, i);
            }
        }
        for (size_t i = 0; i < MESSAGE_BYTES; i++) {
            char other[sizeof message];
            memcpy(other, message, sizeof message);
            other[i] ^= 1;
            assert_int_equal(verify(good, other, MESSAGE_BYTES, &proof, NULL), ERR_DENIED);
        }
    }
}

static void test_faults_are_named(void **state)
{
    char good[SIGNATURE_TEXT_BYTES], bad[2 * SIGNATURE_TEXT_BYTES];
    struct minisign_proof proof;
    struct err err = {.text = ""};
    (void)state;
    signer_sign(&signer, true, message, MESSAGE_BYTES, "version 12", good);
    char *comment = strstr(good, "version 12");
    comment[8] = '2';
    assert_int_equal(verify(good, message, MESSAGE_BYTES, &proof, &err), ERR_DENIED);
    assert_string_equal(err.text, "m.minisig: the trusted comment is not the one that the key "
                                  "0707070707070707 signed");
    comment[8] = '1';
    assert_int_equal(verify("", message, MESSAGE_BYTES, &proof, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "line 1"));
    snprintf(bad, sizeof bad, "%sx\n", good);
    assert_int_equal(verify(bad, message, MESSAGE_BYTES, &proof, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "line 4"));
    signer_sign(&signer, true, message, MESSAGE_BYTES, "a\x1b[2Jb", bad);
    assert_int_equal(verify(bad, message, MESSAGE_BYTES, &proof, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "line 3"));
    signer_sign(&signer, true, message, MESSAGE_BYTES, "a\xff", bad);
    assert_int_equal(verify(bad, message, MESSAGE_BYTES, &proof, &err), ERR_CORRUPT);
    char *large = calloc(1, MINISIGN_FILE_BYTES_MAX + 2);
    assert_non_null(large);
    memset(large, 'a', MINISIGN_FILE_BYTES_MAX + 1);
    assert_int_equal(verify(large, message, MESSAGE_BYTES, &proof, &err), ERR_LIMIT);
    free(large);
    /* With the ends of lines of another system. */
    size_t at = 0;
    for (const char *from = good; *from != '\0'; from++) {
        if (*from == '\n')
            bad[at++] = '\r';
        bad[at++] = *from;
    }
    bad[at] = '\0';
    assert_int_equal(verify(bad, message, MESSAGE_BYTES, &proof, &err), ERR_OK);
}

static void test_keys_that_are_none(void **state)
{
    char text[MINISIGN_KEY_TEXT_BYTES + 1];
    struct minisign_key key;
    struct err err = {.text = ""};
    struct minisign_keys many = {.count = 0};
    struct signer one;
    (void)state;
    signer_key_text(&signer, text);
    assert_int_equal(minisign_keys_add(&keys, text, &err), ERR_EXISTS);
    assert_string_equal(err.text, "the key 0707070707070707 is given twice");
    assert_int_equal(minisign_key_parse("k", (struct text){text, 55}, &key, &err), ERR_CORRUPT);
    text[0] = 'S'; /* "Id" */
    assert_int_equal(minisign_key_parse("k", text_of(text), &key, &err), ERR_UNSUPPORTED);
    assert_int_equal(minisign_keys_add(&keys, "/nowhere/k.pub", &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nowhere/k.pub"));
    for (uint8_t i = 0; i < MINISIGN_KEYS_MAX; i++) {
        signer_create(&one, (uint8_t)(i + 1));
        assert_int_equal(minisign_keys_add(&many, signer_key_text(&one, text), &err), ERR_OK);
    }
    signer_create(&one, 200);
    assert_int_equal(minisign_keys_add(&many, signer_key_text(&one, text), &err), ERR_LIMIT);
}

/* ---- the program itself ---------------------------------------------------------------------- */

static void minisign(const char *const *argv)
{
    struct program program;
    program_run(&program, argv);
    if (program.exit_code != 0)
        fail_msg("minisign (is it installed? see tools/setup): %s", program.err);
}

static void check_signed_by_minisign(const struct temp_dir *dir, const char *form)
{
    char secret[2 * TEMP_DIR_BYTES], file[2 * TEMP_DIR_BYTES], sig[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct minisign_proof proof;
    struct err err = {.text = ""};
    temp_dir_path(dir, "k.sec", secret);
    temp_dir_path(dir, "m.json", file);
    temp_dir_path(dir, "m.json.minisig", sig);
    const char *const sign[] = {MINISIGN, "-S", form, "-s", secret,      "-m",
                                file,     "-x", sig,  "-t", "version 3", NULL};
    minisign(sign);
    assert_int_equal(file_read(sig, MINISIGN_FILE_BYTES_MAX, &bytes, &len, &err), ERR_OK);
    if (verify((const char *)bytes, message, MESSAGE_BYTES, &proof, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_string_equal(proof.trusted_comment, "version 3");
    free(bytes);
}

static void test_what_minisign_signs_holds_here(void **state)
{
    struct temp_dir dir;
    char secret[2 * TEMP_DIR_BYTES], public_key[2 * TEMP_DIR_BYTES];
    (void)state;
    temp_dir_create(&dir);
    temp_dir_write_text(&dir, "m.json", message);
    temp_dir_path(&dir, "k.sec", secret);
    temp_dir_path(&dir, "k.pub", public_key);
    const char *const generate[] = {MINISIGN, "-G", "-W", "-p", public_key, "-s", secret, NULL};
    minisign(generate);
    keys.count = 0;
    struct err err = {.text = ""};
    assert_int_equal(minisign_keys_add(&keys, public_key, &err), ERR_OK);
    check_signed_by_minisign(&dir, "-H");
    check_signed_by_minisign(&dir, "-l");
    temp_dir_remove(&dir);
}

static void test_what_is_signed_here_holds_for_minisign(void **state)
{
    struct temp_dir dir;
    char file[2 * TEMP_DIR_BYTES], sig[2 * TEMP_DIR_BYTES], text[SIGNATURE_TEXT_BYTES];
    char key_text[MINISIGN_KEY_TEXT_BYTES + 1];
    (void)state;
    temp_dir_create(&dir);
    temp_dir_write_text(&dir, "m.json", message);
    temp_dir_write_text(&dir, "m.json.minisig",
                        signer_sign(&signer, true, message, MESSAGE_BYTES, "version 3", text));
    const char *const verify_it[] = {MINISIGN, "-V",
                                     "-P",     signer_key_text(&signer, key_text),
                                     "-m",     temp_dir_path(&dir, "m.json", file),
                                     "-x",     temp_dir_path(&dir, "m.json.minisig", sig),
                                     NULL};
    minisign(verify_it);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_both_forms_hold_and_say_who_signed, set_up),
        cmocka_unit_test_setup(test_another_key_is_named, set_up),
        cmocka_unit_test_setup(test_no_other_text_holds, set_up),
        cmocka_unit_test_setup(test_faults_are_named, set_up),
        cmocka_unit_test_setup(test_keys_that_are_none, set_up),
        cmocka_unit_test_setup(test_what_minisign_signs_holds_here, set_up),
        cmocka_unit_test_setup(test_what_is_signed_here_holds_for_minisign, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
