/* SPDX-License-Identifier: Apache-2.0 */
/* The models of /readyz?verbose: each that serves, and each that a policy names and that does not.
 */
#include <math.h>
#include <string.h>

#include "base/rcu.h"
#include "models/blend.h"
#include "server/control/pages_internal.h"

/* Up to a NULL; names, versions and reasons together are longer than buffer_put_fmt takes. */
static void put_all(struct buffer *buffer, const char *const texts[])
{
    for (uint32_t i = 0; texts[i] != NULL; i++)
        buffer_put_str(buffer, texts[i]);
}

/* Every name that the policies hold, `index` counting from 0 over all slots; NULL behind the last.
 * "" and "*" stand where none, or the first of a kind, is meant. */
static const char *named_model(const struct policy_set *policies, uint32_t index)
{
    for (uint32_t i = 0; i < policies->slot_count; i++) {
        const struct policy_slot *slot = &policies->slot[i];
        if (index < slot->source_count)
            return slot->source[index].model;
        index -= slot->source_count;
        if (index < 2)
            return index == 0 ? slot->ranker : slot->prices;
        index -= 2;
    }
    return NULL;
}

static bool serves(const struct snapshot *snapshot, const char *name)
{
    for (uint32_t i = 0; i < snapshot->model_count; i++) {
        if (strcmp(snapshot->model[i]->name, name) == 0)
            return true;
    }
    return false;
}

static bool told_before(const struct policy_set *policies, uint32_t index, const char *name)
{
    for (uint32_t i = 0; i < index; i++) {
        if (strcmp(named_model(policies, i), name) == 0)
            return true;
    }
    return false;
}

/* The first part of a blend that it lacks; NULL for whatever else. */
static const char *lacking_part(const struct snapshot *snapshot, const struct model *model)
{
    if (model->kind != MODEL_blend)
        return NULL;
    for (uint32_t i = 0; i < blend_part_count(model); i++) {
        const struct blend_part *part = blend_part_at(model, i);
        if (isnan(part->fallback) && !serves(snapshot, part->model))
            return part->model;
    }
    return NULL;
}

/* Why something newer does not serve in its place. */
static void put_newer(const struct pages *pages, struct buffer *buffer, const char *name)
{
    char version[MODEL_NAME_BYTES] = "", why[ERR_TEXT_BYTES] = "";
    if (pages->registry != NULL)
        registry_newer_refusal(pages->registry, name, version, why);
    if (version[0] != '\0')
        put_all(buffer, (const char *const[]){"; newer ", version, " refused: ", why, NULL});
}

static void put_serving(const struct pages *pages, struct buffer *buffer,
                        const struct snapshot *snapshot)
{
    const struct model *model = NULL;
    for (uint32_t i = 0; (model = snapshot_model(snapshot, i)) != NULL; i++) {
        const char *lacking = lacking_part(snapshot, model);
        if (lacking != NULL) {
            put_all(buffer,
                    (const char *const[]){"[!]model ", model->name, " not used: ", model->label,
                                          " needs ", lacking, ", which does not serve", NULL});
        } else {
            bool usable = breaker_is_closed(model->breaker);
            put_all(buffer,
                    (const char *const[]){usable ? "[+]model " : "[!]model ", model->name,
                                          usable ? " ok: " : " not used: ", model->label,
                                          i < snapshot->model_count ? " serves" : " is the canary",
                                          ", breaker ", breaker_name(model->breaker), NULL});
        }
        if (i < snapshot->model_count)
            put_newer(pages, buffer, model->name);
        buffer_put_char(buffer, '\n');
    }
}

static void put_missing(const struct pages *pages, struct buffer *buffer,
                        const struct policy_set *policies, uint32_t index)
{
    const char *name = named_model(policies, index);
    char why[ERR_TEXT_BYTES] = "";
    if (pages->registry != NULL)
        registry_refusal(pages->registry, name, why);
    put_all(buffer, (const char *const[]){
                        "[!]model ", name, " missing: a policy names it, and no version serves",
                        why[0] == '\0' ? "" : "; refused last: ", why, "\n", NULL});
}

void pages_put_models(const struct pages *pages, struct buffer *buffer)
{
    const char *name = NULL;
    rcu_read_begin();
    const struct snapshot *snapshot = serving_current(pages->serving);
    if (snapshot != NULL) {
        put_serving(pages, buffer, snapshot);
        for (uint32_t i = 0; (name = named_model(snapshot->policies, i)) != NULL; i++) {
            bool is_name = name[0] != '\0' && strcmp(name, "*") != 0;
            if (is_name && !serves(snapshot, name) && !told_before(snapshot->policies, i, name))
                put_missing(pages, buffer, snapshot->policies, i);
        }
    }
    rcu_read_end();
}
