/* SPDX-License-Identifier: Apache-2.0 */
/* model canary: a version for a share of the people, within bounds; model shadow: a version that is
 * asked beside the stable one and compared. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/transcode.h"
#include "tools/cli/value.h"
#include "tools/ctl/args.h"
#include "tools/ctl/command.h"
#include "tools/ctl/model_table.h"

#define BODY_BYTES 1024

static const char shadow_usage[] = "shadow NAME [VERSION [--percent P]], or shadow NAME --stop";
static const char canary_usage[] = "canary NAME VERSION --percent P, or canary NAME --stop";

/* A number that the daemon judges: "5", "0.5", with a "%" where it is one of these. */
struct number {
    const char *option; /* without "--" */
    const char *key;    /* of the request */
    bool is_percent;
    const char *value; /* as given; NULL: left out */
};

struct body {
    struct pack pack;
    size_t mark;
    uint32_t pairs;
    uint8_t bytes[BODY_BYTES];
};

static void body_begin(struct body *body, const char *name)
{
    body->pack = pack_into(body->bytes, sizeof body->bytes);
    body->mark = pack_map_open(&body->pack);
    body->pairs = 1;
    pack_key(&body->pack, "name");
    pack_str(&body->pack, name);
}

static struct pack *body_key(struct body *body, const char *key)
{
    body->pairs++;
    pack_str(&body->pack, key);
    return &body->pack;
}

static int body_send(struct ctl *ctl, const char *op, struct body *body)
{
    pack_map_close(&body->pack, body->mark, body->pairs);
    return model_labels_ask(ctl, op, &body->pack);
}

static bool put_number(struct body *body, const struct number *number)
{
    double value = 0;
    if (number->value == NULL)
        return true;
    struct text text = text_of(number->value);
    if (number->is_percent && text.len > 0 && text.ptr[text.len - 1] == '%')
        text.len--;
    if (!num_parse_real(text, &value)) {
        ctl_usage("model", "--%s: expected a number, got '%s'", number->option, number->value);
        return false;
    }
    pack_real(body_key(body, number->key), value);
    return true;
}

int model_canary(struct ctl *ctl, int argc, char **argv)
{
    struct number number[] = {{"percent", "percent", true, NULL},
                              {"max-errors", "max_errors", true, NULL},
                              {"max-latency", "max_latency", false, NULL},
                              {"max-degraded", "max_degraded", false, NULL}};
    int64_t decisions_min = 0;
    uint64_t floor_us = UINT64_MAX;
    bool stops = false;
    const struct arg args[] = {{"percent", 0, ARG_TEXT, &number[0].value, 0, 0},
                               {"max-errors", 0, ARG_TEXT, &number[1].value, 0, 0},
                               {"max-latency", 0, ARG_TEXT, &number[2].value, 0, 0},
                               {"max-degraded", 0, ARG_TEXT, &number[3].value, 0, 0},
                               {"latency-floor", 0, ARG_DURATION, &floor_us, 0, 0},
                               {"min-decisions", 0, ARG_INT, &decisions_min, 1, 1000000000},
                               {"stop", 0, ARG_FLAG, &stops, 0, 0}};
    struct body body;
    int count =
        args_parse_count(ctl, argc, argv, args, sizeof args / sizeof args[0], 2, 3, canary_usage);
    if (count < 0)
        return EXIT_USAGE;
    if (stops ? count != 2 : count != 3 || number[0].value == NULL)
        return ctl_usage("model", "expected %s", canary_usage);
    body_begin(&body, argv[2]);
    if (stops) {
        pack_bool(body_key(&body, "stop"), true);
        return body_send(ctl, "model_canary", &body);
    }
    pack_str(body_key(&body, "version"), argv[3]);
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++) {
        if (!put_number(&body, &number[i]))
            return EXIT_USAGE;
    }
    if (floor_us != UINT64_MAX)
        pack_uint(body_key(&body, "latency_floor_us"), floor_us);
    if (decisions_min != 0)
        pack_int(body_key(&body, "min_decisions"), decisions_min);
    return body_send(ctl, "model_canary", &body);
}

static int print_json(struct cursor value)
{
    struct err err = {0};
    struct text bytes = {0};
    char *json = NULL;
    size_t len = 0;
    cursor_skip(&value, &bytes);
    if (transcode_to_json((const uint8_t *)bytes.ptr, bytes.len, 0, &json, &len, &err) != ERR_OK)
        return ctl_fail("model", "the reply cannot be shown: %s", err.text);
    puts(json);
    free(json);
    return EXIT_FINE;
}

/* What was compared so far. */
static int show_shadow(struct ctl *ctl, const char *name)
{
    struct decide_reply *reply = NULL;
    int code = ctl_call(ctl, "model_list", NULL, ctl->timeout_us, &reply);
    if (reply == NULL)
        return code;
    struct cursor model, at;
    bool found = false;
    for (uint32_t n = value_array(ctl_map(reply), "models", &at); n > 0 && !found; n--) {
        model = value_next(&at);
        found = text_is(value_text(model, "name"), name) &&
                text_is(value_text(model, "label"), "shadow");
    }
    code = EXIT_FINE;
    if (!found)
        code = ctl_fail("model", "'%s' has no shadow", name);
    else if (ctl->json)
        code = print_json(model);
    else
        model_shadow_print(model);
    decide_reply_free(reply);
    return code;
}

int model_shadow(struct ctl *ctl, int argc, char **argv)
{
    struct number percent = {"percent", "percent", true, NULL};
    bool stops = false;
    const struct arg args[] = {{"percent", 0, ARG_TEXT, &percent.value, 0, 0},
                               {"stop", 0, ARG_FLAG, &stops, 0, 0}};
    struct body body;
    int count =
        args_parse_count(ctl, argc, argv, args, sizeof args / sizeof args[0], 2, 3, shadow_usage);
    if (count < 0)
        return EXIT_USAGE;
    if (count == 2 ? percent.value != NULL : stops)
        return ctl_usage("model", "expected %s", shadow_usage);
    if (count == 2 && !stops)
        return show_shadow(ctl, argv[2]);
    body_begin(&body, argv[2]);
    if (stops)
        pack_bool(body_key(&body, "stop"), true);
    else
        pack_str(body_key(&body, "version"), argv[3]);
    if (!put_number(&body, &percent))
        return EXIT_USAGE;
    return body_send(ctl, "model_shadow", &body);
}
