/* SPDX-License-Identifier: Apache-2.0 */
/* One row for each item that was shown: what the ranker saw of it, and what came of it.
 *
 * The events are read first, and what they say about items of decisions is kept
 * (export_labels.h); an id of a decision says when it was made, so that nothing is kept beyond the
 * window.  Then the decisions pass by, one after the other. */
#include <stdlib.h>

#include "base/arena.h"
#include "base/num.h"
#include "base/rand.h"
#include "base/transcode.h"
#include "tools/cli/value.h"
#include "tools/ctl/csv.h"
#include "tools/ctl/export.h"
#include "tools/ctl/export_labels.h"
#include "tools/ctl/export_names.h"

#define ARENA_BYTES (EVENT_ITEMS_MAX * sizeof(struct event_item) + 4096)
#define ROW_BYTES   (2 * DECISION_RECORD_BYTES_MAX)

struct training_export {
    struct export_run *run;
    struct arena arena;
    struct label_table *labels;
    struct export_names *names; /* CSV: the columns of features */
    uint8_t *row;               /* owned, ROW_BYTES: NDJSON before it is text */
    struct buffer buffer;
};

/* ---- events ---------------------------------------------------------------------------------- */

/* Whether the event counts: its decision is among the wanted ones, and recent enough. */
static bool is_within(const struct export_job *job, const struct event *event)
{
    int64_t made_ms = 0;
    return event->decision.ptr != NULL && ulid_time_ms(event->decision, &made_ms) &&
           export_is_wanted(job, made_ms) && event->ts_ms - made_ms <= job->window_ms;
}

