/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/config_retention.h"

#include <string.h>

#include "base/num.h"
#include "server/control/config.h"

#define HOUR_MS INT64_C(3600000)

static bool may_expire(enum event_type type)
{
    return type != EVENT_identify && type != EVENT_item_upsert && type != EVENT_item_delete &&
           type != EVENT_user_upsert && type != EVENT_consent && type != EVENT_forget;
}

/* The log knows that an event is of a type of the shop's own, but not of which. */
static bool find_type(struct text name, enum event_type *ret_type)
{
    *ret_type = EVENT_custom;
    return text_is(name, event_type_name(EVENT_custom)) ||
           (event_type_parse(name, ret_type) && *ret_type != EVENT_custom);
}

/* The fault, or NULL. */
static const char *parse(const char *value, enum event_type *ret_type, int64_t *ret_ms)
{
    const char *equals = strchr(value, '=');
    size_t len = strlen(value);
    int64_t count = 0;
    if (equals == NULL || !find_type((struct text){value, (uint32_t)(equals - value)}, ret_type))
        return "expected a type of event and how long it is kept, such as view=30d";
    if (!may_expire(*ret_type))
        return "events of this type say what holds until another one says otherwise: they have no "
               "retention of their own";
    int64_t hours = value[len - 1] == 'd' ? 24 : value[len - 1] == 'h' ? 1 : 0;
    struct text digits = {equals + 1, (uint32_t)(value + len - equals - 2)};
    if (hours == 0 || digits.len == 0 ||
        !num_parse_int(digits, 1, CONFIG_RETENTION_HOURS_MAX / hours, &count))
        return "expected a number of days or hours behind '=', such as 30d or 36h";
    *ret_ms = count * hours * HOUR_MS;
    return NULL;
}

const char *config_retention_fault(const char *value)
{
    enum event_type type;
    int64_t retain_ms;
    return parse(value, &type, &retain_ms);
}

enum err_code config_retention_check(const struct config_list *list, struct err *err)
{
    const char *first[EVENT_TYPE_COUNT] = {0};
    for (uint32_t i = 0; i < list->count; i++) {
        enum event_type type;
        int64_t retain_ms;
        const char *fault = parse(list->ptr[i], &type, &retain_ms);
        ASSERT(fault == NULL); /* each was checked when it was read */
        if (first[type] != NULL)
            return err_set(err, ERR_BAD_INPUT,
                           "event_retention[%u]: '%.100s' is of the type that '%.100s' is of", i,
                           list->ptr[i], first[type]);
        first[type] = list->ptr[i];
    }
    return ERR_OK;
}

void config_retentions(const struct config_list *list, int64_t ret_retain_ms[EVENT_TYPE_COUNT])
{
    memset(ret_retain_ms, 0, EVENT_TYPE_COUNT * sizeof ret_retain_ms[0]);
    for (uint32_t i = 0; i < list->count; i++) {
        enum event_type type;
        int64_t retain_ms;
        const char *fault = parse(list->ptr[i], &type, &retain_ms);
        ASSERT(fault == NULL); /* the configuration was checked */
        ret_retain_ms[type] = retain_ms;
    }
}
