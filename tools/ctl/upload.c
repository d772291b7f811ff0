/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/background.h"
#include "base/file.h"
#include "tools/cli/value.h"

/* With what is around it no more than a worker reads at once: a larger piece would be gathered in
 * blocks that grow, while others wait for the worker. */
#define PIECE_BYTES       61440
#define PIECE_EXTRA_BYTES 1024 /* the map around it */
#define LOAD_TIMEOUT_US   600000000

int upload_begin(struct upload *upload, struct ctl *ctl, const char *op, const struct pack *body,
                 uint64_t all_bytes)
{
    struct decide_reply *reply = NULL;
    *upload = (struct upload){.ctl = ctl, .all_bytes = all_bytes + 1};
    upload->piece = malloc(PIECE_BYTES);
    upload->message = malloc(PIECE_BYTES + PIECE_EXTRA_BYTES);
    if (upload->piece == NULL || upload->message == NULL)
        return ctl_fail("model", "out of memory");
    int code = ctl_call(ctl, op, body, ctl->timeout_us, &reply);
    if (reply == NULL)
        return code;
    text_copy(value_text(ctl_map(reply), "upload"), upload->id, sizeof upload->id);
    decide_reply_free(reply);
    progress_start(&upload->progress, "sending", "KiB");
    return EXIT_FINE;
}

static int send_piece(struct upload *upload, const char *path, int64_t offset, uint32_t len)
{
    struct decide_reply *reply = NULL;
    struct pack body = pack_into(upload->message, PIECE_BYTES + PIECE_EXTRA_BYTES);
    pack_map(&body, 4);
    pack_key(&body, "upload");
    pack_str(&body, upload->id);
    pack_key(&body, "path");
    pack_str(&body, path);
    pack_key(&body, "offset");
    pack_int(&body, offset);
    pack_key(&body, "data");
    pack_bin(&body, upload->piece, len);
    int code = ctl_call(upload->ctl, "model_chunk", &body, upload->ctl->timeout_us, &reply);
    decide_reply_free(reply);
    upload->sent_bytes += len;
    progress_show(&upload->progress, (double)upload->sent_bytes / (double)upload->all_bytes,
                  upload->sent_bytes / 1024);
    return code;
}

/* An empty file is sent as one empty piece. */
int upload_file(struct upload *upload, const char *dir, const char *prefix, const char *name)
{
    char full[FILE_PATH_BYTES], path[FILE_PATH_BYTES];
    struct err err = {0};
    int code = EXIT_FINE;
    int64_t offset = 0;
    text_copy(text_of(name), path, sizeof path);
    if (file_join(dir, name, full, sizeof full, &err) != ERR_OK ||
        (prefix != NULL && file_join(prefix, name, path, sizeof path, &err) != ERR_OK))
        return ctl_fail("model", "%s", err.text);
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ctl_fail("model", "cannot open '%s': %s", full, strerror(errno));
    for (;;) {
        ssize_t got = read(fd, upload->piece, PIECE_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            code = ctl_fail("model", "cannot read '%s': %s", full, strerror(errno));
        if (got < 0 || (got == 0 && offset > 0))
            break;
        code = send_piece(upload, path, offset, (uint32_t)got);
        offset += got;
        background_rest();
        if (code != EXIT_FINE || got == 0)
            break;
    }
    close(fd);
    return code;
}

int upload_bundle(struct upload *upload, const char *dir, const char *prefix,
                  const struct bundle *bundle)
{
    int code = upload_file(upload, dir, prefix, "manifest.json");
    if (code == EXIT_FINE && bundle->has_signature)
        code = upload_file(upload, dir, prefix, BUNDLE_SIGNATURE_NAME);
    if (code == EXIT_FINE)
        code = upload_file(upload, dir, prefix, bundle->golden.path);
    for (uint32_t i = 0; i < bundle->file_count && code == EXIT_FINE; i++)
        code = upload_file(upload, dir, prefix, bundle->file[i].path);
    return code;
}

static void pack_upload(struct pack *body, const struct upload *upload)
{
    pack_map(body, 1);
    pack_key(body, "upload");
    pack_str(body, upload->id);
}

void upload_give_up(struct upload *upload)
{
    uint8_t bytes[128];
    struct pack body = pack_into(bytes, sizeof bytes);
    struct decide_client *client = ctl_client(upload->ctl);
    progress_end(&upload->progress);
    pack_upload(&body, upload);
    if (client != NULL && !body.overflow)
        decide_reply_free(
            decide_call(client, "model_abort", bytes, body.used, upload->ctl->timeout_us));
}

int upload_commit(struct upload *upload, const char *op, struct decide_reply **ret_reply)
{
    uint8_t bytes[128];
    struct pack body = pack_into(bytes, sizeof bytes);
    progress_end(&upload->progress);
    pack_upload(&body, upload);
    return ctl_call_patiently(upload->ctl, op, &body, LOAD_TIMEOUT_US, ret_reply);
}

void upload_deinit(struct upload *upload)
{
    free(upload->piece);
    free(upload->message);
    upload->piece = upload->message = NULL;
}
