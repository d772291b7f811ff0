/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/model_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/ctl/command.h"

void model_source_args(struct model_source *source, struct arg ret_args[MODEL_SOURCE_ARGS])
{
    struct model_file_options *options = &source->options;
    *source = (struct model_source){.is_temporary = false};
    options->output = options->rounds = options->average_is_output = MODEL_FILE_NOT_GIVEN;
    const struct arg args[MODEL_SOURCE_ARGS] = {
        {"name", 0, ARG_TEXT, &options->name, 0, 0},
        {"version", 0, ARG_TEXT, &options->version, 0, 0},
        {"feature-map", 0, ARG_TEXT, &options->feature_map, 0, 0},
        {"output", 0, ARG_INT, &options->output, 0, 255},
        {"rounds", 0, ARG_INT, &options->rounds, 1, 100000},
        {"average-is-output", 0, ARG_INT, &options->average_is_output, 0, 1},
        {"raw", 0, ARG_FLAG, &options->raw, 0, 0},
    };
    memcpy(ret_args, args, sizeof args);
}

static int make_folder(struct model_source *source)
{
    const char *base = getenv("TMPDIR");
    int len = snprintf(source->dir, sizeof source->dir, "%s/decidectl-XXXXXX",
                       base == NULL ? "/tmp" : base);
    if (len < 0 || (size_t)len >= sizeof source->dir || mkdtemp(source->dir) == NULL)
        return ctl_fail("model", "cannot make a folder for the bundle: %s", strerror(errno));
    source->is_temporary = true;
    return EXIT_FINE;
}

/* Whoever gives a name in vain is told twice. */
static int name_is_missing(const struct ctl *ctl, const char *what, const char *path)
{
    struct err err = {0};
    return model_file_check(path, &err) == ERR_OK
               ? ctl_usage("model", "%s: a model file needs --name NAME", what)
               : model_refused(ctl, path, &err);
}

int model_source_open(const struct ctl *ctl, const char *what, const char *path,
                      struct model_source *source)
{
    struct model_file_options *options = &source->options;
    struct err err = {0};
    struct stat info;
    options->path = path;
    if (stat(path, &info) != 0)
        return ctl_fail("model", "cannot open '%s': %s", path, strerror(errno));
    bool is_file = S_ISREG(info.st_mode);
    if (!is_file && (options->name != NULL || options->version != NULL ||
                     options->feature_map != NULL || options->raw || options->output >= 0 ||
                     options->rounds >= 0 || options->average_is_output >= 0))
        return ctl_usage("model", "%s: the options are for a model file, and '%s' is none", what,
                         path);
    if (!is_file) {
        text_copy(text_of(path), source->dir, sizeof source->dir);
        return EXIT_FINE;
    }
    if (options->name == NULL)
        return name_is_missing(ctl, what, path);
    int code = make_folder(source);
    if (code != EXIT_FINE)
        return code;
    return model_file_bundle(options, source->dir, &err) == ERR_OK ? EXIT_FINE
                                                                   : model_refused(ctl, path, &err);
}

int model_source_close(struct model_source *source, int code)
{
    struct err err = {0};
    if (source->is_temporary && file_remove_tree(source->dir, &err) != ERR_OK && code == EXIT_FINE)
        return ctl_fail("model", "%s", err.text);
    return code;
}

/* Where bundles must be signed, somebody signs this one before it is pushed. */
int model_bundle(struct ctl *ctl, int argc, char **argv)
{
    struct model_source source;
    struct arg args[MODEL_SOURCE_ARGS];
    struct err err = {0};
    model_source_args(&source, args);
    if (args_parse_count(ctl, argc, argv, args, MODEL_SOURCE_ARGS, 3, 3,
                         "bundle FILE DIR --name NAME") < 0)
        return EXIT_USAGE;
    if (source.options.name == NULL)
        return name_is_missing(ctl, "bundle", argv[2]);
    source.options.path = argv[2];
    if (mkdir(argv[3], 0755) != 0)
        return ctl_fail("model", "cannot make the folder '%s': %s", argv[3], strerror(errno));
    if (model_file_bundle(&source.options, argv[3], &err) != ERR_OK) {
        (void)!file_remove_tree(argv[3], NULL); /* what it was refused for matters more */
        return model_refused(ctl, argv[2], &err);
    }
    if (ctl->json)
        puts("{\"ok\": true}");
    else
        printf("%s: written; sign manifest.json if the daemon asks for it, then push\n", argv[3]);
    return EXIT_FINE;
}