static int take_event(void *ctx, struct cursor record)
{
    struct training_export *training = ctx;
    const struct event_rules rules = {.strictness = EVENT_STORED,
                                      .arrival_ms = value_int(record, "arrival_ms", 0),
                                      .skew_ms = value_int(record, "skew_ms", 0)};
    struct cursor bytes;
    struct event event;
    enum event_type type;
    struct err err = {.text = "it holds no event"};
    bool found = value_find(record, "event", &bytes);
    if (found && (!event_type_parse(value_text(bytes, "type"), &type) || !labels_need(type) ||
                  value_text(bytes, "decision").ptr == NULL))
        return EXIT_FINE;
    arena_reset(&training->arena);
    enum err_code rc =
        found ? event_decode_by(&bytes, &rules, &training->arena, &event, &err) : ERR_CORRUPT;
    if (rc == ERR_OK && is_within(training->run->job, &event))
        rc = label_table_add(training->labels, &event, &err);
    if (rc != ERR_OK)
        return ctl_fail("export", "event %lld: %s", (long long)value_int(record, "sequence", 0),
                        err.text);
    return EXIT_FINE;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void pack_given(struct pack *pack, const char *key, struct text value)
{
    pack_str(pack, key);
    if (value.ptr == NULL)
        pack_nil(pack);
    else
        pack_text(pack, value);
}

static void pack_features(struct pack *pack, const struct decision_record *decision,
                          const struct decision_record_item *item)
{
    struct cursor names = decision->names, values = item->features;
    pack_key(pack, "features");
    if (!item->has_features) {
        pack_nil(pack);
        return;
    }
    pack_map(pack, decision->name_count);
    for (uint32_t i = 0; i < decision->name_count; i++) {
        struct text name, value;
        (void)cursor_text(&names, &name);
        cursor_skip(&values, &value);
        pack_text(pack, name);
        pack_raw(pack, value.ptr, value.len);
    }
}

static void pack_labels(struct pack *pack, const struct labels *labels)
{
    const struct {
        const char *name;
        int64_t value;
    } rows[] = {
        {"impressed", labels->impressed},
        {"clicked", labels->clicked},
        {"carted", labels->carted},
        {"purchased", labels->purchased},
        {"revenue_minor", labels->revenue_minor},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pack_str(pack, rows[i].name);
        pack_int(pack, rows[i].value);
    }
}

static int put_json(struct training_export *training, const struct decision_record *decision,
                    const struct decision_record_item *item, const struct labels *labels)
{
    struct pack pack = pack_into(training->row, ROW_BYTES);
    struct err err = {.text = "a row is too long"};
    char *json = NULL;
    size_t len = 0;
    size_t mark = pack_map_open(&pack);
    pack_given(&pack, "decision", decision->decision);
    pack_key(&pack, "ts");
    pack_int(&pack, decision->ts_ms);
    pack_given(&pack, "op", decision->op);
    pack_given(&pack, "slot", decision->slot);
    pack_given(&pack, "user", decision->user);
    pack_given(&pack, "anon", decision->anon);
    pack_given(&pack, "level", decision->level);
    pack_given(&pack, "policy", decision->policy);
    pack_given(&pack, "ranker", decision->ranker);
    pack_key(&pack, "position");
    pack_uint(&pack, item->position);
    pack_given(&pack, "item", item->item);
    pack_key(&pack, "score");
    pack_real32(&pack, (float)item->score);
    pack_key(&pack, "price");
    if (item->has_price)
        pack_int(&pack, item->price_minor);
    else
        pack_nil(&pack);
    pack_given(&pack, "currency", item->currency);
    pack_features(&pack, decision, item);
    pack_labels(&pack, labels);
    pack_map_close(&pack, mark, 20);
    if (pack.overflow ||
        transcode_to_json(training->row, pack.used, 0, &json, &len, &err) != ERR_OK)
        return ctl_fail("export", "%s", err.text);
    buffer_put(&training->buffer, json, len);
    buffer_put_char(&training->buffer, '\n');
    free(json);
    return EXIT_FINE;
}

static void put_csv(struct training_export *training, const struct decision_record *decision,
                    const struct decision_record_item *item, const struct labels *labels)
{
    char score[NUM_REAL_BYTES];
    struct buffer *buffer = &training->buffer;
    csv_first(buffer, decision->decision);
    csv_int(buffer, decision->ts_ms);
    csv_text(buffer, decision->op);
    csv_text(buffer, decision->slot);
    csv_text(buffer, decision->user);
    csv_text(buffer, decision->anon);
    csv_text(buffer, decision->level);
    csv_text(buffer, decision->policy);
    csv_text(buffer, decision->ranker);
    csv_int(buffer, item->position);
    csv_text(buffer, item->item);
    csv_text(buffer, text_of(num_format_real32((float)item->score, score)));
    if (item->has_price)
        csv_int(buffer, item->price_minor);
    else
        csv_empty(buffer);
    csv_text(buffer, item->currency);
    csv_int(buffer, labels->impressed);
    csv_int(buffer, labels->clicked);
    csv_int(buffer, labels->carted);
    csv_int(buffer, labels->purchased);
    csv_int(buffer, labels->revenue_minor);
    export_names_put_values(training->names, item, buffer);
    csv_end(buffer);
}

#define CSV_HEADER                                                                          \
    "decision,ts,op,slot,user,anon,level,policy,ranker,position,item,score,price,currency," \
    "impressed,clicked,carted,purchased,revenue_minor"

static int write_rows(void *ctx, struct cursor record)
{
    struct training_export *training = ctx;
    struct decision_record decision;
    struct decision_record_item item;
    struct text bytes;
    int code = export_decision_of(record, &decision, &bytes);
    if (code != EXIT_FINE || !export_is_wanted(training->run->job, decision.ts_ms))
        return code;
    if (training->names != NULL)
        export_names_use(training->names, &decision);
    while (code == EXIT_FINE && decision_record_next(&decision, &item)) {
        struct labels labels = label_table_find(training->labels, decision.decision, item.item);
        if (training->names != NULL)
            put_csv(training, &decision, &item, &labels);
        else
            code = put_json(training, &decision, &item, &labels);
        training->run->exported++;
    }
    return code == EXIT_FINE ? export_flush(training->run, &training->buffer) : code;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int note_names(void *ctx, struct cursor record)
{
    struct training_export *training = ctx;
    struct decision_record decision;
    struct err err;
    struct text bytes;
    int code = export_decision_of(record, &decision, &bytes);
    if (code != EXIT_FINE || !export_is_wanted(training->run->job, decision.ts_ms))
        return code;
    if (export_names_add(training->names, &decision, &err) != ERR_OK)
        return ctl_fail("export", "%s", err.text);
    return EXIT_FINE;
}

static int write_header(struct training_export *training)
{
    int code = export_each(training->run, "decisions", "training", note_names, training);
    if (code != EXIT_FINE)
        return code;
    buffer_put_str(&training->buffer, CSV_HEADER);
    export_names_put(training->names, &training->buffer);
    csv_end(&training->buffer);
    return export_flush(training->run, &training->buffer);
}

static enum err_code create_parts(struct training_export *training, struct err *err)
{
    enum err_code rc = arena_init(&training->arena, ARENA_BYTES, err);
    if (rc == ERR_OK)
        rc = label_table_create(&training->labels, err);
    if (rc == ERR_OK && training->run->job->format == EXPORT_CSV)
        rc = export_names_create(&training->names, err);
    if (rc == ERR_OK && (training->row = malloc(ROW_BYTES)) == NULL)
        rc = err_set(err, ERR_NOMEM, "out of memory for an export");
    return rc;
}

int export_training(struct export_run *run)
{
    struct training_export training = {.run = run};
    struct err err = {.text = ""};
    int code =
        create_parts(&training, &err) == ERR_OK ? EXIT_FINE : ctl_fail("export", "%s", err.text);
    if (code == EXIT_FINE)
        code = export_each(run, "events", NULL, take_event, &training);
    if (code == EXIT_FINE && training.names != NULL)
        code = write_header(&training);
    if (code == EXIT_FINE)
        code = export_each(run, "decisions", "training", write_rows, &training);
    arena_deinit(&training.arena);
    label_table_destroy(&training.labels);
    export_names_destroy(&training.names);
    free(training.row);
    buffer_deinit(&training.buffer);
    return code;
}
