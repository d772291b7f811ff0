/* SPDX-License-Identifier: Apache-2.0 */
/* config - the options of the daemon: one JSON file with comments, checked as a whole.
 *
 * Unknown keys are refused with the nearest name, values with path, expected and got.  Relative
 * paths are relative to the folder of the file.  Every value remembers where it came from.
 *
 * Threads: a config belongs to one thread at a time; it is constant while others read it.
 * Limits: 1 MiB, and those of the table (config_options.h). */
#ifndef SERVER_CONTROL_CONFIG_H
#define SERVER_CONTROL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "server/control/config_options.h"

#define CONFIG_FILE_BYTES_MAX ((size_t)1 << 20)

enum config_kind {
    CONFIG_INT,
    CONFIG_ADDRESSES,
    CONFIG_ADDRESS,
    CONFIG_DIR,
    CONFIG_FILE,
    CONFIG_IDS,
    CONFIG_RETENTIONS,
    CONFIG_KEYS,
    CONFIG_LEVEL,
    CONFIG_CHOICE
};

enum config_option_index {
#define X(kind, name, fallback, least, most, unit, change, help) OPTION_##name,
    CONFIG_OPTIONS(X)
#undef X
        OPTION_COUNT
};

enum config_origin { FROM_DEFAULT, FROM_FILE, FROM_COMMAND_LINE };

struct config_list {
    char **ptr; /* owned, as are the strings */
    uint32_t count;
};

#define CONFIG_FIELD_INT        int64_t
#define CONFIG_FIELD_ADDRESSES  struct config_list
#define CONFIG_FIELD_ADDRESS    char *
#define CONFIG_FIELD_DIR        char *
#define CONFIG_FIELD_FILE       char *
#define CONFIG_FIELD_IDS        struct config_list
#define CONFIG_FIELD_RETENTIONS struct config_list
#define CONFIG_FIELD_KEYS       struct config_list
#define CONFIG_FIELD_LEVEL      char *
#define CONFIG_FIELD_CHOICE     char *

struct config {
#define X(kind, name, fallback, least, most, unit, change, help) CONFIG_FIELD_##kind name;
    CONFIG_OPTIONS(X)
#undef X
    enum config_origin origin[OPTION_COUNT];
};

struct config_option {
    const char *name;
    enum config_kind kind;
    size_t offset; /* of the field in struct config */
    int64_t fallback_int;
    const char *fallback_text; /* of a list: its only element; NULL for an empty list */
    int64_t least, most;
    const char *unit;
    bool reloadable;
    const char *help;
};

extern const struct config_option config_options[OPTION_COUNT];

struct config_source {
    const char *path;     /* NULL: no file, all defaults */
    const char *data_dir; /* NULL, or what --data-dir said */
};

/* ERR_BAD_INPUT "decided.json: items_max: must be 1..16000000 (got 0)", ERR_NOT_FOUND, ERR_IO. */
MUST_CHECK enum err_code config_load(const struct config_source *source, struct config **ret_config,
                                     struct err *err);
/* The same from memory; `name` is a path, in whose folder relative paths begin. */
MUST_CHECK enum err_code config_parse(const char *name, const char *bytes, size_t len,
                                      const char *data_dir, struct config **ret_config,
                                      struct err *err);
void config_destroy(struct config **config); /* fine on a half-built one */

static inline const void *config_value(const struct config *config,
                                       const struct config_option *option)
{
    return (const char *)config + option->offset;
}

/* Whether the value is a list, a text or a number, whatever the kind says further. */
static inline bool config_is_list(const struct config_option *option)
{
    return option->kind == CONFIG_ADDRESSES || option->kind == CONFIG_IDS ||
           option->kind == CONFIG_RETENTIONS || option->kind == CONFIG_KEYS;
}

bool config_differs(const struct config *a, const struct config *b,
                    const struct config_option *option);
/* Exchanges the values of all reloadable options. */
void config_exchange_reloadable(struct config *a, struct config *b);

/* ---- config_text.c: the options as text; malloc'ed, the caller frees; NULL without memory ---- */

/* The effective values as a configuration file, each with a comment that says where it is from. */
char *config_dump(const struct config *config);
/* docs/configuration.md. */
char *config_dump_markdown(void);

/* ---- config_files.c: what the configuration refers to ---------------------------------------- */

/* Reads and parses the files named; ERR_BAD_INPUT and the like with their path.  Makes nothing. */
MUST_CHECK enum err_code config_check_files(const struct config *config, struct err *err);

#define CONFIG_DOUBTS_MAX 2
/* Folders that this user could not make or write (models_dir: make).  No errors, since the daemon
 * may run as another user.  Returns how many there are. */
uint32_t config_doubts(const struct config *config, struct err ret_doubts[CONFIG_DOUBTS_MAX]);

/* Which configuration it is: SHA-256 in hex of the effective values.  The policies and features
 * that count may be those of a release: registry_policies_sha256, registry_features_sha256. */
char *config_digest(const struct config *config, char ret_hex[SHA256_HEX_BYTES]);

#endif
