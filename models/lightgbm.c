/* SPDX-License-Identifier: Apache-2.0 */
/* The head of the file, its trees one after the other, and what the objective makes of sums. */
#include "models/lightgbm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "models/lightgbm_internal.h"

/* ---- lines ----------------------------------------------------------------------------------- */

bool lightgbm_next_line(struct lightgbm_lines *lines)
{
    if (lines->at == lines->end)
        return false;
    const char *stop = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
    const char *behind = stop == NULL ? lines->end : stop + 1;
    size_t len = (size_t)((stop == NULL ? lines->end : stop) - lines->at);
    if (len > 0 && lines->at[len - 1] == '\r')
        len--;
    lines->line = (struct text){lines->at, (uint32_t)len};
    lines->at = behind;
    lines->number++;
    return true;
}

enum err_code lightgbm_fail(const struct lightgbm_lines *lines, enum err_code code, const char *fmt,
                            ...)
{
    char text[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return err_set(lines->err, code, "%s: line %u: %s", lines->file, lines->number, text);
}

void lightgbm_split(struct text line, struct text *ret_key, struct text *ret_value)
{
    const char *equals = memchr(line.ptr, '=', line.len);
    uint32_t key_len = equals == NULL ? line.len : (uint32_t)(equals - line.ptr);
    *ret_key = (struct text){line.ptr, key_len};
    *ret_value =
        equals == NULL ? (struct text){NULL, 0} : (struct text){equals + 1, line.len - key_len - 1};
}

bool lightgbm_next_token(struct text *rest, struct text *ret_token)
{
    const char *at = rest->ptr;
    if (rest->len == 0) {
        *ret_token = *rest;
        return false;
    }
    const char *end = at + rest->len;
    while (at < end && *at == ' ')
        at++;
    const char *begin = at;
    while (at < end && *at != ' ')
        at++;
    *ret_token = (struct text){begin, (uint32_t)(at - begin)};
    *rest = (struct text){at, (uint32_t)(end - at)};
    return at > begin;
}

enum err_code lightgbm_integer(const struct lightgbm_lines *lines, const char *key,
                               struct text value, int64_t min, int64_t max, int64_t *ret_value)
{
    if (num_parse_int(value, min, max, ret_value))
        return ERR_OK;
    return lightgbm_fail(lines, ERR_CORRUPT, "%s: expected an integer %lld..%lld, got '%.*s'", key,
                         (long long)min, (long long)max, value.len < 40 ? (int)value.len : 40,
                         value.len == 0 ? "" : value.ptr);
}

/* ---- the head -------------------------------------------------------------------------------- */

enum key {
    KEY_VERSION,
    KEY_NUM_CLASS,
    KEY_TREES_PER_ROUND,
    KEY_MAX_FEATURE,
    KEY_OBJECTIVE,
    KEY_AVERAGE,
    KEY_NAMES,
    KEY_TREE_SIZES,
    KEY_COUNT
};

struct head {
    struct lightgbm_lines *lines;
    struct text value[KEY_COUNT];
    bool is_there[KEY_COUNT];
    int64_t version;
    int64_t class_count, output_count;
};

static enum err_code collect(struct head *head)
{
    static const char *const names[KEY_COUNT] = {
        "version",   "num_class",      "num_tree_per_iteration", "max_feature_idx",
        "objective", "average_output", "feature_names",          "tree_sizes"};
    struct lightgbm_lines *lines = head->lines;
    while (lightgbm_next_line(lines)) {
        struct text key;
        struct text value;
        lightgbm_split(lines->line, &key, &value);
        if (text_is(key, "Tree") || text_is(key, "end of trees"))
            return ERR_OK;
        for (uint32_t i = 0; i < KEY_COUNT; i++) {
            if (!text_is(key, names[i]))
                continue;
            if (head->is_there[i])
                return lightgbm_fail(lines, ERR_CORRUPT, "%s stands twice", names[i]);
            head->is_there[i] = true;
            head->value[i] = value;
        }
    }
    return lightgbm_fail(lines, ERR_CORRUPT, "the file ends before its trees");
}

static enum err_code read_version(struct head *head)
{
    struct text value = head->value[KEY_VERSION];
    if (value.len == 2 && value.ptr[0] == 'v' && value.ptr[1] >= '2' && value.ptr[1] <= '4') {
        head->version = value.ptr[1] - '0';
        return ERR_OK;
    }
    return lightgbm_fail(head->lines, ERR_UNSUPPORTED, "version: expected v2 to v4, got '%.*s'",
                         value.len < 40 ? (int)value.len : 40, value.len == 0 ? "" : value.ptr);
}

static enum err_code read_names(struct head *head, struct forest *forest)
{
    struct text rest = head->value[KEY_NAMES];
    struct text token;
    uint32_t count = 0;
    if (!head->is_there[KEY_NAMES])
        return ERR_OK;
    forest->feature_name = calloc(forest->feature_count, sizeof *forest->feature_name);
    if (forest->feature_name == NULL)
        return lightgbm_fail(head->lines, ERR_NOMEM, "out of memory");
    while (lightgbm_next_token(&rest, &token)) {
        if (count == forest->feature_count || token.len >= FOREST_NAME_BYTES ||
            memchr(token.ptr, '\0', token.len) != NULL)
            return lightgbm_fail(head->lines, ERR_CORRUPT,
                                 "feature_names: expected %u names of at most %d bytes",
                                 forest->feature_count, FOREST_NAME_BYTES - 1);
        text_copy(token, forest->feature_name[count++], FOREST_NAME_BYTES);
    }
    return count == forest->feature_count
               ? ERR_OK
               : lightgbm_fail(head->lines, ERR_CORRUPT, "feature_names: expected %u names, got %u",
                               forest->feature_count, count);
}

static enum err_code read_head(struct head *head, struct forest *forest)
{
    int64_t max_feature = 0;
    enum err_code rc = collect(head);
    if (rc == ERR_OK)
        rc = read_version(head);
    if (rc == ERR_OK)
        rc = lightgbm_integer(head->lines, "num_class", head->value[KEY_NUM_CLASS], 1,
                              FOREST_OUTPUTS_MAX, &head->class_count);
    head->output_count = head->class_count;
    if (rc == ERR_OK && head->is_there[KEY_TREES_PER_ROUND])
        rc = lightgbm_integer(head->lines, "num_tree_per_iteration",
                              head->value[KEY_TREES_PER_ROUND], 1, FOREST_OUTPUTS_MAX,
                              &head->output_count);
    if (rc == ERR_OK)
        rc = lightgbm_integer(head->lines, "max_feature_idx", head->value[KEY_MAX_FEATURE], 0,
                              FOREST_FEATURES_MAX - 1, &max_feature);
    if (rc != ERR_OK)
        return rc;
    forest->feature_count = (uint32_t)max_feature + 1;
    forest->output_count = (uint32_t)head->output_count;
    return read_names(head, forest);
}

/* ---- the objective --------------------------------------------------------------------------- */

static const struct objective {
    const char *name;
    enum forest_transform transform;
    bool has_scale, has_classes;
} objectives[] = {
    {"binary", TRANSFORM_SIGMOID, true, false},
    {"multiclassova", TRANSFORM_SIGMOID, true, true},
    {"multiclass", TRANSFORM_SOFTMAX, false, true},
    {"cross_entropy", TRANSFORM_SIGMOID, false, false},
    {"xentropy", TRANSFORM_SIGMOID, false, false},
    {"cross_entropy_lambda", TRANSFORM_LOG1P_EXP, false, false},
    {"xentlambda", TRANSFORM_LOG1P_EXP, false, false},
    {"poisson", TRANSFORM_EXP, false, false},
    {"gamma", TRANSFORM_EXP, false, false},
    {"tweedie", TRANSFORM_EXP, false, false},
    {"regression", TRANSFORM_NONE, false, false},
    {"regression_l1", TRANSFORM_NONE, false, false},
    {"huber", TRANSFORM_NONE, false, false},
    {"fair", TRANSFORM_NONE, false, false},
    {"quantile", TRANSFORM_NONE, false, false},
    {"mape", TRANSFORM_NONE, false, false},
    {"lambdarank", TRANSFORM_NONE, false, false},
    {"rank_xendcg", TRANSFORM_NONE, false, false},
    {"custom", TRANSFORM_NONE, false, false},
    {"none", TRANSFORM_NONE, false, false},
};

static bool is_after(struct text token, const char *prefix, struct text *ret_value)
{
    uint32_t len = (uint32_t)strlen(prefix);
    if (token.len < len || memcmp(token.ptr, prefix, len) != 0)
        return false;
    *ret_value = (struct text){token.ptr + len, token.len - len};
    return true;
}

static enum err_code read_settings(const struct head *head, const struct objective *objective,
                                   struct text rest, struct forest *forest)
{
    bool has_scale = false;
    int64_t class_count = 1;
    struct text token;
    struct text value;
    while (lightgbm_next_token(&rest, &token)) {
        if (is_after(token, "sigmoid:", &value) && objective->has_scale) {
            has_scale = num_parse_real(value, &forest->scale) && forest->scale > 0.0;
            if (!has_scale)
                return lightgbm_fail(head->lines, ERR_CORRUPT,
                                     "objective: sigmoid: expected a number above 0");
        } else if (is_after(token, "num_class:", &value) &&
                   !num_parse_int(value, 1, FOREST_OUTPUTS_MAX, &class_count)) {
            return lightgbm_fail(head->lines, ERR_CORRUPT, "objective: num_class: expected 1..%d",
                                 FOREST_OUTPUTS_MAX);
        } else if (text_is(token, "sqrt") && objective->transform == TRANSFORM_NONE) {
            forest->transform = TRANSFORM_SQUARE;
        }
    }
    if (objective->has_scale && !has_scale)
        return lightgbm_fail(head->lines, ERR_CORRUPT, "objective: %s has no sigmoid",
                             objective->name);
    if (objective->has_classes && class_count != head->output_count)
        return lightgbm_fail(head->lines, ERR_CORRUPT,
                             "objective: num_class is %lld, num_tree_per_iteration %lld",
                             (long long)class_count, (long long)head->output_count);
    return ERR_OK;
}

static enum err_code read_objective(const struct head *head, struct forest *forest)
{
    struct text rest = head->value[KEY_OBJECTIVE];
    struct text name;
    if (!head->is_there[KEY_OBJECTIVE])
        return ERR_OK;
    lightgbm_next_token(&rest, &name);
    for (size_t i = 0; i < sizeof objectives / sizeof *objectives; i++) {
        if (text_is(name, objectives[i].name)) {
            forest->transform = objectives[i].transform;
            return read_settings(head, &objectives[i], rest, forest);
        }
    }
    return lightgbm_fail(head->lines, ERR_UNSUPPORTED, "objective: '%.*s' is not supported",
                         name.len < 40 ? (int)name.len : 40, name.len == 0 ? "" : name.ptr);
}

static enum err_code read_average(const struct head *head, enum forest_average average,
                                  struct forest *forest)
{
    forest->averages = head->is_there[KEY_AVERAGE];
    if (!forest->averages || head->version > 2)
        return average == FOREST_AVERAGE_UNKNOWN
                   ? ERR_OK
                   : lightgbm_fail(head->lines, ERR_CORRUPT,
                                   "average_is_output is for random forests of version v2 alone");
    if (average == FOREST_AVERAGE_UNKNOWN)
        return lightgbm_fail(head->lines, ERR_UNSUPPORTED,
                             "average_output with version=v2 is ambiguous: give the parameter "
                             "average_is_output, 1 when LightGBM 2.2.2 or older wrote the file, "
                             "0 when 2.2.3 did");
    if (average == FOREST_AVERAGE_IS_OUTPUT)
        forest->transform = TRANSFORM_NONE;
    return ERR_OK;
}

/* ---- trees ----------------------------------------------------------------------------------- */

/* The line that follows the trees; "Tree=" and "end of trees" as well as what old versions have. */
static enum err_code read_trees(struct head *head, struct forest *forest)
{
    struct lightgbm_lines *lines = head->lines;
    do {
        struct text key;
        struct text value;
        int64_t number = 0;
        lightgbm_split(lines->line, &key, &value);
        if (lines->line.len == 0)
            continue;
        if (text_is(lines->line, "end of trees") ||
            (head->version == 2 && text_is(lines->line, "feature importances:")))
            return ERR_OK;
        if (!text_is(key, "Tree"))
            return lightgbm_fail(lines, ERR_CORRUPT, "expected Tree=%u or 'end of trees'",
                                 forest->tree_count);
        enum err_code rc =
            lightgbm_integer(lines, "Tree", value, forest->tree_count, forest->tree_count, &number);
        if (rc == ERR_OK)
            rc = lightgbm_read_tree(lines, forest, forest->tree_count % forest->output_count);
        if (rc != ERR_OK)
            return rc;
    } while (lightgbm_next_line(lines));
    return lightgbm_fail(lines, ERR_CORRUPT, "the file ends without 'end of trees'");
}

static enum err_code check_trees(const struct head *head, struct forest *forest)
{
    struct text rest = head->value[KEY_TREE_SIZES];
    struct text token;
    uint32_t size_count = 0;
    while (head->is_there[KEY_TREE_SIZES] && lightgbm_next_token(&rest, &token))
        size_count++;
    if (head->is_there[KEY_TREE_SIZES] && size_count != forest->tree_count)
        return lightgbm_fail(head->lines, ERR_CORRUPT, "tree_sizes has %u numbers for %u trees",
                             size_count, forest->tree_count);
    if (forest->tree_count % forest->output_count != 0 || forest->tree_count == 0)
        return lightgbm_fail(head->lines, ERR_CORRUPT,
                             "%u trees are no whole number of rounds of %u trees",
                             forest->tree_count, forest->output_count);
    forest->round_count = forest->tree_count / forest->output_count;
    forest->round_end = malloc(forest->round_count * sizeof *forest->round_end);
    if (forest->round_end == NULL)
        return lightgbm_fail(head->lines, ERR_NOMEM, "out of memory");
    for (uint32_t r = 0; r < forest->round_count; r++)
        forest->round_end[r] = (r + 1) * forest->output_count;
    return ERR_OK;
}

enum err_code lightgbm_read(const char *name, const void *bytes, size_t len,
                            enum forest_average average, struct forest **ret_forest,
                            struct err *err)
{
    struct lightgbm_lines lines = {
        .file = name, .at = bytes, .end = (const char *)bytes + len, .err = err};
    struct head head = {.lines = &lines};
    struct forest *forest = NULL;
    if (len > UINT32_MAX)
        return err_set(err, ERR_LIMIT, "%s: longer than 4 GiB", name);
    enum err_code rc = forest_create(FOREST_LIGHTGBM, &forest, err);
    if (rc == ERR_OK && (!lightgbm_next_line(&lines) || !text_is(lines.line, "tree")))
        rc = lightgbm_fail(&lines, ERR_CORRUPT, "expected 'tree' in the first line");
    if (rc == ERR_OK)
        rc = read_head(&head, forest);
    if (rc == ERR_OK)
        rc = read_objective(&head, forest);
    if (rc == ERR_OK)
        rc = read_average(&head, average, forest);
    if (rc == ERR_OK)
        rc = read_trees(&head, forest);
    if (rc == ERR_OK)
        rc = check_trees(&head, forest);
    if (rc == ERR_OK) {
        *ret_forest = forest;
        forest = NULL;
    }
    forest_destroy(&forest);
    return rc;
}
