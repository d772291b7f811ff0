/* SPDX-License-Identifier: Apache-2.0 */
/* ledger - an append-only, hash-chained log of lines, in which a changed or removed line is
 * detected.
 *
 *   DIR/0000000000000001.jsonl     one JSON object per line, the newest last; named by the sequence
 *                                  of its first line
 *   {"seq":1,"prev":"<hash of the line before>","ts":"...",<fields>,"hash":"<hash of this line>"}
 *
 * Invariants:
 *  1. A hash is the SHA-256, in hex, of the line's bytes before `,"hash":`.  `prev` of the first
 *     line is 64 zeros.  Sequences have no gaps.
 *  2. Nothing is ever overwritten: files are opened for appending, and a full one is followed by a
 *     new one.  If there are too many, the oldest is deleted as a whole.
 *  3. ledger_append returns ERR_OK only after the line was synced.  A fragment of a line left by a
 *     crash or a full disk stays in the file; the next entry starts on a new line.
 *  4. The directory is locked (flock) during an append, and the end of the chain is read from the
 *     files each time, so that several processes can append, such as the two daemons of a restart.
 *
 * The hashes are not keyed: anyone who can write the files can forge the chain from some line on,
 * or truncate it.  To detect that, keep a hash elsewhere (the daemon's log has them all) and
 * compare.
 *
 * Threads: any.  Appending waits for the disk.
 * Limits: JSON_LINE_BYTES per line, LEDGER_FILE_BYTES per file. */
#ifndef BASE_LEDGER_H
#define BASE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"

#define LEDGER_FILE_BYTES ((size_t)1 << 20)
#define LEDGER_FILES_MAX  4096

struct ledger;

struct ledger_options {
    const char *dir;    /* copied; made when it is first needed */
    uint64_t bytes_max; /* of all files, roughly; at least two files are kept */
    const struct clock *clock;
};

/* The end of the chain. */
struct ledger_head {
    uint64_t sequence; /* 0: there is no line yet */
    char hash[SHA256_HEX_BYTES];
};

MUST_CHECK enum err_code ledger_create(const struct ledger_options *options,
                                       struct ledger **ret_ledger, struct err *err);
void ledger_destroy(struct ledger **ledger);

/* ERR_DISK_FULL, ERR_IO.  *ret_tampered: lines that this process has added are gone; the new one
 * goes on where they were, so that ledger_verify finds the gap. */
MUST_CHECK enum err_code ledger_append(struct ledger *ledger, const struct log_field *fields,
                                       uint32_t count, struct ledger_head *ret_head,
                                       bool *ret_tampered, struct err *err);

/* ---- ledger_read.c */

/* `line` is without its line feed.  False ends the reading. */
typedef bool (*ledger_line_fn)(void *ctx, uint64_t sequence, struct text line);

/* Calls `fn` for each line from that sequence on, the oldest first; fragments are left out.  Fine
 * when there is no ledger. */
MUST_CHECK enum err_code ledger_read(const char *dir, uint64_t from, ledger_line_fn fn, void *ctx,
                                     struct err *err);

struct ledger_report {
    uint32_t files;
    uint64_t lines, fragments;
    uint64_t first; /* sequence of the first line that is there; 0: none */
    struct ledger_head head;
    uint64_t faults; /* lines that do not follow from the one before */
};

/* Follows the whole chain.  `fault` is told what is wrong, and where, for each fault. */
MUST_CHECK enum err_code ledger_verify(const char *dir,
                                       void (*fault)(void *ctx, const struct err *err), void *ctx,
                                       struct ledger_report *ret_report, struct err *err);

#endif
