/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/modes.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"

enum { MODE_FILE_BYTES_MAX = 65536 };

_Static_assert(LEVEL_COUNT <= 8, "a level takes three bits of modes.packed");

/* `for_ms` 0: no end. */
static void put_in_force(struct modes *modes, const struct mode *mode, int64_t for_ms)
{
    uint64_t end_ns =
        for_ms == 0 ? 0 : clock_now_ns(modes->clock) + (uint64_t)for_ms * UINT64_C(1000000);
    modes->mode = *mode;
    atomic_store_explicit(&modes->packed, end_ns << 3 | (uint64_t)mode->level,
                          memory_order_relaxed);
}

static enum err_code parse(const char *path, const cJSON *root, struct mode *ret_mode,
                           struct err *err)
{
    static const char *const known[] = {"level", "until_ms", "reason", NULL};
    struct json_at at = json_root(path, root);
    struct json_at level_at = json_member(&at, "level");
    struct json_at until_at = json_member(&at, "until_ms");
    struct json_at reason_at = json_member(&at, "reason");
    struct mode mode = {0};
    const char *level = NULL, *reason = "";
    enum err_code rc = json_only(&at, known, err);
    if (rc == ERR_OK)
        rc = json_string(&level_at, &level, err);
    if (rc == ERR_OK && !level_parse(text_of(level), &mode.level))
        rc = err_set(err, ERR_BAD_INPUT, "%s: there is no level '%.40s'", level_at.path, level);
    if (rc == ERR_OK)
        rc = json_int(&until_at, 0, INT64_C(1) << 52, &mode.until_ms, err);
    if (rc == ERR_OK)
        rc = json_string(&reason_at, &reason, err);
    if (rc != ERR_OK)
        return rc;
    text_copy(text_of(reason), mode.reason, sizeof mode.reason);
    *ret_mode = mode;
    return ERR_OK;
}

/* An end that is too far away means that the clock was set back: the mode then lasts as long as one
 * may at most. */
static void take_up(struct modes *modes, const struct mode *mode)
{
    int64_t left_ms = mode->until_ms - clock_wall_ms(modes->clock);
    if (mode->until_ms == 0)
        put_in_force(modes, mode, 0);
    else if (left_ms > 0)
        put_in_force(modes, mode, left_ms < MODES_FOR_MS_MAX ? left_ms : MODES_FOR_MS_MAX);
}

static enum err_code read_file(struct modes *modes, struct err *err)
{
    cJSON *root = NULL;
    struct mode mode;
    enum err_code rc = json_parse_file(modes->path, MODE_FILE_BYTES_MAX, &root, err);
    if (rc == ERR_NOT_FOUND)
        return ERR_OK;
    if (rc == ERR_OK)
        rc = parse(modes->path, root, &mode, err);
    if (rc == ERR_OK)
        take_up(modes, &mode);
    cJSON_Delete(root);
    return rc;
}

enum err_code modes_init(struct modes *modes, const char *data_dir, const struct clock *clock,
                         struct err *ret_warning, struct err *err)
{
    char path[FILE_PATH_BYTES];
    *modes = (struct modes){.clock = clock};
    ret_warning->code = ERR_OK;
    enum err_code rc = file_join(data_dir, "mode.json", path, sizeof path, err);
    if (rc != ERR_OK)
        return rc;
    modes->path = strdup(path);
    if (modes->path == NULL)
        return err_set(err, ERR_NOMEM, "no memory for '%s'", path);
    pthread_mutex_init(&modes->lock, NULL);
    ret_warning->code = read_file(modes, ret_warning);
    return ERR_OK;
}

void modes_deinit(struct modes *modes)
{
    if (modes->path == NULL)
        return;
    pthread_mutex_destroy(&modes->lock);
    free(modes->path);
    modes->path = NULL;
}

static enum err_code write_file(const char *path, const struct mode *mode, struct err *err)
{
    cJSON *root = cJSON_CreateObject();
    bool made = cJSON_AddStringToObject(root, "level", level_name(mode->level)) != NULL &&
                cJSON_AddNumberToObject(root, "until_ms", (double)mode->until_ms) != NULL &&
                cJSON_AddStringToObject(root, "reason", mode->reason) != NULL;
    char *text = made ? cJSON_Print(root) : NULL;
    enum err_code rc = text == NULL ? err_set(err, ERR_NOMEM, "no memory for '%s'", path)
                                    : file_write_atomic(path, text, strlen(text), err);
    cJSON_free(text);
    cJSON_Delete(root);
    return rc;
}

enum err_code modes_set(struct modes *modes, enum level level, int64_t for_ms, struct text reason,
                        struct err *err)
{
    struct mode mode = {.level = level};
    ASSERT(for_ms >= 0 && for_ms <= MODES_FOR_MS_MAX);
    if (for_ms > 0)
        mode.until_ms = clock_wall_ms(modes->clock) + for_ms;
    text_copy(reason, mode.reason, sizeof mode.reason);
    pthread_mutex_lock(&modes->lock);
    put_in_force(modes, &mode, for_ms);
    enum err_code rc = write_file(modes->path, &mode, err);
    pthread_mutex_unlock(&modes->lock);
    return rc;
}

static bool has_ended(const struct modes *modes)
{
    uint64_t end_ns = atomic_load_explicit(&modes->packed, memory_order_relaxed) >> 3;
    return end_ns != 0 && clock_now_ns(modes->clock) >= end_ns;
}

void modes_get(struct modes *modes, struct mode *ret_mode)
{
    pthread_mutex_lock(&modes->lock);
    if (has_ended(modes))
        *ret_mode = (struct mode){.level = LEVEL_full};
    else
        *ret_mode = modes->mode;
    pthread_mutex_unlock(&modes->lock);
}

bool modes_take_ended(struct modes *modes, struct mode *ret_mode)
{
    pthread_mutex_lock(&modes->lock);
    bool ended = has_ended(modes);
    if (ended) {
        struct mode full = {.level = LEVEL_full};
        *ret_mode = modes->mode;
        put_in_force(modes, &full, 0);
    }
    pthread_mutex_unlock(&modes->lock);
    return ended;
}
