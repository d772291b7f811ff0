/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/transcode.h"
#include "tools/cli/value.h"
#include "tools/ctl/args.h"
#include "tools/ctl/export.h"
#include "tools/ctl/replay_show.h"

#define FOUND 100 /* ends export_each: no exit code */

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

static int replay_one(struct run *run, const struct decision_record *decision)
{
    const struct replay_parts as_logged = {.count = 0};
    struct err err = {.text = ""};
    const struct model *model = NULL;
    struct model *blend = NULL;
    if (decision->ranker.ptr == NULL || decision->features.at == NULL) {
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

static int from_file(struct run *run)
{
    FILE *file = fopen(run->line->log, "r");
    char *text = NULL;
    size_t room = 0;
    ssize_t len = 0;
    int code = EXIT_FINE;
    if (file == NULL)
        return ctl_fail("replay", "cannot read '%s': %s", run->line->log, strerror(errno));
    uint8_t *bytes = malloc(2 * DECISION_RECORD_BYTES_MAX);
    if (bytes == NULL)
        code = ctl_fail("replay", "out of memory");
    for (uint64_t number = 1; code == EXIT_FINE && (len = getline(&text, &room, file)) >= 0;
         number++) {
        len -= len > 0 && text[len - 1] == '\n';
        if (len > 0)
            code = take_line(run, number, text, (size_t)len, bytes);
    }
    if (code == EXIT_FINE && ferror(file) != 0)
        code = ctl_fail("replay", "cannot read '%s': %s", run->line->log, strerror(errno));
    free(bytes);
    free(text);
    fclose(file);
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
    int count = args_parse(ctl, argc, argv, args, sizeof args / sizeof args[0]);
    if (count < 0)
        return EXIT_USAGE;
    if (count + line.all != 1)
        return ctl_usage("replay", "expected the id of one decision, or --all");
    if (line.models == NULL)
        return ctl_usage("replay", "--models DIR is missing: where NAME/VERSION of the models is");
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
