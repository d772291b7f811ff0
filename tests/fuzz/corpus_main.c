/* SPDX-License-Identifier: Apache-2.0 */
/* corpus_main - runs a fuzz target over the files of its corpus folder, without libFuzzer.
 *
 * usage: fuzz_<thing> FOLDER.  Fails when the folder is missing or empty, so that a corpus that was
 * lost is noticed. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return -1;
    enum { LIMIT = 1 << 22 };
    uint8_t *bytes = malloc(LIMIT);
    size_t len = bytes == NULL ? 0 : fread(bytes, 1, LIMIT, file);
    fclose(file);
    /* A copy of the exact size, so that the address sanitizer sees a read past the end. */
    uint8_t *exact = malloc(len == 0 ? 1 : len);
    int rc = -1;
    if (bytes != NULL && exact != NULL) {
        for (size_t i = 0; i < len; i++)
            exact[i] = bytes[i];
        LLVMFuzzerTestOneInput(exact, len);
        rc = 0;
    }
    free(exact);
    free(bytes);
    return rc;
}

int main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    if (dir == NULL) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER (which must exist)\n", argv[0]);
        return 2;
    }
    int file_count = 0;
    int failed_count = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.')
            continue;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        failed_count += run_file(path) != 0;
        file_count++;
    }
    closedir(dir);
    printf("%d files, %d unreadable\n", file_count, failed_count);
    return file_count == 0 || failed_count != 0;
}
