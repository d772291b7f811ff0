/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON *root = NULL;
    struct err err;
    if (json_parse("file.json", (const char *)data, size, &root, &err) != ERR_OK) {
        ASSERT(root == NULL && err.text[0] != '\0');
        return 0;
    }
    static const char *const known[] = {"name", "items", NULL};
    struct json_at at = json_root("file.json", root);
    int count = 0;
    if (json_object(&at, &err) == ERR_OK && json_only(&at, known, &err) == ERR_OK) {
        struct json_at items = json_member(&at, "items");
        if (json_array(&items, &count, &err) == ERR_OK && count > 0) {
            struct json_at item = json_element(&items, count - 1);
            ASSERT(item.value != NULL);
        }
    }
    cJSON_Delete(root);
    return 0;
}
