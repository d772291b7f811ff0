/* SPDX-License-Identifier: Apache-2.0 */
/* models_dir/.release and the ratchet of versions: whatever is in the files is read whole or
 * refused, and what is read is written and read again as the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "server/control/ratchet.h"
#include "server/control/release.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64];

static void remove_file(void)
{
    unlink(path);
}

static void write_input(const uint8_t *data, size_t size)
{
    if (path[0] == '\0') {
        snprintf(path, sizeof path, "/tmp/fuzz_release_state.%d", (int)getpid());
        atexit(remove_file);
    }
    FILE *file = fopen(path, "w");
    ASSERT(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct release_state first, second;
    struct ratchet *ratchet = NULL;
    struct err err;
    write_input(data, size);
    if (ratchet_open(path, &ratchet, &err) == ERR_OK)
        (void)!ratchet_check(ratchet, "m", "1", "", &err);
    ratchet_close(&ratchet);
    if (release_state_read(path, &first, &err) != ERR_OK)
        return 0;
    ASSERT(first.count <= RELEASES_MAX && first.apply_count <= RELEASE_MODELS_MAX);
    for (uint32_t i = 0; i < first.count; i++)
        ASSERT(file_is_plain_name(first.line[i].id) && first.line[i].count <= RELEASE_MODELS_MAX);
    ASSERT(release_state_write(path, &first, &err) == ERR_OK);
    ASSERT(release_state_read(path, &second, &err) == ERR_OK);
    ASSERT(memcmp(&first, &second, sizeof first) == 0);
    return 0;
}
