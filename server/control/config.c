/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "featurestore/event_log.h"
#include "server/control/config_address.h"
#include "server/control/config_keys.h"
#include "server/control/config_retention.h"

#define FALLBACK_INT(value)        .fallback_int = (value)
#define FALLBACK_ADDRESSES(value)  .fallback_text = (value)
#define FALLBACK_ADDRESS(value)    .fallback_text = (value)
#define FALLBACK_DIR(value)        .fallback_text = (value)
#define FALLBACK_FILE(value)       .fallback_text = (value)
#define FALLBACK_IDS(value)        .fallback_text = (value)
#define FALLBACK_RETENTIONS(value) .fallback_text = (value)
#define FALLBACK_KEYS(value)       .fallback_text = (value)
#define FALLBACK_LEVEL(value)      .fallback_text = (value)
#define FALLBACK_CHOICE(value)     .fallback_text = (value)
#define CHANGE_RELOAD              true
#define CHANGE_RESTART             false

const struct config_option config_options[OPTION_COUNT] = {
#define X(kind_, name_, fallback, least_, most_, unit_, change, help_) \
    {.name = #name_,                                                   \
     .kind = CONFIG_##kind_,                                           \
     .offset = offsetof(struct config, name_),                         \
     FALLBACK_##kind_(fallback),                                       \
     .least = (least_),                                                \
     .most = (most_),                                                  \
     .unit = (unit_),                                                  \
     .reloadable = CHANGE_##change,                                    \
     .help = (help_)},
    CONFIG_OPTIONS(X)
#undef X
};

/* What a value is read with. */
struct reading {
    struct config *config;
    const char *folder; /* of the file */
};

static void *field_of(struct config *config, const struct config_option *option)
{
    return (char *)config + option->offset;
}

static void list_free(struct config_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        free(list->ptr[i]);
    free(list->ptr);
    *list = (struct config_list){0};
}

void config_destroy(struct config **config)
{
    if (*config == NULL)
        return;
    for (uint32_t i = 0; i < OPTION_COUNT; i++) {
        void *field = field_of(*config, &config_options[i]);
        if (config_is_list(&config_options[i]))
            list_free(field);
        else if (config_options[i].kind != CONFIG_INT)
            free(*(char **)field);
    }
    free(*config);
    *config = NULL;
}

static enum err_code text_set(const char *value, char **field, struct err *err)
{
    char *copy = strdup(value);
    if (copy == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the configuration");
    free(*field);
    *field = copy;
    return ERR_OK;
}

static enum err_code path_set(const char *folder, const char *value, char **field, struct err *err)
{
    char path[FILE_PATH_BYTES];
    if (value[0] == '\0' || value[0] == '/' || folder[0] == '\0')
        return text_set(value, field, err);
    enum err_code rc = file_join(folder, value, path, sizeof path, err);
    return rc == ERR_OK ? text_set(path, field, err) : rc;
}

/* What the text should have been, or NULL when it is that. */
static const char *text_fault(const struct config_option *option, const char *value)
{
    enum log_level level;
    switch (option->kind) {
    case CONFIG_ADDRESSES: return config_listen_fault(value);
    case CONFIG_ADDRESS: return config_http_fault(value);
    case CONFIG_IDS: return text_is_id(text_of(value)) ? NULL : "expected an id of 1..128 bytes";
    case CONFIG_RETENTIONS: return config_retention_fault(value);
    case CONFIG_LEVEL:
        return log_level_parse(value, &level) == ERR_OK ? NULL
                                                        : "expected debug, info, warn or error";
    case CONFIG_KEYS: return config_key_fault(value);
    case CONFIG_INT:
    case CONFIG_CHOICE:
    case CONFIG_DIR:
    case CONFIG_FILE: break;
    }
    return NULL;
}

/* `words` are separated by blanks. */
static bool is_among(const char *words, const char *value)
{
    size_t len = strlen(value);
    for (const char *word = words; *word != '\0';) {
        size_t word_len = strcspn(word, " ");
        if (word_len == len && memcmp(word, value, len) == 0)
            return true;
        word += word_len + (word[word_len] == ' ');
    }
    return false;
}

static enum err_code text_check(const struct json_at *at, const struct config_option *option,
                                const char *value, struct err *err)
{
    const char *fault = text_fault(option, value);
    if (option->kind == CONFIG_CHOICE && !is_among(option->unit, value))
        return err_set(err, ERR_BAD_INPUT, "%s: expected one of '%s', got '%.100s'", at->path,
                       option->unit, value);
    if (fault != NULL)
        return err_set(err, ERR_BAD_INPUT, "%s: %s, got '%.100s'", at->path, fault, value);
    return ERR_OK;
}

static enum err_code read_text(const struct json_at *at, const struct config_option *option,
                               const struct reading *reading, char **field, struct err *err)
{
    const char *value = NULL;
    enum err_code rc = json_string(at, &value, err);
    if (rc != ERR_OK)
        return rc;
    size_t len = strlen(value);
    if (len < (size_t)option->least || len > (size_t)option->most)
        return err_set(err, ERR_BAD_INPUT, "%s: expected %lld..%lld bytes, got %zu", at->path,
                       (long long)option->least, (long long)option->most, len);
    rc = text_check(at, option, value, err);
    if (rc != ERR_OK)
        return rc;
    if (option->kind == CONFIG_DIR || option->kind == CONFIG_FILE)
        return path_set(reading->folder, value, field, err);
    return text_set(value, field, err);
}

static enum err_code list_append(struct config_list *list, const char *value,
                                 const struct json_at *at, struct err *err)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (strcmp(list->ptr[i], value) == 0)
            return err_set(err, ERR_BAD_INPUT, "%s: '%.100s' is given twice", at->path, value);
    }
    list->ptr[list->count] = strdup(value);
    if (list->ptr[list->count] == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the configuration");
    list->count++;
    return ERR_OK;
}

