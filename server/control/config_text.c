/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "base/buffer.h"
#include "base/text.h"
#include "server/control/config.h"

static const char *const origin_names[] = {"default", "file", "command line"};

static void put_json_text(struct buffer *buffer, const char *text)
{
    buffer_put_char(buffer, '"');
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            buffer_put_char(buffer, '\\');
        if (byte < 0x20)
            buffer_put_fmt(buffer, "\\u%04x", byte);
        else
            buffer_put_char(buffer, *text);
    }
    buffer_put_char(buffer, '"');
}

static void put_value(struct buffer *buffer, const struct config *config,
                      const struct config_option *option)
{
    const void *value = config_value(config, option);
    if (option->kind == CONFIG_INT) {
        buffer_put_fmt(buffer, "%" PRId64, *(const int64_t *)value);
        return;
    }
    if (!config_is_list(option)) {
        put_json_text(buffer, *(char *const *)value);
        return;
    }
    const struct config_list *list = value;
    buffer_put_char(buffer, '[');
    for (uint32_t i = 0; i < list->count; i++) {
        buffer_put_str(buffer, i == 0 ? "" : ", ");
        put_json_text(buffer, list->ptr[i]);
    }
    buffer_put_char(buffer, ']');
}

char *config_dump(const struct config *config)
{
    struct buffer buffer = {0};
    size_t len;
    buffer_put_str(&buffer, "{\n");
    for (uint32_t i = 0; i < OPTION_COUNT; i++) {
        const struct config_option *option = &config_options[i];
        buffer_put_fmt(&buffer, "  \"%s\": ", option->name);
        put_value(&buffer, config, option);
        buffer_put_fmt(&buffer, "%s // %s\n", i + 1 < OPTION_COUNT ? "," : "",
                       origin_names[config->origin[i]]);
    }
    buffer_put_str(&buffer, "}\n");
    return buffer_take(&buffer, &len);
}

static const char *type_of(const struct config_option *option)
{
    if (option->kind == CONFIG_INT)
        return "integer";
    return config_is_list(option) ? "list of texts" : "text";
}

static void put_default(struct buffer *buffer, const struct config_option *option)
{
    const char *text = option->fallback_text;
    if (option->kind == CONFIG_INT)
        buffer_put_fmt(buffer, "`%" PRId64 "`", option->fallback_int);
    else if (config_is_list(option))
        buffer_put_fmt(buffer, text == NULL ? "`[%s]`" : "`[\"%s\"]`", text == NULL ? "" : text);
    else
        buffer_put_fmt(buffer, "`\"%s\"`", text);
}

/* The range of a number or the count of a list; the bytes of a text say little to a reader. */
static void put_range(struct buffer *buffer, const struct config_option *option)
{
    if (option->kind == CONFIG_INT || config_is_list(option))
        buffer_put_fmt(buffer, "%" PRId64 "..%" PRId64 " ", option->least, option->most);
    buffer_put_str(buffer, option->unit);
}

static const char page_head[] =
    "# Configuration\n"
    "\n"
    "<!-- Written by `decided --dump-config=markdown`; change server/control/config_options.h. "
    "-->\n"
    "\n"
    "`decided --config FILE` reads one JSON file, in which comments (`//` and `/* */`) are "
    "allowed. All options\n"
    "have defaults, so `{}` is a configuration; `deploy/decided.json` is an example.\n"
    "\n"
    "- A key that is no option is refused, and the message suggests the nearest one. A value of "
    "the wrong type or\n"
    "  out of range is refused with its place, what was expected and what was found.\n"
    "- Relative paths begin in the folder of the file. `--data-dir DIR` overrides `data_dir` "
    "and begins in the\n"
    "  working directory.\n"
    "- `decided --check-config` reads the file and everything that it refers to, and exits with "
    "0 or 78.\n"
    "- `decided --dump-config` prints the effective values, each with where it came from. The "
    "output is a valid\n"
    "  configuration. It holds no secrets, since those are in files of their own.\n"
    "- SIGHUP and `decidectl reload` read the file again. It is checked as a whole; when "
    "anything in it is wrong\n"
    "  nothing changes. Options with *reload* below are applied at once; others that differ are "
    "named in the log\n"
    "  and in the reply, and count from the next start.\n"
    "- The token in `admin_token_file` has 16 to 256 printable characters; blanks and line ends "
    "around it do not\n"
    "  count. Keep the file readable for the daemon alone.\n"
    "\n"
    "Exit codes: 0 fine, 1 failure, 2 usage, 78 bad configuration.\n"
    "\n"
    "| option | type | default | range, unit | a change counts | |\n"
    "|---|---|---|---|---|---|\n";

char *config_dump_markdown(void)
{
    struct buffer buffer = {0};
    size_t len;
    buffer_put_str(&buffer, page_head);
    for (uint32_t i = 0; i < OPTION_COUNT; i++) {
        const struct config_option *option = &config_options[i];
        buffer_put_fmt(&buffer, "| `%s` | %s | ", option->name, type_of(option));
        put_default(&buffer, option);
        buffer_put_str(&buffer, " | ");
        put_range(&buffer, option);
        buffer_put_fmt(&buffer, " | %s | ", option->reloadable ? "reload" : "restart");
        buffer_put_str(&buffer, option->help);
        buffer_put_str(&buffer, " |\n");
    }
    return buffer_take(&buffer, &len);
}
