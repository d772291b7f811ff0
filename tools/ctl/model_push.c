/* SPDX-License-Identifier: Apache-2.0 */
/* model push: checked here first, then sent piece by piece, then loaded there.  A bare model file
 * becomes a bundle before that, in a folder of its own that is gone afterwards. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "models/model.h"
#include "tools/cli/progress.h"
#include "tools/cli/value.h"
#include "tools/ctl/model_source.h"

#define PIECE_BYTES       262144 /* the most that model_chunk takes */
#define PIECE_EXTRA_BYTES 1024   /* the map around it */
#define LOAD_TIMEOUT_US   600000000

struct push {
    struct ctl *ctl;
    const char *dir;
    char upload[64];
    uint64_t sent_bytes, all_bytes;
    struct progress progress;
    uint8_t *piece;   /* owned: what was read */
    uint8_t *message; /* owned: what is sent */
};

static int begin(struct push *push, const struct bundle *bundle)
{
    struct decide_reply *reply = NULL;
    uint8_t bytes[512];
    struct pack body = pack_into(bytes, sizeof bytes);
    pack_map(&body, 2);
    pack_key(&body, "name");
    pack_str(&body, bundle->name);
    pack_key(&body, "version");
    pack_str(&body, bundle->version);
    int code = ctl_call(push->ctl, "model_begin", &body, push->ctl->timeout_us, &reply);
    if (reply == NULL)
        return code;
    text_copy(value_text(ctl_map(reply), "upload"), push->upload, sizeof push->upload);
    decide_reply_free(reply);
    return EXIT_FINE;
}

static int send_piece(struct push *push, const char *path, int64_t offset, uint32_t len)
{
    struct decide_reply *reply = NULL;
    struct pack body = pack_into(push->message, PIECE_BYTES + PIECE_EXTRA_BYTES);
    pack_map(&body, 4);
    pack_key(&body, "upload");
    pack_str(&body, push->upload);
    pack_key(&body, "path");
    pack_str(&body, path);
    pack_key(&body, "offset");
    pack_int(&body, offset);
    pack_key(&body, "data");
    pack_bin(&body, push->piece, len);
    int code = ctl_call(push->ctl, "model_chunk", &body, push->ctl->timeout_us, &reply);
    decide_reply_free(reply);
    push->sent_bytes += len;
    progress_show(&push->progress, (double)push->sent_bytes / (double)push->all_bytes,
                  push->sent_bytes / 1024);
    return code;
}

/* An empty file is sent as one empty piece. */
static int send_file(struct push *push, const char *path)
{
    char full[FILE_PATH_BYTES];
    struct err err = {0};
    int code = EXIT_FINE;
    int64_t offset = 0;
    if (file_join(push->dir, path, full, sizeof full, &err) != ERR_OK)
        return ctl_fail("model", "%s", err.text);
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ctl_fail("model", "cannot open '%s': %s", full, strerror(errno));
    for (;;) {
        ssize_t got = read(fd, push->piece, PIECE_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            code = ctl_fail("model", "cannot read '%s': %s", full, strerror(errno));
        if (got < 0 || (got == 0 && offset > 0))
            break;
        code = send_piece(push, path, offset, (uint32_t)got);
        offset += got;
        if (code != EXIT_FINE || got == 0)
            break;
    }
    close(fd);
    return code;
}

static int send_files(struct push *push, const struct bundle *bundle)
{
    progress_start(&push->progress, "sending", "KiB");
    int code = send_file(push, "manifest.json");
    if (code == EXIT_FINE && bundle->has_signature)
        code = send_file(push, BUNDLE_SIGNATURE_NAME);
    if (code == EXIT_FINE)
        code = send_file(push, bundle->golden.path);
    for (uint32_t i = 0; i < bundle->file_count && code == EXIT_FINE; i++)
        code = send_file(push, bundle->file[i].path);
    progress_end(&push->progress);
    return code;
}

static void pack_upload(struct pack *body, const struct push *push)
{
    pack_map(body, 1);
    pack_key(body, "upload");
    pack_str(body, push->upload);
}

/* Quietly: the reason why the push failed was told already. */
static void give_up(struct push *push)
{
    uint8_t bytes[128];
    struct pack body = pack_into(bytes, sizeof bytes);
    struct decide_client *client = ctl_client(push->ctl);
    pack_upload(&body, push);
    if (client != NULL && !body.overflow)
        decide_reply_free(
            decide_call(client, "model_abort", bytes, body.used, push->ctl->timeout_us));
}

static int commit(struct push *push)
{
    struct decide_reply *reply = NULL;
    uint8_t bytes[128];
    struct pack body = pack_into(bytes, sizeof bytes);
    uint64_t timeout_us =
        push->ctl->timeout_us > LOAD_TIMEOUT_US ? push->ctl->timeout_us : LOAD_TIMEOUT_US;
    pack_upload(&body, push);
    int code = ctl_call(push->ctl, "model_commit", &body, timeout_us, &reply);
    if (reply == NULL)
        return code;
    if (push->ctl->json)
        code = ctl_print_json(reply);
    else
        model_outcome_print(ctl_map(reply));
    decide_reply_free(reply);
    return code;
}

static int push_bundle(struct ctl *ctl, const char *dir)
{
    struct bundle *bundle = NULL;
    struct model *model = NULL;
    struct err err = {0};
    struct push push = {.ctl = ctl, .dir = dir};
    int code = EXIT_FINE;
    if (model_open(dir, NULL, &bundle, &model, &err) != ERR_OK)
        return model_refused(ctl, dir, &err);
    model_destroy(&model);
    push.piece = malloc(PIECE_BYTES);
    push.message = malloc(PIECE_BYTES + PIECE_EXTRA_BYTES);
    if (push.piece == NULL || push.message == NULL)
        code = ctl_fail("model", "out of memory");
    push.all_bytes = bundle->bytes + 1; /* the manifest, which is small, is not in the sum */
    if (code == EXIT_FINE)
        code = begin(&push, bundle);
    if (code == EXIT_FINE) {
        code = send_files(&push, bundle);
        if (code == EXIT_FINE)
            code = commit(&push);
        else
            give_up(&push);
    }
    free(push.piece);
    free(push.message);
    bundle_close(&bundle);
    return code;
}

int model_push(struct ctl *ctl, int argc, char **argv)
{
    struct model_source source;
    struct arg args[MODEL_SOURCE_ARGS];
    model_source_args(&source, args);
    if (args_parse_count(ctl, argc, argv, args, MODEL_SOURCE_ARGS, 2, 2,
                         "push DIR or push FILE --name NAME") < 0)
        return EXIT_USAGE;
    int code = model_source_open(ctl, "push", argv[2], &source);
    if (code == EXIT_FINE)
        code = push_bundle(ctl, source.dir);
    return model_source_close(&source, code);
}
