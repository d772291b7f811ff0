/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint - a file that holds the whole state as of one sequence of the event log.
 *
 * Written to a temporary name, synced and renamed, so that a name stands for a whole file.  Format,
 * all numbers little-endian:
 *
 *   header   magic "decidedS", version 1 (u32), rules (u32), sequence (u64), checksum (u64)
 *   blocks   length (u32), the low half of the checksum (u32), rows
 *   last     a block of length 0, whose checksum is the number of rows, as 32 bits
 *   row      kind (u8), number (u32), length (u32), bytes; within one block
 *
 * Checksums are XXH3-64 over what follows; that of the header over what precedes.
 *
 * The rules are those by which events became this state.  Where they are others than ours the form
 * is the same, and the file can be used, but a replay of all events leads to another state:
 *   0  a full history drops its oldest entry
 *   1  a full history keeps purchases (featurestore/person.h)
 *
 * The writer hands blocks to a thread of its own, so that a slow disk holds up nobody; a caller
 * that is faster looks at checkpoint_writer_has_room.  Threads: one owner each for writer and
 * reader.  Limits: a row is at most CHECKPOINT_ROW_BYTES_MAX. */
#ifndef FEATURESTORE_CHECKPOINT_H
#define FEATURESTORE_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/err.h"
#include "base/text.h"

#define CHECKPOINT_RULES           1u /* of the state that is written */
#define CHECKPOINT_ROW_BYTES_MAX   (1u << 20)
#define CHECKPOINT_BLOCK_BYTES     (256u << 10) /* about: a block is closed once it is as long */
#define CHECKPOINT_BLOCK_BYTES_MAX (64u << 20)

struct checkpoint_row {
    uint8_t kind;
    uint32_t number;
    struct text bytes; /* borrowed */
};

/* Rows that go to the file together.  A failed allocation shows at the end, as in buffer.h. */
struct checkpoint_block {
    struct buffer buffer; /* owned; zeroed is empty */
    uint32_t row_count;
};

/* Appends a row, whose bytes are written in between, to a block. */
size_t checkpoint_row_open(struct checkpoint_block *block, uint8_t kind, uint32_t number);
void checkpoint_row_close(struct checkpoint_block *block, size_t mark);
void checkpoint_put_u32(struct checkpoint_block *block, uint32_t value);
void checkpoint_put_u64(struct checkpoint_block *block, uint64_t value);
void checkpoint_put_text(struct checkpoint_block *block, struct text text); /* NULL stays NULL */

/* ---- writing -------------------------------------------------------------------------------- */

struct checkpoint_writer;

/* `wake` is called, on the writer's thread, whenever there is room again and at the end. */
MUST_CHECK enum err_code checkpoint_writer_create(const char *path, uint64_t sequence,
                                                  void (*wake)(void *ctx), void *ctx,
                                                  struct checkpoint_writer **ret_writer,
                                                  struct err *err);
bool checkpoint_writer_has_room(struct checkpoint_writer *writer);
/* Takes the rows that are in `block`, and leaves it empty.  Never waits. */
void checkpoint_writer_put(struct checkpoint_writer *writer, struct checkpoint_block *block);
/* Nothing more will come: the file is finished, synced and renamed. */
void checkpoint_writer_finish(struct checkpoint_writer *writer);

enum checkpoint_state { CHECKPOINT_WRITING, CHECKPOINT_DONE, CHECKPOINT_FAILED };
/* `err` says why it failed; *ret_bytes how long the file is. */
enum checkpoint_state checkpoint_writer_state(struct checkpoint_writer *writer, uint64_t *ret_bytes,
                                              struct err *err);
/* Unless it is done, the file is not made.  Waits for the write that is under way. */
void checkpoint_writer_destroy(struct checkpoint_writer **writer);

/* ---- reading -------------------------------------------------------------------------------- */

struct checkpoint_reader;

/* ERR_NOT_FOUND, ERR_CORRUPT, ERR_UNSUPPORTED (another version), ERR_IO, ERR_NOMEM. */
MUST_CHECK enum err_code checkpoint_reader_open(const char *path,
                                                struct checkpoint_reader **ret_reader,
                                                uint64_t *ret_sequence, struct err *err);
uint32_t checkpoint_reader_rules(const struct checkpoint_reader *reader);
void checkpoint_reader_close(struct checkpoint_reader **reader);
/* ERR_NOT_FOUND behind the last row, when all of the file was there and nothing else; ERR_CORRUPT
 * names the block by its place. */
MUST_CHECK enum err_code checkpoint_reader_next(struct checkpoint_reader *reader,
                                                struct checkpoint_row *ret_row, struct err *err);

/* Takes a row apart: each read returns false when there are too few bytes. */
struct checkpoint_fields {
    const uint8_t *at, *end;
};
struct checkpoint_fields checkpoint_fields_of(const struct checkpoint_row *row);
bool checkpoint_get_u32(struct checkpoint_fields *fields, uint32_t *ret_value);
bool checkpoint_get_u64(struct checkpoint_fields *fields, uint64_t *ret_value);
bool checkpoint_get_text(struct checkpoint_fields *fields, struct text *ret_text); /* borrowed */
bool checkpoint_get_bytes(struct checkpoint_fields *fields, void *to, size_t len);

#endif
