/* SPDX-License-Identifier: Apache-2.0 */
/* features.json: the file, and what each kind of feature takes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "featurestore/definitions_internal.h"
#include "featurestore/features.h"

enum { YEAR_S = 365 * 86400, AGE_S_MAX = 10 * YEAR_S };
enum { PRECISION_MIN = 4, PRECISION_DEFAULT = 7 };

#define COMMON "kind", "default", "max_age"
#define EVENTS COMMON, "events", "where"

/* The keys that each kind takes. */
static const char *const kind_keys[FEATURE_KIND_COUNT][12] = {
    [FEATURE_KIND_attribute] = {COMMON, "attribute", "column", "values"},
    [FEATURE_KIND_count] = {EVENTS, "window", "tile"},
    [FEATURE_KIND_sum] = {EVENTS, "value", "window", "tile"},
    [FEATURE_KIND_mean] = {EVENTS, "value", "window", "tile"},
    [FEATURE_KIND_min] = {EVENTS, "value", "window", "tile"},
    [FEATURE_KIND_max] = {EVENTS, "value", "window", "tile"},
    [FEATURE_KIND_distinct] = {EVENTS, "value", "window", "tile", "precision"},
    [FEATURE_KIND_decayed] = {EVENTS, "value", "half_life"},
    [FEATURE_KIND_last] = {EVENTS, "value", "n"},
    [FEATURE_KIND_since] = {EVENTS},
    [FEATURE_KIND_interval] = {EVENTS},
    [FEATURE_KIND_ratio] = {COMMON, "of", "per", "prior"},
};

static const char *const kind_names[] = {
#define X(name, tiled, bytes) #name,
    FEATURE_KINDS(X)
#undef X
        NULL};

static const char *const value_names[] = {"price",    "qty",   "amount", "pos",     "total", "item",
                                          "category", "brand", "user",   "session", "query", NULL};
static const enum feature_value_source value_sources[] = {
    VALUE_PRICE,    VALUE_QTY,   VALUE_AMOUNT, VALUE_POS,     VALUE_TOTAL, VALUE_ITEM,
    VALUE_CATEGORY, VALUE_BRAND, VALUE_USER,   VALUE_SESSION, VALUE_QUERY};

static const char *const column_names[] = {"price", "cost", "stock", "category", "brand", NULL};
static const enum feature_value_source column_sources[] = {VALUE_PRICE, VALUE_COST, VALUE_STOCK,
                                                           VALUE_CATEGORY, VALUE_BRAND};

static const char *const key_names[] = {
#define X(name) #name,
    FEATURE_KEYS(X)
#undef X
        NULL};

/* ---- names ----------------------------------------------------------------------------------- */

static bool is_plain(const char *name)
{
    for (; *name != '\0'; name++) {
        if ((*name < 'a' || *name > 'z') && (*name < '0' || *name > '9') && *name != '_')
            return false;
    }
    return true;
}

