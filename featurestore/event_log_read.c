/* SPDX-License-Identifier: Apache-2.0 */
/* Records: their form, and reading them in order. */
#include <endian.h>
#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "featurestore/event_log_internal.h"

enum { RECORD_VERSION = 1, TYPE_ERASED = 0x80 };

/* Places in the header. */
enum { AT_VERSION = 0, AT_TYPE = 1, AT_ORIGIN = 2, AT_CHECKSUM = 4, AT_ARRIVAL = 8, AT_SKEW = 16 };

static uint64_t key_number(const void *key)
{
    uint64_t big_endian;
    memcpy(&big_endian, key, sizeof big_endian);
    return be64toh(big_endian);
}

void event_log_key(uint64_t sequence, uint8_t key[EVENT_LOG_KEY_BYTES])
{
    uint64_t big_endian = htobe64(sequence);
    memcpy(key, &big_endian, sizeof big_endian);
}

static uint32_t checksum_of(uint64_t sequence, const uint8_t *header, struct text event)
{
    uint64_t hash = hash_bytes(header, AT_CHECKSUM, sequence);
    hash = hash_bytes(header + AT_ARRIVAL, EVENT_LOG_HEADER_BYTES - AT_ARRIVAL, hash);
    return (uint32_t)hash_text(event, hash);
}

void event_log_header(const struct event_record *record, uint8_t header[EVENT_LOG_HEADER_BYTES])
{
    uint16_t origin = htole16(record->origin);
    uint64_t arrival = htole64((uint64_t)record->arrival_ms);
    uint32_t skew = htole32((uint32_t)record->skew_ms);
    header[AT_VERSION] = RECORD_VERSION;
    header[AT_TYPE] = (uint8_t)(record->type | (record->erased ? TYPE_ERASED : 0));
    memcpy(header + AT_ORIGIN, &origin, sizeof origin);
    memcpy(header + AT_ARRIVAL, &arrival, sizeof arrival);
    memcpy(header + AT_SKEW, &skew, sizeof skew);
    uint32_t checksum = htole32(checksum_of(record->sequence, header, record->event));
    memcpy(header + AT_CHECKSUM, &checksum, sizeof checksum);
}

static enum err_code corrupt(const char *kind, uint64_t sequence, const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "%s log, record %" PRIu64 ": %s", kind, sequence, what);
}

enum err_code event_log_parse(const char *kind, const MDB_val *key, const MDB_val *value,
                              struct event_record *ret_record, struct err *err)
{
    if (key->mv_size != EVENT_LOG_KEY_BYTES)
        return err_set(err, ERR_CORRUPT, "%s log: a key of %zu bytes, expected %d", kind,
                       key->mv_size, EVENT_LOG_KEY_BYTES);
    uint64_t sequence = key_number(key->mv_data);
    if (value->mv_size <= EVENT_LOG_HEADER_BYTES ||
        value->mv_size > EVENT_LOG_HEADER_BYTES + EVENT_LOG_RECORD_BYTES_MAX)
        return corrupt(kind, sequence, "its length is that of no record", err);
    uint8_t header[EVENT_LOG_HEADER_BYTES];
    uint16_t origin;
    uint32_t checksum, skew;
    uint64_t arrival;
    memcpy(header, value->mv_data, sizeof header);
    memcpy(&origin, header + AT_ORIGIN, sizeof origin);
    memcpy(&checksum, header + AT_CHECKSUM, sizeof checksum);
    memcpy(&arrival, header + AT_ARRIVAL, sizeof arrival);
    memcpy(&skew, header + AT_SKEW, sizeof skew);
    struct text event = {(const char *)value->mv_data + EVENT_LOG_HEADER_BYTES,
                         (uint32_t)(value->mv_size - EVENT_LOG_HEADER_BYTES)};
    if (header[AT_VERSION] != RECORD_VERSION)
        return corrupt(kind, sequence, "it is of another version", err);
    if (le32toh(checksum) != checksum_of(sequence, header, event))
        return corrupt(kind, sequence, "its checksum does not match", err);
    if ((header[AT_TYPE] & ~TYPE_ERASED) >= EVENT_TYPE_COUNT)
        return corrupt(kind, sequence, "its event type is unknown", err);
    *ret_record = (struct event_record){.sequence = sequence,
                                        .arrival_ms = (int64_t)le64toh(arrival),
                                        .skew_ms = (int32_t)le32toh(skew),
                                        .origin = le16toh(origin),
                                        .type = (enum event_type)(header[AT_TYPE] & ~TYPE_ERASED),
                                        .erased = (header[AT_TYPE] & TYPE_ERASED) != 0,
                                        .event = event};
    return ERR_OK;
}

