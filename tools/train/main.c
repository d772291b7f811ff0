/* SPDX-License-Identifier: Apache-2.0 */
/* decide-train - events to model bundles, with evaluation.  docs/training.md */
#include <stdio.h>

#include "tools/cli/output.h"
#include "tools/train/linear_algebra.h"
#include "tools/train/run.h"

enum { TRAIN_FINE = 0, TRAIN_FAILED = 1, TRAIN_USAGE = 2 };

static int run_program(int argc, char **argv)
{
    struct train_options options;
    struct err err = {0};
    linear_algebra_start();
    if (train_options_parse(argc, argv, &options, &err) != ERR_OK) {
        fprintf(stderr, "decide-train: %s\nTry 'decide-train --help'.\n", err.text);
        return TRAIN_USAGE;
    }
    if (options.help) {
        train_options_help(options.command, stdout);
        return TRAIN_FINE;
    }
    if (options.tells_version) {
        puts("decide-train " DECIDED_VERSION);
        return TRAIN_FINE;
    }
    if (run_train(&options, clock_system(), stdout, stderr, &err) != ERR_OK) {
        fprintf(stderr, "decide-train: %s: %s\n", train_command_name(options.command), err.text);
        return TRAIN_FAILED;
    }
    return TRAIN_FINE;
}

int main(int argc, char **argv)
{
    return output_close("decide-train", run_program(argc, argv));
}