/* A key that is given by its path. */
static enum err_code list_append_path(struct config_list *list, const char *folder,
                                      const char *value, const struct json_at *at, struct err *err)
{
    char *path = NULL;
    enum err_code rc = path_set(folder, value, &path, err);
    if (rc == ERR_OK)
        rc = list_append(list, path, at, err);
    free(path);
    return rc;
}

static enum err_code read_list(const struct json_at *at, const struct config_option *option,
                               const struct reading *reading, struct config_list *field,
                               struct err *err)
{
    int count = 0;
    enum err_code rc = json_array(at, &count, err);
    if (rc != ERR_OK)
        return rc;
    if (count < option->least || count > option->most)
        return err_set(err, ERR_BAD_INPUT, "%s: expected %lld..%lld %s, got %d", at->path,
                       (long long)option->least, (long long)option->most, option->unit, count);
    list_free(field);
    field->ptr = calloc((size_t)count + 1, sizeof field->ptr[0]);
    if (field->ptr == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the configuration");
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at element = json_element(at, i);
        const char *value = NULL;
        rc = json_string(&element, &value, err);
        if (rc == ERR_OK)
            rc = text_check(&element, option, value, err);
        if (rc == ERR_OK && option->kind == CONFIG_KEYS && !minisign_is_key_text(value))
            rc = list_append_path(field, reading->folder, value, &element, err);
        else if (rc == ERR_OK)
            rc = list_append(field, value, &element, err);
    }
    return rc;
}

static enum err_code read_option(const struct json_at *at, const struct config_option *option,
                                 const struct reading *reading, struct err *err)
{
    void *field = field_of(reading->config, option);
    if (option->kind == CONFIG_INT)
        return json_int(at, option->least, option->most, field, err);
    if (config_is_list(option))
        return read_list(at, option, reading, field, err);
    return read_text(at, option, reading, field, err);
}

static enum err_code set_defaults(struct config *config, struct err *err)
{
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < OPTION_COUNT && rc == ERR_OK; i++) {
        const struct config_option *option = &config_options[i];
        void *field = field_of(config, option);
        if (option->kind == CONFIG_INT) {
            *(int64_t *)field = option->fallback_int;
        } else if (!config_is_list(option)) {
            rc = text_set(option->fallback_text, field, err);
        } else {
            struct config_list *list = field;
            struct json_at at = {0};
            list->ptr = calloc(1, sizeof list->ptr[0]);
            if (list->ptr == NULL)
                rc = err_set(err, ERR_NOMEM, "no memory for the configuration");
            else if (option->fallback_text != NULL)
                rc = list_append(list, option->fallback_text, &at, err);
        }
    }
    return rc;
}

static enum err_code read_file(const char *name, const char *bytes, size_t len,
                               const struct reading *reading, struct err *err)
{
    const char *known[OPTION_COUNT + 1] = {0};
    cJSON *root = NULL;
    enum err_code rc = json_parse(name, bytes, len, &root, err);
    if (rc != ERR_OK)
        return rc;
    for (uint32_t i = 0; i < OPTION_COUNT; i++)
        known[i] = config_options[i].name;
    struct json_at at = json_root(name, root);
    rc = json_only(&at, known, err);
    for (uint32_t i = 0; i < OPTION_COUNT && rc == ERR_OK; i++) {
        struct json_at member = json_member(&at, config_options[i].name);
        if (member.value == NULL)
            continue;
        rc = read_option(&member, &config_options[i], reading, err);
        reading->config->origin[i] = FROM_FILE;
    }
    cJSON_Delete(root);
    return rc;
}

static enum err_code check_log_bytes(const char *option, int64_t bytes, struct err *err)
{
    if (bytes == 0 || bytes >= (int64_t)EVENT_LOG_BYTES_MIN)
        return ERR_OK;
    return err_set(err, ERR_BAD_INPUT,
                   "%s: expected 0 (no log) or %" PRIu64 " bytes or more, got %" PRId64, option,
                   EVENT_LOG_BYTES_MIN, bytes);
}

