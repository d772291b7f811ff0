/* SPDX-License-Identifier: Apache-2.0 */
/* NDJSON: each decision as it was logged.  CSV: one row for each item that was shown, without
 * features, or one without an item. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/transcode.h"
#include "tools/ctl/csv.h"
#include "tools/ctl/export.h"

#define CSV_HEADER                                                                                \
    "decision,ts,op,slot,user,anon,session,level,reason,policy,models,position,item,score,price," \
    "currency\r\n"

struct decisions_export {
    struct export_run *run;
    struct buffer buffer, models;
};

static int put_json(struct decisions_export *decisions, struct text bytes)
{
    struct err err;
    char *json = NULL;
    size_t len = 0;
    if (transcode_to_json((const uint8_t *)bytes.ptr, bytes.len, 0, &json, &len, &err) != ERR_OK)
        return ctl_fail("export", "%s", err.text);
    buffer_put(&decisions->buffer, json, len);
    buffer_put_char(&decisions->buffer, '\n');
    free(json);
    return EXIT_FINE;
}

/* "near@1 rank@3" */
static struct text join_models(struct decisions_export *decisions,
                               const struct decision_record *decision)
{
    struct cursor at = decision->models;
    struct buffer *models = &decisions->models;
    models->used = 0;
    for (uint32_t i = 0; i < decision->model_count; i++) {
        struct text model;
        (void)cursor_text(&at, &model);
        if (i > 0)
            buffer_put_char(models, ' ');
        buffer_put(models, model.ptr, model.len);
    }
    return (struct text){models->bytes, (uint32_t)models->used};
}

static void put_row(struct decisions_export *decisions, const struct decision_record *decision,
                    const struct decision_record_item *item)
{
    char ts[CLOCK_ISO_BYTES], score[NUM_REAL_BYTES];
    struct buffer *buffer = &decisions->buffer;
    csv_first(buffer, decision->decision);
    csv_text(buffer, text_of(clock_format_iso(decision->ts_ms, ts)));
    csv_text(buffer, decision->op);
    csv_text(buffer, decision->slot);
    csv_text(buffer, decision->user);
    csv_text(buffer, decision->anon);
    csv_text(buffer, decision->session);
    csv_text(buffer, decision->level);
    csv_text(buffer, decision->reason);
    csv_text(buffer, decision->policy);
    csv_text(buffer, join_models(decisions, decision));
    if (item == NULL) {
        buffer_put_str(buffer, ",,,,,");
    } else {
        csv_int(buffer, item->position);
        csv_text(buffer, item->item);
        csv_text(buffer, text_of(num_format_real32((float)item->score, score)));
        if (item->has_price)
            csv_int(buffer, item->price_minor);
        else
            csv_empty(buffer);
        csv_text(buffer, item->currency);
    }
    csv_end(buffer);
}

static int write_decision(void *ctx, struct cursor record)
{
    struct decisions_export *decisions = ctx;
    struct decision_record decision;
    struct decision_record_item item;
    struct text bytes;
    int code = export_decision_of(record, &decision, &bytes);
    if (code != EXIT_FINE || !export_is_wanted(decisions->run->job, decision.ts_ms))
        return code;
    if (decisions->run->job->format == EXPORT_NDJSON)
        code = put_json(decisions, bytes);
    else if (decision.item_count == 0)
        put_row(decisions, &decision, NULL);
    else
        while (decision_record_next(&decision, &item))
            put_row(decisions, &decision, &item);
    decisions->run->exported++;
    return code == EXIT_FINE ? export_flush(decisions->run, &decisions->buffer) : code;
}

int export_decisions(struct export_run *run)
{
    struct decisions_export decisions = {.run = run};
    int code = EXIT_FINE;
    if (run->job->format == EXPORT_CSV)
        code = export_write(run, CSV_HEADER, sizeof CSV_HEADER - 1);
    if (code == EXIT_FINE)
        code = export_each(run, "decisions", NULL, write_decision, &decisions);
    buffer_deinit(&decisions.buffer);
    buffer_deinit(&decisions.models);
    return code;
}
