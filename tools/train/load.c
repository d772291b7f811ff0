/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/load.h"

#include <inttypes.h>

#define ARENA_BYTES (256 * 1024) /* the items of one event */

struct load {
    const struct load_options *options;
    struct interactions *interactions;
    struct reader *reader;
    struct arena arena;
    struct load_summary summary;
};

static void count_skipped(struct load_summary *summary, struct text name)
{
    uint32_t i = 0;
    while (i < summary->rule_count && !text_is(name, summary->rule[i].name))
        i++;
    if (i == summary->rule_count && i < LOAD_RULES_MAX) {
        text_copy(i == LOAD_RULES_MAX - 1 ? TEXT_LITERAL("other rules") : name,
                  summary->rule[i].name, LOAD_RULE_BYTES);
        summary->rule_count++;
    }
    summary->rule[i < LOAD_RULES_MAX ? i : LOAD_RULES_MAX - 1].lines++;
}

static void count_bad(struct load *load, const char *text)
{
    FILE *out = load->options->messages;
    load->summary.bad++;
    if (out == NULL || load->summary.bad > LOAD_BAD_SHOWN)
        return;
    if (load->options->progress != NULL)
        progress_end(load->options->progress); /* makes room on the line */
    fprintf(out, "%s: %s: %s\n", load->options->program, load->options->events, text);
    if (load->summary.bad == LOAD_BAD_SHOWN)
        fprintf(out, "%s: further bad lines are only counted\n", load->options->program);
}

/* A bad event is no error; what is returned ends the reading. */
static enum err_code take_event(struct load *load, struct text bytes, struct err *err)
{
    const uint8_t *start = (const uint8_t *)bytes.ptr;
    struct cursor cursor = cursor_of(start, bytes.len);
    struct event event;
    arena_reset(&load->arena);
    const char *prefix = "";
    enum err_code rc = cursor_check(start, bytes.len, CURSOR_VALUES_MAX, err);
    if (rc == ERR_OK) {
        rc = event_decode(&cursor, clock_wall_ms(load->options->clock), &load->arena, &event, err);
        prefix = rc == ERR_OK ? "" : event_fault_prefix(err);
    }
    if (rc == ERR_OK)
        return interactions_add(load->interactions, &event, err);
    if (rc == ERR_UNSUPPORTED) {
        load->interactions->unused++;
        return ERR_OK;
    }
    struct reader_progress at;
    char line[ERR_TEXT_BYTES];
    reader_progress(load->reader, &at);
    snprintf(line, sizeof line, "line %" PRIu64 ", %s%.300s", at.line, prefix, err->text);
    count_bad(load, line);
    return ERR_OK;
}

static void show_progress(const struct load *load)
{
    struct reader_progress at;
    if (load->options->progress == NULL)
        return;
    reader_progress(load->reader, &at);
    progress_show(load->options->progress,
                  at.bytes_total > 0 ? (double)at.bytes_read / (double)at.bytes_total
                                     : PROGRESS_UNKNOWN,
                  load->summary.lines);
}

static enum err_code read_lines(struct load *load, struct err *err)
{
    for (;;) {
        struct text text;
        enum err_code rc = ERR_OK;
        switch (reader_next(load->reader, &text, err)) {
        case READER_EVENT: rc = take_event(load, text, err); break;
        case READER_SKIPPED: count_skipped(&load->summary, text); break;
        case READER_BAD: count_bad(load, err->text); break;
        case READER_DONE: return ERR_OK;
        case READER_FAILED: return err->code;
        }
        if (rc != ERR_OK)
            return rc;
        load->summary.lines++;
        show_progress(load);
    }
}

enum err_code load_events(const struct load_options *options, struct interactions *interactions,
                          struct load_summary *ret_summary, struct err *err)
{
    const struct reader_options reader = {
        .format = options->format, .kind = READER_EVENTS, .map_path = options->map};
    struct load load = {.options = options, .interactions = interactions};
    struct err local;
    err = err != NULL ? err : &local; /* lines are described from it */
    enum err_code rc = arena_init(&load.arena, ARENA_BYTES, err);
    if (rc == ERR_OK)
        rc = reader_open(options->events, &reader, &load.reader, err);
    if (rc == ERR_OK)
        rc = read_lines(&load, err);
    reader_close(&load.reader);
    arena_deinit(&load.arena);
    if (rc == ERR_OK)
        *ret_summary = load.summary;
    return rc;
}
