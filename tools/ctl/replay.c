/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/transcode.h"
#include "featurestore/reader_input.h"
#include "tools/cli/value.h"
#include "tools/ctl/args.h"
#include "tools/ctl/export.h"
#include "tools/ctl/replay_show.h"

#define FOUND          100 /* ends export_each: no exit code */
#define LINE_BYTES_MAX (32 * DECISION_RECORD_BYTES_MAX)

struct command_line {
    const char *decision, *models, *log, *with;
    bool all;
};

struct run {
    const struct command_line *line;
    struct ctl *ctl;
    struct replay_models models;
    const struct model *other;       /* --with */
    struct replay_parts other_parts; /* of it, where it is a blend */
    struct replay replay, with;
    struct replay_counts counts;
    bool found;
};

/* ---- one decision ---------------------------------------------------------------------------- */

static int refuse(struct run *run, const struct decision_record *decision, const struct err *err)
{
    run->counts.refused++;
    if (!run->line->all)
        return ctl_fail("replay", "%.*s: %s", (int)decision->decision.len, decision->decision.ptr,
                        err->text);
    ctl_warn("replay", "%.*s: %s", (int)decision->decision.len, decision->decision.ptr, err->text);
    return EXIT_FAILED;
}

/* What is asked for the features of a decision: the model, or a blend that is made of its parts
 * (*ret_blend, else NULL). */
static enum err_code ranker_of(struct run *run, const struct decision_record *decision,
                               const struct model *model, const struct replay_parts *parts,
                               const struct model **ret_ranker, struct model **ret_blend,
                               struct err *err)
{
    *ret_blend = NULL;
    *ret_ranker = model;
    if (model->kind != MODEL_blend)
        return ERR_OK;
    enum err_code rc = replay_assemble(&run->models, decision, model, parts, ret_blend, err);
    *ret_ranker = *ret_blend;
    return rc;
}

static enum err_code compute_with(struct run *run, const struct decision_record *decision,
                                  struct err *err)
{
    const struct model *other = NULL;
    struct model *blend = NULL;
    enum err_code rc = ranker_of(run, decision, run->other, &run->other_parts, &other, &blend, err);
    if (rc == ERR_OK)
        rc = replay_compute(decision, other, &run->with, err);
    blend_release(&blend);
    return rc;
}

/* EXIT_FINE also for one that differs: the counts know. */
static int compare(struct run *run, const struct decision_record *decision,
                   const struct model *model)
{
    struct err err = {.text = ""};
    if (replay_compute(decision, model, &run->replay, &err) != ERR_OK)
        return refuse(run, decision, &err);
    const bool is_equal = run->replay.differing_count == 0 && !run->replay.order_differs;
    run->counts.equal += is_equal;
    run->counts.differing += !is_equal;
    if (run->other != NULL && compute_with(run, decision, &err) != ERR_OK)
        return refuse(run, decision, &err);
    if (!run->line->all || !is_equal)
        replay_show_one(decision, model, &run->replay, run->other, &run->with, run->ctl->json);
    return EXIT_FINE;
}

/* Did a ranker see any of its items?  Of an answer of pins alone it is named, and saw none. */
static bool is_ranked(const struct decision_record *decision)
{
    struct decision_record at = *decision;
    struct decision_record_item item;
    if (decision->ranker.ptr == NULL || decision->features.at == NULL)
        return false;
    while (decision_record_next(&at, &item)) {
        if (item.has_features)
            return true;
    }
    return false;
}

static int replay_one(struct run *run, const struct decision_record *decision)
{
    const struct replay_parts as_logged = {.count = 0};
    struct err err = {.text = ""};
    const struct model *model = NULL;
    struct model *blend = NULL;
    if (!is_ranked(decision)) {
        run->counts.unranked++;
        if (!run->line->all) {
            err_set(&err, ERR_NOT_FOUND,
                    "no ranker saw its items (level %.*s): there is nothing to compute again",
                    (int)decision->level.len, decision->level.ptr);
            return ctl_fail("replay", "%.*s: %s", (int)decision->decision.len,
                            decision->decision.ptr, err.text);
        }
        return EXIT_FINE;
    }
    enum err_code rc = replay_model(&run->models, decision->ranker, &model, &err);
    if (rc == ERR_OK)
        rc = ranker_of(run, decision, model, &as_logged, &model, &blend, &err);
    int code = rc == ERR_OK ? compare(run, decision, model) : refuse(run, decision, &err);
    blend_release(&blend);
    return code;
}

static bool is_asked_for(const struct run *run, const struct decision_record *decision)
{
    return run->line->all || text_is(decision->decision, run->line->decision);
}

/* ---- from a daemon --------------------------------------------------------------------------- */

static int take_record(void *ctx, struct cursor record)
{
    struct run *run = ctx;
    struct decision_record decision;
    struct text bytes;
    int code = export_decision_of(record, &decision, &bytes);
    if (code != EXIT_FINE || !is_asked_for(run, &decision))
        return code;
    run->found = true;
    code = replay_one(run, &decision);
    if (run->line->all)
        return EXIT_FINE; /* a refused one is counted, and the others are looked at */
    return code == EXIT_FINE ? FOUND : code;
}

