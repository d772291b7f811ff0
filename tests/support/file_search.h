/* SPDX-License-Identifier: Apache-2.0 */
/* file_search - whether some bytes are anywhere in the files of a directory.
 *
 * Failures are those of the test.  Threads: one at a time. */
#ifndef TESTS_SUPPORT_FILE_SEARCH_H
#define TESTS_SUPPORT_FILE_SEARCH_H

#include <stdint.h>

/* How many files under `dir`, at any depth, hold the text, their names included; these are printed.
 */
uint32_t file_search(const char *dir, const char *text);

#endif
