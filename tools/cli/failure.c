/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/cli/failure.h"

#include <string.h>

#include "tools/cli/json_text.h"

bool failure_wants_json(int argc, char *const *argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0)
            return true;
    }
    return false;
}

void failure_print_json(const char *code, const char *message, FILE *out)
{
    fputs("{\"ok\":false,\"error\":{\"code\":", out);
    json_text_print(code, out);
    fputs(",\"message\":", out);
    json_text_print(message, out);
    fputs("}}\n", out);
}

int failure_tell(const char *program, int exit_code, const char *message, bool json)
{
    fprintf(stderr, "%s: %s\n", program, message);
    if (exit_code == FAILURE_USAGE)
        fprintf(stderr, "Try '%s --help'.\n", program);
    if (json)
        failure_print_json(exit_code == FAILURE_USAGE ? "usage" : "failed", message, stdout);
    return exit_code;
}