static int from_daemon(struct run *run)
{
    const struct export_job job = {.from = 1, .since_ms = INT64_MIN, .before_ms = INT64_MAX};
    struct export_run export = {.ctl = run->ctl, .job = &job};
    int code = export_each(&export, "decisions", NULL, take_record, run);
    return code == FOUND ? EXIT_FINE : code;
}

/* ---- from a file ----------------------------------------------------------------------------- */

static int take_line(struct run *run, uint64_t number, const char *json, size_t len, uint8_t *bytes)
{
    struct pack pack = pack_into(bytes, 2 * DECISION_RECORD_BYTES_MAX);
    struct decision_record decision;
    struct err err;
    if (transcode_from_json(json, len, &pack, &err) != ERR_OK ||
        decision_record_read((struct text){(const char *)bytes, (uint32_t)pack.used}, &decision,
                             &err) != ERR_OK)
        return ctl_fail("replay", "%s, line %" PRIu64 ": %s", run->line->log, number, err.text);
    if (!is_asked_for(run, &decision))
        return EXIT_FINE;
    run->found = true;
    int code = replay_one(run, &decision);
    return run->line->all ? EXIT_FINE : code;
}

/* Up to the line feed, or what there is: a line may be longer than the window of the input. */
static enum err_code take_piece(struct reader_input *input, struct buffer *line, bool *ret_whole,
                                struct err *err)
{
    const size_t unread = input_unread(input);
    const char *feed = memchr(input_at(input), '\n', unread);
    const size_t len = feed == NULL ? unread : (size_t)(feed - input_at(input));
    buffer_put(line, input_at(input), len);
    input_take(input, len + (feed != NULL));
    *ret_whole = feed != NULL || input->at_end;
    if (line->failed)
        return err_set(err, ERR_NOMEM, "out of memory");
    if (line->used > LINE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "a line is longer than %d bytes", LINE_BYTES_MAX);
    return *ret_whole ? ERR_OK : input_fill(input, err);
}

static int from_input(struct run *run, struct reader_input *input, uint8_t *bytes)
{
    struct buffer line = {.used = 0};
    struct err err = {.text = ""};
    bool is_whole = false;
    int code = EXIT_FINE;
    uint64_t number = 1;
    while (code == EXIT_FINE && !(input->at_end && input_unread(input) == 0 && line.used == 0)) {
        if (take_piece(input, &line, &is_whole, &err) != ERR_OK)
            code = ctl_fail("replay", "%s, line %" PRIu64 ": %s", run->line->log, number, err.text);
        else if (is_whole) {
            if (line.used > 0)
                code = take_line(run, number, line.bytes, line.used, bytes);
            line.used = 0;
            number++;
        }
    }
    buffer_deinit(&line);
    return code;
}

static int from_file(struct run *run)
{
    struct reader_input input = {.fd = -1};
    struct err err = {.text = ""};
    if (input_open(run->line->log, &input, &err) != ERR_OK)
        return ctl_fail("replay", "%s", err.text);
    uint8_t *bytes = malloc(2 * DECISION_RECORD_BYTES_MAX);
    int code = bytes == NULL ? ctl_fail("replay", "out of memory") : from_input(run, &input, bytes);
    free(bytes);
    input_close(&input);
    return code;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int run_all(struct run *run)
{
    const struct command_line *line = run->line;
    struct err err = {.text = ""};
    if (line->with != NULL && replay_with(&run->models, text_of(line->with), &run->other,
                                          &run->other_parts, &err) != ERR_OK)
        return ctl_fail("replay", "--with: %s", err.text);
    int code = line->log != NULL ? from_file(run) : from_daemon(run);
    if (code != EXIT_FINE)
        return code;
    if (!run->found && !line->all)
        return ctl_fail("replay", "%s is not in the log: it was pruned, erased, or never logged",
                        line->decision);
    if (line->all)
        replay_show_counts(&run->counts, run->ctl->json);
    return run->counts.differing + run->counts.refused == 0 ? EXIT_FINE : EXIT_FAILED;
}

int command_replay(struct ctl *ctl, int argc, char **argv)
{
    struct command_line line = {0};
    const struct arg args[] = {{"models", 0, ARG_TEXT, &line.models, 0, 0},
                               {"log", 0, ARG_TEXT, &line.log, 0, 0},
                               {"with", 0, ARG_TEXT, &line.with, 0, 0},
                               {"all", 0, ARG_FLAG, &line.all, 0, 0}};
    struct err err = {.text = ""};
    int count = args_parse(ctl, argc, argv, args, sizeof args / sizeof args[0]);
    if (count < 0)
        return EXIT_USAGE;
    if (count + line.all != 1)
        return ctl_usage("replay", "expected the id of one decision, or --all");
    if (line.models == NULL)
        return ctl_usage("replay", "--models DIR is missing: where NAME/VERSION of the models is");
    if (line.with != NULL && replay_labels_check(text_of(line.with), &err) != ERR_OK)
        return ctl_usage("replay", "--with: %s", err.text);
    line.decision = line.all ? NULL : argv[1];
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return ctl_fail("replay", "out of memory");
    run->line = &line;
    run->ctl = ctl;
    run->models.dir = line.models;
    int code = run_all(run);
    replay_models_close(&run->models);
    free(run);
    return code;
}
