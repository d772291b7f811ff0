/* SPDX-License-Identifier: Apache-2.0 */
/* Parses a map; how a row goes through it is in reader_row.c and reader_keep.c. */
#include "featurestore/reader_map.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "featurestore/event.h"
#include "featurestore/reader_map_parse.h"

#define END_OF_KEYS                       \
    {                                     \
        NULL, MAP_VALUE_TEXT, false, 0, 0 \
    }

enum { TEXT_BYTES_MAX = 1024, LIST_BYTES_MAX = 256, STOCK_MAX = 1000000000 };

static const struct map_key event_keys[] = {
    {"id", MAP_VALUE_ID, true, 1, EVENT_ID_BYTES_MAX},
    {"type", MAP_VALUE_TYPE, true, 0, 0},
    {"ts", MAP_VALUE_TIME, false, 0, EVENT_TS_MS_MAX},
    {"user", MAP_VALUE_ID, false, 1, ID_BYTES_MAX},
    {"anon", MAP_VALUE_ID, false, 1, ID_BYTES_MAX},
    {"session", MAP_VALUE_ID, false, 1, ID_BYTES_MAX},
    {"decision", MAP_VALUE_ID, false, 1, ID_BYTES_MAX},
    {"order", MAP_VALUE_ID, false, 1, ID_BYTES_MAX},
    {"query", MAP_VALUE_TEXT, false, 1, TEXT_BYTES_MAX},
    {"list", MAP_VALUE_TEXT, false, 1, LIST_BYTES_MAX},
    {"currency", MAP_VALUE_CURRENCY, false, 0, 0},
    {"total", MAP_VALUE_MONEY, false, -MONEY_MINOR_MAX, MONEY_MINOR_MAX},
    END_OF_KEYS,
};

static const struct map_key event_item_keys[] = {
    {"id", MAP_VALUE_ID, true, 1, ID_BYTES_MAX},
    {"qty", MAP_VALUE_INT, false, 1, 1000000},
    {"price", MAP_VALUE_MONEY, false, 0, MONEY_MINOR_MAX},
    {"pos", MAP_VALUE_INT, false, 0, 100000},
    END_OF_KEYS,
};

/* The section `items` is flat; on the wire these two stand beside the item. */
static const struct map_key upsert_keys[] = {
    {"ts", MAP_VALUE_TIME, false, 0, EVENT_TS_MS_MAX},
    {"currency", MAP_VALUE_CURRENCY, false, 0, 0},
    END_OF_KEYS,
};

static const struct map_key catalogue_keys[] = {
    {"id", MAP_VALUE_ID, true, 1, ID_BYTES_MAX},
    {"title", MAP_VALUE_TEXT, false, 1, EVENT_TITLE_BYTES_MAX},
    {"category", MAP_VALUE_ID, false, 1, ID_BYTES_MAX},
    {"brand", MAP_VALUE_ID, false, 1, ID_BYTES_MAX},
    {"price", MAP_VALUE_MONEY, false, 0, MONEY_MINOR_MAX},
    {"cost", MAP_VALUE_MONEY, false, 0, MONEY_MINOR_MAX},
    {"stock", MAP_VALUE_INT, false, -STOCK_MAX, STOCK_MAX},
    END_OF_KEYS,
};

static const struct map_key extra_key = {"", MAP_VALUE_TEXT, false, 1, TEXT_BYTES_MAX};

_Static_assert(sizeof event_keys / sizeof event_keys[0] <= MAP_FIELDS_MAX + 1,
               "the fields must hold every key");

enum err_code map_parse_texts(const struct json_at *at, bool is_object, const cJSON **ret_first,
                              struct err *err)
{
    int count = 0;
    enum err_code rc = is_object ? json_object(at, err) : json_array(at, &count, err);
    if (rc != ERR_OK)
        return rc;
    for (const cJSON *child = at->value->child; child != NULL; child = child->next) {
        if (!cJSON_IsString(child))
            return err_set(err, ERR_BAD_INPUT, "%s: expected texts only", at->path);
    }
    *ret_first = at->value->child;
    return ERR_OK;
}

bool map_column_number(struct reader_map *map, struct text name, uint32_t *ret_column)
{
    uint32_t i = 0;
    while (i < map->column_count && !text_equal(map->column[i], name))
        i++;
    if (i == MAP_COLUMNS_MAX)
        return false;
    if (i == map->column_count)
        map->column[map->column_count++] = name;
    *ret_column = i;
    return true;
}