/* What depends on other values. */
static enum err_code complete(struct config *config, const char *data_dir, struct err *err)
{
    enum err_code rc = ERR_OK;
    if (data_dir != NULL && data_dir[0] == '\0')
        return err_set(err, ERR_BAD_INPUT, "--data-dir: expected a path, got nothing");
    if (data_dir != NULL) {
        rc = text_set(data_dir, &config->data_dir, err);
        config->origin[OPTION_data_dir] = FROM_COMMAND_LINE;
    }
    for (uint32_t i = 0; rc == ERR_OK && i < config->listen.count; i++) {
        if (strncmp(config->listen.ptr[i], "tls+", 4) == 0 &&
            config->tls_certificate_file[0] == '\0')
            rc = err_set(err, ERR_BAD_INPUT, "listen[%u]: '%.100s' needs tls_certificate_file", i,
                         config->listen.ptr[i]);
        else if (config_addresses_clash(config->listen.ptr[i], config->http))
            rc = err_set(err, ERR_BAD_INPUT, "http: '%.100s' has the port of listen[%u], '%.100s'",
                         config->http, i, config->listen.ptr[i]);
    }
    if (rc == ERR_OK)
        rc = check_log_bytes("event_log_bytes_max", config->event_log_bytes_max, err);
    if (rc == ERR_OK)
        rc = check_log_bytes("decision_log_bytes_max", config->decision_log_bytes_max, err);
    if (rc == ERR_OK)
        rc = config_retention_check(&config->event_retention, err);
    if (rc == ERR_OK && config->queue_delay_target_us > config->queue_delay_max_us)
        rc = err_set(err, ERR_BAD_INPUT,
                     "queue_delay_target_us: expected at most queue_delay_max_us, %" PRId64
                     ", got %" PRId64,
                     config->queue_delay_max_us, config->queue_delay_target_us);
    if (rc == ERR_OK && config->models_dir[0] == '\0')
        rc = path_set(config->data_dir, "models", &config->models_dir, err);
    if (rc == ERR_OK && strcmp(config->models_dir, config->data_dir) == 0)
        rc = err_set(err, ERR_BAD_INPUT,
                     "models_dir: '%.200s' is data_dir, whose folders are no models",
                     config->models_dir);
    return rc;
}

/* "." for a name without a folder, "" for no name. */
static void folder_of(const char *name, char folder[FILE_PATH_BYTES])
{
    const char *slash = name == NULL ? NULL : strrchr(name, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - name) + (slash == name);
    text_copy((struct text){name, (uint32_t)len}, folder, FILE_PATH_BYTES);
}

enum err_code config_parse(const char *name, const char *bytes, size_t len, const char *data_dir,
                           struct config **ret_config, struct err *err)
{
    char folder[FILE_PATH_BYTES] = "";
    struct config *config = calloc(1, sizeof *config);
    if (config == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the configuration");
    folder_of(name, folder);
    struct reading reading = {config, folder};
    enum err_code rc = set_defaults(config, err);
    if (rc == ERR_OK && bytes != NULL)
        rc = read_file(name, bytes, len, &reading, err);
    if (rc == ERR_OK)
        rc = complete(config, data_dir, err);
    if (rc != ERR_OK)
        config_destroy(&config);
    else
        *ret_config = config;
    return rc;
}

enum err_code config_load(const struct config_source *source, struct config **ret_config,
                          struct err *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    if (source->path == NULL)
        return config_parse(NULL, NULL, 0, source->data_dir, ret_config, err);
    enum err_code rc = file_read(source->path, CONFIG_FILE_BYTES_MAX, &bytes, &len, err);
    if (rc == ERR_OK)
        rc =
            config_parse(source->path, (const char *)bytes, len, source->data_dir, ret_config, err);
    free(bytes);
    return rc;
}

bool config_differs(const struct config *a, const struct config *b,
                    const struct config_option *option)
{
    const void *left = config_value(a, option), *right = config_value(b, option);
    if (option->kind == CONFIG_INT)
        return *(const int64_t *)left != *(const int64_t *)right;
    if (!config_is_list(option))
        return strcmp(*(char *const *)left, *(char *const *)right) != 0;
    const struct config_list *one = left, *other = right;
    bool differs = one->count != other->count;
    for (uint32_t i = 0; i < one->count && !differs; i++)
        differs = strcmp(one->ptr[i], other->ptr[i]) != 0;
    return differs;
}

void config_exchange_reloadable(struct config *a, struct config *b)
{
    for (uint32_t i = 0; i < OPTION_COUNT; i++) {
        const struct config_option *option = &config_options[i];
        char kept[sizeof(struct config_list)];
        size_t bytes = config_is_list(option) ? sizeof(struct config_list) : sizeof(int64_t);
        if (!option->reloadable)
            continue;
        _Static_assert(sizeof(char *) == sizeof(int64_t), "texts and numbers are exchanged alike");
        memcpy(kept, field_of(a, option), bytes);
        memcpy(field_of(a, option), field_of(b, option), bytes);
        memcpy(field_of(b, option), kept, bytes);
        enum config_origin origin = a->origin[i];
        a->origin[i] = b->origin[i];
        b->origin[i] = origin;
    }
}
