/* SPDX-License-Identifier: Apache-2.0 */
/* decide-train - events to model bundles, with evaluation.  docs/training.md */
#include <stdio.h>

#include "tools/cli/failure.h"
#include "tools/cli/output.h"
#include "tools/train/linear_algebra.h"
#include "tools/train/remote.h"
#include "tools/train/run.h"

static int fail(const struct train_options *options, int exit_code, const struct err *err)
{
    char message[ERR_TEXT_BYTES + 32];
    snprintf(message, sizeof message, "%s: %s", train_command_name(options->command), err->text);
    return failure_tell("decide-train", exit_code, message, options->json);
}

static int run_program(int argc, char **argv)
{
    struct train_options options;
    struct err err = {0};
    linear_algebra_start();
    if (train_options_parse(argc, argv, &options, &err) != ERR_OK)
        return failure_tell("decide-train", FAILURE_USAGE, err.text,
                            failure_wants_json(argc, argv));
    if (options.help) {
        train_options_help(options.command, stdout);
        return 0;
    }
    if (options.tells_version) {
        puts("decide-train " DECIDED_VERSION);
        return 0;
    }
    if (options.command == TRAIN_EVAL && remote_check_url(options.url, &err) != ERR_OK)
        return fail(&options, FAILURE_USAGE, &err);
    return run_train(&options, clock_system(), stdout, stderr, &err) == ERR_OK
               ? 0
               : fail(&options, FAILURE_FAILED, &err);
}

int main(int argc, char **argv)
{
    return output_close("decide-train", run_program(argc, argv));
}