/* A type that is written out must be one; what comes from a column is judged line by line. */
static enum err_code check_constant_type(const struct json_at *at, const struct map_template *text,
                                         struct err *err)
{
    static const char *const names[] = {
#define X(name, class) #name,
        EVENT_TYPES(X)
#undef X
            NULL};
    enum event_type type;
    bool is_constant = text->piece_count == 1 && text->piece[0].kind == MAP_LITERAL;
    if (!is_constant || event_type_parse(text->piece[0].literal, &type))
        return ERR_OK;
    const char *nearest = json_nearest(text->piece[0].literal, names);
    return err_set(err, ERR_BAD_INPUT, "%s: there is no type '%s'%s%s%s", at->path,
                   at->value->valuestring, nearest == NULL ? "" : ", did you mean '",
                   nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
}

/* Those of the keys that the object has, in the order of the table. */
static enum err_code parse_fields(struct reader_map *map, const struct json_at *object,
                                  const struct map_key *keys, struct map_fields *fields,
                                  struct err *err)
{
    for (const struct map_key *key = keys; key->key != NULL; key++) {
        struct json_at at = json_member(object, key->key);
        if (at.value == NULL && key->is_required)
            return err_set(err, ERR_BAD_INPUT, "%s: missing", at.path);
        if (at.value == NULL)
            continue;
        struct map_field *field = &fields->field[fields->count++];
        field->key = key;
        field->name = key->key;
        enum err_code rc = map_parse_template(map, &at, &field->text, err);
        if (rc == ERR_OK && key->is_required && field->text.piece_count == 0)
            rc = err_set(err, ERR_BAD_INPUT, "%s: expected a text, got an empty one", at.path);
        if (rc == ERR_OK && key->value == MAP_VALUE_TYPE)
            rc = check_constant_type(&at, &field->text, err);
        if (rc != ERR_OK)
            return rc;
        if (key->value == MAP_VALUE_CURRENCY)
            map->currency = field;
    }
    return ERR_OK;
}

/* `props` or `attributes`: names of the user's own choice. */
static enum err_code parse_extras(struct reader_map *map, const struct json_at *section,
                                  const char *key, struct err *err)
{
    struct json_at object = json_member(section, key);
    if (object.value == NULL)
        return ERR_OK;
    enum err_code rc = json_object(&object, err);
    if (rc != ERR_OK)
        return rc;
    for (const cJSON *child = object.value->child; child != NULL; child = child->next) {
        struct json_at at = json_member(&object, child->string);
        if (map->extra_count == MAP_EXTRAS_MAX)
            return err_set(err, ERR_LIMIT, "%s: one more than %d", at.path, MAP_EXTRAS_MAX);
        struct map_field *field = &map->extra[map->extra_count++];
        field->key = &extra_key;
        field->name = child->string;
        rc = map_parse_template(map, &at, &field->text, err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code parse_events(struct reader_map *map, const struct json_at *section,
                                  struct err *err)
{
    static const char *const known[] = {"id",       "type",     "ts",    "user",  "anon",
                                        "session",  "decision", "order", "query", "list",
                                        "currency", "total",    "items", "props", NULL};
    static const char *const known_item[] = {"id", "qty", "price", "pos", NULL};
    struct json_at items = json_member(section, "items");
    int item_count = 0;
    enum err_code rc = json_only(section, known, err);
    if (rc == ERR_OK)
        rc = parse_fields(map, section, event_keys, &map->outer, err);
    if (rc == ERR_OK)
        rc = parse_extras(map, section, "props", err);
    if (rc != ERR_OK || items.value == NULL)
        return rc;
    rc = json_array(&items, &item_count, err);
    if (rc != ERR_OK)
        return rc;
    if (item_count != 1)
        return err_set(err, ERR_BAD_INPUT, "%s: expected one item, got %d", items.path, item_count);
    struct json_at item = json_element(&items, 0);
    rc = json_object(&item, err);
    if (rc == ERR_OK)
        rc = json_only(&item, known_item, err);
    if (rc == ERR_OK)
        rc = parse_fields(map, &item, event_item_keys, &map->inner, err);
    map->has_item = true;
    return rc;
}

static enum err_code parse_items(struct reader_map *map, const struct json_at *section,
                                 struct err *err)
{
    static const char *const known[] = {"id",    "title", "category", "brand",      "price", "cost",
                                        "stock", "ts",    "currency", "attributes", NULL};
    enum err_code rc = json_only(section, known, err);
    if (rc == ERR_OK)
        rc = parse_fields(map, section, upsert_keys, &map->outer, err);
    if (rc == ERR_OK)
        rc = parse_fields(map, section, catalogue_keys, &map->inner, err);
    if (rc == ERR_OK)
        rc = parse_extras(map, section, "attributes", err);
    map->has_item = true;
    return rc;
}

static enum err_code parse_time(struct reader_map *map, const struct json_at *at, struct err *err)
{
    map->time_format = "iso";
    enum err_code rc = at->value == NULL ? ERR_OK : json_string(at, &map->time_format, err);
    if (rc != ERR_OK)
        return rc;
    const char *format = map->time_format;
    bool is_named =
        strcmp(format, "iso") == 0 || strcmp(format, "unix") == 0 || strcmp(format, "unix_ms") == 0;
    if (!is_named && (strchr(format, '%') == NULL || strstr(format, "%s") != NULL))
        return err_set(err, ERR_BAD_INPUT,
                       "%s: expected iso, unix, unix_ms or a pattern such as %%d/%%m/%%Y %%H:%%M",
                       at->path);
    return ERR_OK;
}

static enum err_code parse_money(struct reader_map *map, const struct json_at *at, struct err *err)
{
    const char *money = "decimal";
    enum err_code rc = at->value == NULL ? ERR_OK : json_string(at, &money, err);
    if (rc != ERR_OK)
        return rc;
    map->money_is_minor = strcmp(money, "minor") == 0;
    if (!map->money_is_minor && strcmp(money, "decimal") != 0)
        return err_set(err, ERR_BAD_INPUT, "%s: expected decimal or minor, got '%s'", at->path,
                       money);
    return ERR_OK;
}

static enum err_code parse_delimiter(struct reader_map *map, const struct json_at *at,
                                     struct err *err)
{
    const char *delimiter = ",";
    enum err_code rc = at->value == NULL ? ERR_OK : json_string(at, &delimiter, err);
    if (rc != ERR_OK)
        return rc;
    map->delimiter = delimiter[0];
    if (strlen(delimiter) != 1 || strchr("\"\r\n", delimiter[0]) != NULL)
        return err_set(err, ERR_BAD_INPUT, "%s: expected one character such as ; or \\t", at->path);
    return ERR_OK;
}

static enum err_code parse_map(struct reader_map *map, const struct json_at *root, struct err *err)
{
    static const char *const known[] = {"delimiter", "columns", "time",  "money", "types",
                                        "keep",      "events",  "items", NULL};
    struct json_at delimiter = json_member(root, "delimiter");
    struct json_at columns = json_member(root, "columns");
    struct json_at time = json_member(root, "time");
    struct json_at money = json_member(root, "money");
    struct json_at types = json_member(root, "types");
    struct json_at keep = json_member(root, "keep");
    bool is_events = map->kind == READER_EVENTS;
    struct json_at section = json_member(root, is_events ? "events" : "items");
    enum err_code rc = json_object(root, err);
    if (rc == ERR_OK)
        rc = json_only(root, known, err);
    if (rc == ERR_OK)
        rc = parse_delimiter(map, &delimiter, err);
    if (rc == ERR_OK && columns.value != NULL)
        rc = map_parse_texts(&columns, false, &map->header, err);
    if (rc == ERR_OK)
        rc = parse_time(map, &time, err);
    if (rc == ERR_OK)
        rc = parse_money(map, &money, err);
    if (rc == ERR_OK && types.value != NULL)
        rc = map_parse_texts(&types, true, &map->types, err);
    if (rc == ERR_OK)
        rc = map_parse_keep(map, &keep, err);
    if (rc == ERR_OK)
        rc = json_object(&section, err);
    if (rc == ERR_OK)
        rc = is_events ? parse_events(map, &section, err) : parse_items(map, &section, err);
    return rc;
}

enum err_code reader_map_parse(const char *name, const char *bytes, size_t len,
                               enum reader_kind kind, struct reader_map **ret_map, struct err *err)
{
    struct reader_map *map = calloc(1, sizeof *map);
    if (map == NULL)
        return err_set(err, ERR_NOMEM, "%s: out of memory", name);
    map->kind = kind;
    enum err_code rc = json_parse(name, bytes, len, &map->root, err);
    if (rc == ERR_OK) {
        struct json_at root = json_root(name, map->root);
        rc = parse_map(map, &root, err);
    }
    if (rc == ERR_OK) {
        *ret_map = map;
        map = NULL;
    }
    reader_map_destroy(&map);
    return rc;
}

enum err_code reader_map_read(const char *path, enum reader_kind kind, struct reader_map **ret_map,
                              struct err *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    enum err_code rc = file_read(path, MAP_BYTES_MAX, &bytes, &len, err);
    if (rc == ERR_OK)
        rc = reader_map_parse(path, (const char *)bytes, len, kind, ret_map, err);
    free(bytes);
    return rc;
}

void reader_map_destroy(struct reader_map **map)
{
    if (*map == NULL)
        return;
    cJSON_Delete((*map)->root);
    free(*map);
    *map = NULL;
}
