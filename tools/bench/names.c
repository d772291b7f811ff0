/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tools/bench/zipf.h"

enum { GENERATED_BYTES_MAX = 24 };

static enum err_code add_lines(struct names *names, const char *path, size_t len, struct err *err)
{
    const char *end = names->bytes + len;
    uint64_t line = 0;
    for (const char *at = names->bytes; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline == NULL ? end : newline;
        size_t length = (size_t)(stop - at);
        line++;
        if (length > 0 && at[length - 1] == '\r')
            length--;
        struct text id = {at, (uint32_t)(length > ID_BYTES_MAX ? ID_BYTES_MAX + 1 : length)};
        if (length > 0 && !text_is_id(id))
            return err_set(err, ERR_BAD_INPUT,
                           "%s:%llu: expected an id of 1..%d bytes of UTF-8 without control "
                           "characters",
                           path, (unsigned long long)line, ID_BYTES_MAX);
        if (length > 0 && names->count == ZIPF_COUNT_MAX)
            return err_set(err, ERR_LIMIT, "%s: more than %d ids", path, ZIPF_COUNT_MAX);
        if (length > 0)
            names->texts[names->count++] = id;
        at = stop + 1;
    }
    if (names->count == 0)
        return err_set(err, ERR_BAD_INPUT, "%s: holds no id", path);
    return ERR_OK;
}

enum err_code names_read(struct names *names, const char *path, struct err *err)
{
    *names = (struct names){0};
    uint8_t *bytes = NULL;
    size_t len = 0;
    enum err_code rc = file_read(path, NAMES_FILE_BYTES_MAX, &bytes, &len, err);
    if (rc != ERR_OK)
        return rc;
    names->bytes = (char *)bytes;
    size_t line_count = 1;
    for (size_t i = 0; i < len; i++)
        line_count += bytes[i] == '\n';
    names->texts = calloc(line_count, sizeof *names->texts);
    rc = names->texts == NULL ? err_set(err, ERR_NOMEM, "%s: out of memory", path)
                              : add_lines(names, path, len, err);
    if (rc != ERR_OK)
        names_deinit(names);
    return rc;
}

enum err_code names_generate(struct names *names, const char *prefix, uint32_t count,
                             struct err *err)
{
    *names = (struct names){.bytes = calloc(count, GENERATED_BYTES_MAX),
                            .texts = calloc(count, sizeof *names->texts)};
    if (names->bytes == NULL || names->texts == NULL) {
        names_deinit(names);
        return err_set(err, ERR_NOMEM, "out of memory for %u names", count);
    }
    for (; names->count < count; names->count++) {
        char *name = names->bytes + (size_t)names->count * GENERATED_BYTES_MAX;
        int len = snprintf(name, GENERATED_BYTES_MAX, "%s%u", prefix, names->count + 1);
        names->texts[names->count] = (struct text){name, (uint32_t)len};
    }
    return ERR_OK;
}

void names_deinit(struct names *names)
{
    free(names->bytes);
    free(names->texts);
    *names = (struct names){0};
}
