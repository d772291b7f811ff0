/* SPDX-License-Identifier: Apache-2.0 */
/* Retention by type: records that outlive their type's retention stay, so that sequences have no
 * gap, but say nothing any more.
 *
 * For each such type the writer goes through the log from the oldest record on, a few records with
 * each commit, up to those that are not old enough yet; how far it came is a note of the log. */
#include <string.h>

#include "base/cursor.h"
#include "base/pack.h"
#include "featurestore/event_log_internal.h"

enum { STRIPPED_BYTES_MAX = 512, LOOKS_MIN = 256, LOOKS_PER_RECORD = 8 };

/* What a record of that name holds; .ptr NULL: nothing. */
static struct text raw_of(struct text event, const char *name)
{
    struct cursor cursor = cursor_of((const uint8_t *)event.ptr, event.len);
    uint32_t pairs = 0;
    struct text key, raw = {NULL, 0};
    for (cursor_map(&cursor, &pairs); pairs > 0; pairs--) {
        if (!cursor_text(&cursor, &key))
            break;
        if (text_is(key, name)) {
            cursor_skip(&cursor, &raw);
            break;
        }
        cursor_skip(&cursor, NULL);
    }
    return raw;
}

/* An event without effect: no items are deleted.  Its id stays, by which duplicates are known, and
 * its time, by which the newest one is. */
static void strip(const struct event_record *record, struct pack *pack)
{
    struct text id = raw_of(record->event, "id"), ts = raw_of(record->event, "ts");
    pack_map(pack, 2u + (id.ptr != NULL) + (ts.ptr != NULL));
    if (id.ptr != NULL) { /* one of somebody who was erased has none */
        pack_key(pack, "id");
        pack_raw(pack, id.ptr, id.len);
    }
    pack_key(pack, "type");
    pack_str(pack, event_type_name(EVENT_item_delete));
    if (ts.ptr != NULL) {
        pack_key(pack, "ts");
        pack_raw(pack, ts.ptr, ts.len);
    }
    pack_key(pack, "items");
    pack_array(pack, 0);
}

bool event_record_is_expired(const struct event_record *record)
{
    struct text items = raw_of(record->event, "items");
    return record->type == EVENT_item_delete && items.len == 1 && (uint8_t)items.ptr[0] == 0x90;
}

static int rewrite(const struct event_log *log, MDB_txn *txn, const struct event_record *record)
{
    uint8_t bytes[EVENT_LOG_HEADER_BYTES + STRIPPED_BYTES_MAX], key_bytes[EVENT_LOG_KEY_BYTES];
    struct pack pack = pack_into(bytes + EVENT_LOG_HEADER_BYTES, STRIPPED_BYTES_MAX);
    struct event_record stripped = *record;
    strip(record, &pack);
    ASSERT(!pack.overflow); /* an id and a time were bounded when they were accepted */
    stripped.type = EVENT_item_delete;
    stripped.event = (struct text){(const char *)pack.bytes, (uint32_t)pack.used};
    event_log_header(&stripped, bytes);
    event_log_key(record->sequence, key_bytes);
    MDB_val key = {.mv_data = key_bytes, .mv_size = sizeof key_bytes};
    MDB_val value = {.mv_data = bytes, .mv_size = EVENT_LOG_HEADER_BYTES + pack.used};
    return mdb_put(txn, log->events, &key, &value, 0);
}

/* The first record from that sequence on; MDB_NOTFOUND also for one that cannot be read, which is
 * reported by those who need it. */
static int read_at(const struct event_log *log, MDB_cursor *cursor, uint64_t sequence,
                   struct event_record *ret_record)
{
    uint8_t bytes[EVENT_LOG_KEY_BYTES];
    MDB_val key = {.mv_data = bytes, .mv_size = sizeof bytes}, value;
    event_log_key(sequence, bytes);
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (rc == 0 && event_log_parse(log->kind, &key, &value, ret_record, NULL) != ERR_OK)
        rc = MDB_NOTFOUND;
    return rc;
}

static int expire_type(const struct event_log *log, MDB_txn *txn, enum event_type type,
                       struct event_log_expiry *expiry)
{
    MDB_cursor *cursor = NULL;
    struct event_record record;
    int64_t before_ms = clock_wall_ms(log->clock) - log->type_retain_ms[type];
    uint32_t looks = LOOKS_MIN + LOOKS_PER_RECORD * log->sealed.count;
    int rc = mdb_cursor_open(txn, log->events, &cursor);
    while (rc == 0 && looks-- > 0) {
        rc = read_at(log, cursor, expiry->up_to[type] + 1, &record);
        if (rc != 0 || record.sequence > log->prune_full_up_to || record.arrival_ms >= before_ms)
            break;
        if (record.type == type) {
            rc = rewrite(log, txn, &record);
            expiry->count += rc == 0;
        }
        expiry->up_to[type] = record.sequence;
        expiry->moved = true;
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int event_log_expire(const struct event_log *log, MDB_txn *txn, struct event_log_expiry *expiry)
{
    int rc = 0;
    MDB_val key = {.mv_data = (void *)EVENT_LOG_EXPIRED_NOTE,
                   .mv_size = strlen(EVENT_LOG_EXPIRED_NOTE)};
    MDB_val value = {.mv_data = expiry->up_to, .mv_size = sizeof expiry->up_to};
    for (uint32_t i = 0; i < EVENT_TYPE_COUNT && rc == 0; i++) {
        if (log->type_retain_ms[i] > 0)
            rc = expire_type(log, txn, (enum event_type)i, expiry);
    }
    return rc == 0 && expiry->moved ? mdb_put(txn, log->notes, &key, &value, 0) : rc;
}

enum err_code event_log_read_expiry(struct event_log *log, struct err *err)
{
    struct event_log_expiry expiry = {.count = 0};
    size_t len = 0;
    enum err_code rc = event_log_get_note(log, EVENT_LOG_EXPIRED_NOTE, expiry.up_to,
                                          sizeof expiry.up_to, &len, err);
    if (rc == ERR_NOT_FOUND)
        return ERR_OK; /* it begins with the oldest record */
    if (rc == ERR_OK && len == sizeof expiry.up_to)
        memcpy(log->expired_up_to, expiry.up_to, sizeof log->expired_up_to);
    return rc;
}

bool event_log_is_whole(const struct event_log *log)
{
    uint64_t first = atomic_load_explicit(&log->first_sequence, memory_order_relaxed);
    for (uint32_t i = 0; i < EVENT_TYPE_COUNT; i++) {
        if (log->expired_up_to[i] > 0)
            return false;
    }
    return first == 1;
}
