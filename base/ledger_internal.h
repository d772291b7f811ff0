/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_internal - files and lines of a ledger, for ledger.c and ledger_read.c. */
#ifndef BASE_LEDGER_INTERNAL_H
#define BASE_LEDGER_INTERNAL_H

#include "base/ledger.h"

#define LEDGER_HASH_KEY   ",\"hash\":\""
#define LEDGER_LINE_END   "\"}\n"
#define LEDGER_NAME_BYTES 32

/* What stands in a line about the chain. */
struct ledger_line {
    uint64_t sequence;
    struct text prev, hash; /* point into the line */
};

/* The first sequences of the files, ascending. */
struct ledger_files {
    uint64_t *first; /* owned */
    uint32_t count;
};

/* Opens the directory and takes its lock, `operation` of flock; ERR_NOT_FOUND. */
enum err_code ledger_lock(const char *dir, int operation, int *ret_fd, struct err *err);
enum err_code ledger_list(const char *dir, struct ledger_files *ret_files, struct err *err);
enum err_code ledger_path(const char *dir, uint64_t first, char *buf, size_t buf_bytes,
                          struct err *err);
/* The next line of the text that begins at *at, without its line feed; false at its end. */
bool ledger_next_line(struct text whole, size_t *at, struct text *ret_line);
/* False for a fragment, or a line that does not have the hash that it says. */
bool ledger_parse(struct text line, struct ledger_line *ret_line);
void ledger_hash(const char *ptr, size_t len, char ret_hash[SHA256_HEX_BYTES]);

#endif