int event_log_measure(struct event_log *log, MDB_txn *txn)
{
    MDB_cursor *cursor = NULL;
    MDB_stat stat;
    MDB_val key, value;
    struct event_record first = {0}, last = {0};
    int rc = mdb_stat(txn, log->events, &stat);
    if (rc == 0)
        rc = mdb_cursor_open(txn, log->events, &cursor);
    if (rc != 0)
        return rc;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    /* What is corrupt is found by those who read it; here only its place counts. */
    if (rc == 0 && event_log_parse(log->kind, &key, &value, &first, NULL) != ERR_OK)
        first = (struct event_record){.sequence = key_number(key.mv_data)};
    if (rc == 0)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    if (rc == 0)
        last.sequence = key_number(key.mv_data);
    mdb_cursor_close(cursor);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return rc;
    uint64_t pages = stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    atomic_store_explicit(&log->first_sequence, first.sequence, memory_order_relaxed);
    atomic_store_explicit(&log->first_arrival_ms, first.arrival_ms, memory_order_relaxed);
    atomic_store_explicit(&log->last_sequence, last.sequence, memory_order_relaxed);
    atomic_store_explicit(&log->bytes_used, pages * log->page_bytes, memory_order_relaxed);
    return 0;
}

enum err_code event_log_read_begin(struct event_log *log, uint64_t from_sequence,
                                   struct event_log_reader *ret_reader, struct err *err)
{
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    uint8_t from[EVENT_LOG_KEY_BYTES];
    MDB_val key = {.mv_data = from, .mv_size = sizeof from};
    MDB_val value;
    event_log_key(from_sequence, from);
    pthread_rwlock_rdlock(&log->lock);
    int rc = mdb_txn_begin(log->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0)
        rc = mdb_cursor_open(txn, log->events, &cursor);
    if (rc == 0)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        if (txn != NULL)
            mdb_txn_abort(txn);
        pthread_rwlock_unlock(&log->lock);
        return event_log_error(log, rc, "read", err);
    }
    *ret_reader =
        (struct event_log_reader){.log = log, .txn = txn, .cursor = cursor, .is_placed = rc == 0};
    return ERR_OK;
}

enum err_code event_log_read_next(struct event_log_reader *reader, struct event_record *ret_record,
                                  struct err *err)
{
    MDB_val key, value;
    const char *kind = reader->log->kind;
    int rc = MDB_NOTFOUND;
    if (reader->is_placed)
        rc = mdb_cursor_get(reader->cursor, &key, &value,
                            reader->next == 0 ? MDB_GET_CURRENT : MDB_NEXT);
    if (rc == MDB_NOTFOUND)
        return err_set(err, ERR_NOT_FOUND, "the end of the %s log", kind);
    if (rc != 0)
        return err_set(err, ERR_IO, "cannot read the %s log: %s", kind, mdb_strerror(rc));
    enum err_code code = event_log_parse(kind, &key, &value, ret_record, err);
    if (code != ERR_OK)
        return code;
    if (reader->next != 0 && ret_record->sequence != reader->next)
        return corrupt(kind, reader->next, "it is missing", err);
    reader->next = ret_record->sequence + 1;
    return ERR_OK;
}

void event_log_read_end(struct event_log_reader *reader)
{
    mdb_cursor_close(reader->cursor);
    mdb_txn_abort(reader->txn);
    pthread_rwlock_unlock(&reader->log->lock);
    *reader = (struct event_log_reader){0};
}
