/* SPDX-License-Identifier: Apache-2.0 */
/* erase_ledger - the file that records who was erased, without their ids.
 *
 * It is written before an erasure does anything else on disk, so that an interrupted one continues
 * on the next start, and a person who reappears with an older snapshot is erased again.
 *
 * Format, all numbers little-endian, each part 64 bytes:
 *
 *   header   magic "decidedE", version 1 (u32), 0 (u32), salt (32 bytes), 0 (u64), checksum (u64)
 *   entry    kind (u8: 1 user, 2 anonymous id, 3 done), 0 (7 bytes), request (u64), sequence (u64),
 *            arrival (i64, ms), time (i64, ms), key (16 bytes), checksum (u64)
 *
 * A checksum is XXH3-64 over the preceding bytes of the part, seeded with its position.  An append
 * cut off by a crash leaves a partial entry or zeros: it was never acknowledged, and is removed.
 * Any other invalid entry is damage, and refused.
 *
 * Threads: one owner.  Limits: ERASE_LEDGER_BYTES_MAX; all entries are in memory, 64 bytes each. */
#ifndef FEATURESTORE_ERASE_LEDGER_H
#define FEATURESTORE_ERASE_LEDGER_H

#include <stddef.h>

#include "featurestore/erase_set.h"

#define ERASE_LEDGER_NAME      "erasures.ledger" /* in data_dir */
#define ERASE_LEDGER_BYTES_MAX (UINT64_C(1) << 30)

enum { ERASE_DONE = ERASE_ANON + 1 }; /* a kind of entry: what was asked up to `request` is done */

struct erase_entry {
    uint8_t kind;       /* enum erase_kind, ERASE_DONE */
    uint64_t request;   /* number of the request, from 1 on */
    uint64_t sequence;  /* of the record up to which records go, which is mostly the forget event */
    int64_t arrival_ms; /* of that record: tells it from one of the same number in another log */
    int64_t time_ms;    /* when it was written down */
    struct erase_key key; /* zeros when done */
};

struct erase_ledger;

/* Reads it, or makes it, readable by its owner alone.  Another process may be writing it; nothing
 * may be added before erase_ledger_load.  ERR_CORRUPT names the entry; ERR_IO, ERR_NOMEM. */
MUST_CHECK enum err_code erase_ledger_open(const char *path, struct erase_ledger **ret_ledger,
                                           struct err *err);
void erase_ledger_close(struct erase_ledger **ledger); /* what is gathered is lost; NULL is fine */
/* Reads it anew, and takes away what a crash left at its end: it is this process' own now. */
MUST_CHECK enum err_code erase_ledger_load(struct erase_ledger *ledger, struct err *err);

const uint8_t *erase_ledger_salt(const struct erase_ledger *ledger);
uint64_t erase_ledger_count(const struct erase_ledger *ledger); /* gathered ones included */
const struct erase_entry *erase_ledger_at(const struct erase_ledger *ledger, uint64_t index);
uint64_t erase_ledger_last_request(const struct erase_ledger *ledger); /* 0: none */
uint64_t erase_ledger_done_request(const struct erase_ledger *ledger); /* 0: none */

/* Room for so many more.  ERR_NOMEM; ERR_LIMIT when the file is full. */
MUST_CHECK enum err_code erase_ledger_reserve(struct erase_ledger *ledger, uint32_t count,
                                              struct err *err);
/* Gathers an entry, for which there must be room. */
void erase_ledger_add(struct erase_ledger *ledger, const struct erase_entry *entry);
bool erase_ledger_is_gathered(const struct erase_ledger *ledger);
/* What is gathered is on disk after ERR_OK.  ERR_DISK_FULL: it stays gathered, try again.  ERR_IO:
 * nobody knows what the disk holds, and it fails from then on until the file is opened anew. */
MUST_CHECK enum err_code erase_ledger_flush(struct erase_ledger *ledger, struct err *err);

/* What a file holds: entries (malloc'ed, NULL for none), salt, and the length up to which it is
 * whole.  ERR_CORRUPT, ERR_UNSUPPORTED (another version), ERR_NOMEM. */
struct erase_ledger_contents {
    uint8_t salt[ERASE_SALT_BYTES];
    struct erase_entry *entry;
    uint64_t count;
    uint64_t whole_bytes; /* 0: not even the header */
};
MUST_CHECK enum err_code erase_ledger_parse(const uint8_t *bytes, size_t len,
                                            struct erase_ledger_contents *ret_contents,
                                            struct err *err);

#endif