static enum err_code read_key(const struct json_at *at, const char *name, enum feature_key *ret_key,
                              struct err *err)
{
    const char *dot = strchr(name, '.');
    if (dot == NULL || dot == name || dot[1] == '\0' || !is_plain(dot + 1) ||
        strlen(name) >= DEFINITION_NAME_BYTES)
        return err_set(err, ERR_BAD_INPUT,
                       "%s: expected a name KEY.NAME of at most %d bytes, NAME of a-z, 0-9 and _, "
                       "got '%.80s'",
                       at->path, DEFINITION_NAME_BYTES - 1, name);
    struct text key = {name, (uint32_t)(dot - name)};
    for (uint32_t i = 0; key_names[i] != NULL; i++) {
        if (text_is(key, key_names[i])) {
            *ret_key = (enum feature_key)i;
            return ERR_OK;
        }
    }
    const char *nearest = json_nearest(key, key_names);
    return err_set(err, ERR_BAD_INPUT, "%s: '%.*s' is no key of features%s%s%s", at->path,
                   (int)key.len, key.ptr, nearest == NULL ? "" : ", did you mean '",
                   nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
}

/* ---- one feature ----------------------------------------------------------------------------- */

static bool source_is_id(enum feature_value_source source)
{
    return source >= VALUE_ITEM;
}

static enum err_code check_source(const struct json_at *at, const struct definition *definition,
                                  struct err *err)
{
    bool is_id = source_is_id(definition->source);
    switch (definition->kind) {
    case FEATURE_KIND_distinct:
        return is_id ? ERR_OK
                     : err_set(err, ERR_BAD_INPUT,
                               "%s: expected one of item, category, brand, user, session, query",
                               at->path);
    case FEATURE_KIND_last:
        return definition->source <= VALUE_BRAND
                   ? ERR_OK
                   : err_set(err, ERR_BAD_INPUT,
                             "%s: a list holds numbers, items, categories or brands", at->path);
    default:
        return is_id ? err_set(err, ERR_BAD_INPUT,
                               "%s: expected a number: price, qty, amount, pos, total or "
                               "props.NAME",
                               at->path)
                     : ERR_OK;
    }
}

static enum err_code read_source(const struct json_at *feature, struct definition *definition,
                                 struct err *err)
{
    struct json_at at = json_member(feature, "value");
    const char *text = NULL;
    uint32_t index = 0;
    if (at.value == NULL && definition->kind == FEATURE_KIND_decayed)
        return ERR_OK; /* counts events */
    enum err_code rc = json_string(&at, &text, err);
    if (rc != ERR_OK)
        return rc;
    if (strncmp(text, "props.", 6) == 0 && text[6] != '\0') {
        definition->source = VALUE_PROP;
        definition->property = text + 6;
    } else {
        rc = json_name(&at, value_names, &index, err);
        if (rc == ERR_OK)
            definition->source = value_sources[index];
    }
    return rc == ERR_OK ? check_source(&at, definition, err) : rc;
}

static enum err_code read_attribute(const struct json_at *feature, struct definition *definition,
                                    struct err *err)
{
    struct json_at attribute = json_member(feature, "attribute");
    struct json_at column = json_member(feature, "column");
    struct json_at values = json_member(feature, "values");
    uint32_t index = 0;
    enum err_code rc = ERR_OK;
    if (definition->key != KEY_user && definition->key != KEY_item)
        return err_set(err, ERR_BAD_INPUT, "%s: only users and items have attributes",
                       feature->path);
    if ((attribute.value == NULL) == (column.value == NULL))
        return err_set(err, ERR_BAD_INPUT, "%s: needs either `attribute` or `column`",
                       feature->path);
    if (attribute.value != NULL) {
        definition->source = VALUE_PROP;
        rc = json_string(&attribute, &definition->property, err);
    } else if (definition->key == KEY_user) {
        rc = err_set(err, ERR_BAD_INPUT, "%s: only items have columns", column.path);
    } else {
        rc = json_name(&column, column_names, &index, err);
        definition->source = column_sources[index];
    }
    if (rc == ERR_OK)
        rc = definitions_read_numbers(&values, definition, err);
    if (rc == ERR_OK && source_is_id(definition->source) && definition->lists->value_count == 0)
        rc = err_set(err, ERR_BAD_INPUT, "%s: a %s needs `values`, the numbers it stands for",
                     feature->path, column_names[index]);
    return rc;
}

static enum err_code read_half_life(const struct json_at *feature, struct definition *definition,
                                    struct err *err)
{
    struct json_at at = json_member(feature, "half_life");
    if (at.value == NULL)
        return err_set(err, ERR_BAD_INPUT, "%s: missing", at.path);
    enum err_code rc = json_duration(&at, 1, YEAR_S, &definition->half_life_s, err);
    if (rc == ERR_OK)
        definition->halvings_per_s = 1.0 / definition->half_life_s;
    return rc;
}

static enum err_code read_last(const struct json_at *feature, struct definition *definition,
                               struct err *err)
{
    struct json_at at = json_member(feature, "n");
    int64_t count = 1;
    enum err_code rc =
        at.value == NULL ? ERR_OK : json_int(&at, 1, DEFINITION_LAST_MAX, &count, err);
    definition->last_count = (uint32_t)count;
    return rc;
}

static enum err_code read_precision(const struct json_at *feature, struct definition *definition,
                                    struct err *err)
{
    struct json_at at = json_member(feature, "precision");
    int64_t precision = PRECISION_DEFAULT;
    enum err_code rc =
        at.value == NULL ? ERR_OK
                         : json_int(&at, PRECISION_MIN, DEFINITION_PRECISION_MAX, &precision, err);
    definition->precision = (uint32_t)precision;
    return rc;
}

/* What the events of a feature say. */
static enum err_code read_aggregate(const struct json_at *feature, struct definition *definition,
                                    struct err *err)
{
    struct json_at events = json_member(feature, "events");
    struct json_at where = json_member(feature, "where");
    struct json_at window = json_member(feature, "window");
    struct json_at tile = json_member(feature, "tile");
    enum feature_kind kind = definition->kind;
    enum err_code rc = definitions_read_events(&events, definition, err);
    if (rc == ERR_OK)
        rc = definitions_read_where(&where, definition, err);
    bool takes_value =
        kind != FEATURE_KIND_count && kind != FEATURE_KIND_since && kind != FEATURE_KIND_interval;
    if (rc == ERR_OK && takes_value)
        rc = read_source(feature, definition, err);
    if (rc == ERR_OK && definition_is_tiled(definition))
        rc = definitions_read_window(&window, &tile, definition, err);
    if (rc == ERR_OK && kind == FEATURE_KIND_decayed)
        rc = read_half_life(feature, definition, err);
    if (rc == ERR_OK && kind == FEATURE_KIND_last)
        rc = read_last(feature, definition, err);
    if (rc == ERR_OK && kind == FEATURE_KIND_distinct)
        rc = read_precision(feature, definition, err);
    return rc;
}

static enum err_code read_feature(const struct json_at *at, struct definition *definition,
                                  struct definition_lists *lists, struct err *err)
{
    const char *name = at->value->string;
    uint32_t kind = 0;
    *definition = (struct definition){.fallback = NAN, .lists = lists};
    enum err_code rc = read_key(at, name, &definition->key, err);
    if (rc == ERR_OK)
        memcpy(definition->name, name, strlen(name) + 1);
    if (rc == ERR_OK && feature_builtin(text_of(name)) != NULL)
        rc = err_set(err, ERR_BAD_INPUT, "%s: is a feature of the store's own", at->path);
    if (rc == ERR_OK)
        rc = json_object(at, err);
    struct json_at member = json_member(at, "kind");
    if (rc == ERR_OK)
        rc = json_name(&member, kind_names, &kind, err);
    if (rc == ERR_OK)
        rc = json_only(at, kind_keys[kind], err);
    definition->kind = (enum feature_kind)kind;
    member = json_member(at, "default");
    if (rc == ERR_OK && member.value != NULL)
        rc = json_real(&member, -1e15, 1e15, &definition->fallback, err);
    member = json_member(at, "max_age");
    if (rc == ERR_OK)
        rc = json_duration(&member, 1, AGE_S_MAX, &definition->max_age_s, err);
    if (rc != ERR_OK || kind == FEATURE_KIND_ratio)
        return rc; /* the parts of a ratio: when all names are known */
    return kind == FEATURE_KIND_attribute ? read_attribute(at, definition, err)
                                          : read_aggregate(at, definition, err);
}

/* ---- the file -------------------------------------------------------------------------------- */

static enum err_code read_features(const char *name, const struct json_at *root,
                                   struct definitions *definitions, struct err *err)
{
    struct json_at features = json_member(root, "features");
    enum err_code rc = json_object(&features, err);
    if (rc != ERR_OK)
        return rc;
    int count = cJSON_GetArraySize(features.value);
    if (count > DEFINITIONS_MAX)
        return err_set(err, ERR_LIMIT, "%s: %d features of at most %d", features.path, count,
                       DEFINITIONS_MAX);
    definitions->definition = calloc((size_t)count + 1, sizeof *definitions->definition);
    definitions->lists = calloc((size_t)count + 1, sizeof *definitions->lists);
    if (definitions->definition == NULL || definitions->lists == NULL)
        return err_set(err, ERR_NOMEM, "%s: no memory for %d features", name, count);
    for (const cJSON *child = features.value->child; child != NULL && rc == ERR_OK;
         child = child->next) {
        struct json_at at = json_member(&features, child->string);
        rc = read_feature(&at, &definitions->definition[definitions->count],
                          &definitions->lists[definitions->count], err);
        definitions->count++;
    }
    if (rc == ERR_OK)
        rc = definitions_lay_out(&features, definitions, err);
    return rc == ERR_OK ? definitions_read_ratios(&features, definitions, err) : rc;
}

static enum err_code read_root(const char *name, const struct json_at *root,
                               struct definitions *definitions, struct err *err)
{
    static const char *const known[] = {"version", "features", NULL};
    struct json_at at = json_member(root, "version");
    const char *version = "unversioned";
    enum err_code rc = json_object(root, err);
    if (rc == ERR_OK)
        rc = json_only(root, known, err);
    if (rc == ERR_OK && at.value != NULL)
        rc = json_string(&at, &version, err);
    if (rc == ERR_OK && !file_is_plain_name(version))
        rc = err_set(err, ERR_BAD_INPUT,
                     "%s: expected 1..64 letters, digits, '.', '_' or '-', got '%.64s'", at.path,
                     version);
    if (rc != ERR_OK)
        return rc;
    memcpy(definitions->version, version, strlen(version) + 1);
    return read_features(name, root, definitions, err);
}

enum err_code definitions_parse(const char *name, const char *bytes, size_t len,
                                struct definitions **ret_definitions, struct err *err)
{
    if (len > DEFINITIONS_FILE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%s: longer than 1 MiB", name);
    cJSON *file = NULL;
    enum err_code rc = json_parse_placed(name, bytes, len, &file, err);
    if (rc != ERR_OK)
        return rc;
    struct definitions *definitions = calloc(1, sizeof *definitions);
    if (definitions == NULL) {
        cJSON_Delete(file);
        return err_set(err, ERR_NOMEM, "%s: no memory for the features", name);
    }
    uint8_t digest[SHA256_BYTES];
    sha256_of(bytes, len, digest);
    sha256_hex(digest, definitions->sha256);
    definitions->file = file;
    struct json_at root = json_root(name, file);
    rc = read_root(name, &root, definitions, err);
    if (rc == ERR_OK) {
        *ret_definitions = definitions;
        definitions = NULL;
    }
    definitions_destroy(&definitions);
    return rc;
}

enum err_code definitions_parse_file(const char *path, struct definitions **ret_definitions,
                                     struct err *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    enum err_code rc = file_read(path, DEFINITIONS_FILE_BYTES_MAX, &bytes, &len, err);
    if (rc == ERR_OK)
        rc = definitions_parse(path, (const char *)bytes, len, ret_definitions, err);
    free(bytes);
    return rc;
}
