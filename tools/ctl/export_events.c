/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "tools/cli/value.h"
#include "tools/ctl/export_rows.h"

struct events_export {
    struct export_run *run;
    struct export_rows *rows;
};

static int write_event(void *ctx, struct cursor record)
{
    struct events_export *events = ctx;
    struct export_run *run = events->run;
    struct cursor event;
    struct err err = {.text = ""};
    int64_t arrival_ms = value_int(record, "arrival_ms", 0);
    if (!export_is_wanted(run->job, arrival_ms))
        return EXIT_FINE;
    if (!value_find(record, "event", &event) ||
        export_rows_make(events->rows, run->job->format, event, arrival_ms,
                         value_int(record, "skew_ms", 0), &err) != ERR_OK)
        return ctl_fail("export", "record %" PRId64 ": %s", value_int(record, "sequence", 0),
                        err.text[0] == '\0' ? "it holds no event" : err.text);
    size_t len = 0;
    const char *text = export_rows_text(events->rows, &len);
    run->exported++;
    return export_write(run, text, len);
}

int export_events(struct export_run *run)
{
    struct events_export events = {.run = run};
    struct err err = {.text = ""};
    int code = EXIT_FINE;
    if (export_rows_create(&events.rows, &err) != ERR_OK)
        return ctl_fail("export", "%s", err.text);
    if (run->job->format == EXPORT_CSV)
        code = export_write(run, EXPORT_CSV_HEADER, sizeof EXPORT_CSV_HEADER - 1);
    if (code == EXIT_FINE)
        code = export_each(run, "events", NULL, write_event, &events);
    export_rows_destroy(&events.rows);
    return code;
}
