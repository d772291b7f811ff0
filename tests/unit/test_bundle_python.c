/* SPDX-License-Identifier: Apache-2.0 */
/* The Python example of docs/bundles.md, as it stands there, writes a bundle that is accepted.  The
 * safetensors package is not in Debian: a writer by the letter of the format takes its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "models/model.h"
#include "tests/support/temp_dir.h"

static const char safetensors_numpy[] =
    "import json, struct\n"
    "def save_file(tensors, path):\n"
    "    names = {'float32': 'F32', 'float64': 'F64', 'int64': 'I64', 'uint32': 'U32'}\n"
    "    header, data = {}, b''\n"
    "    for name, array in tensors.items():\n"
    "        header[name] = {'dtype': names[str(array.dtype)], 'shape': list(array.shape),\n"
    "                        'data_offsets': [len(data), len(data) + array.nbytes]}\n"
    "        data += array.tobytes()\n"
    "    text = json.dumps(header).encode()\n"
    "    with open(path, 'wb') as f:\n"
    "        f.write(struct.pack('<Q', len(text)) + text + data)\n";

/* The code between ```python and ``` is written to DIR/example.py. */
static void write_example(const struct temp_dir *dir, const char *source)
{
    static const char fence[] = "```python\n";
    char path[FILE_PATH_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct err err = {0};
    if (file_join(source, "docs/bundles.md", path, sizeof path, &err) != ERR_OK ||
        file_read(path, 1 << 20, &bytes, &len, &err) != ERR_OK)
        fail_msg("%s", err.text);
    const char *code = strstr((const char *)bytes, fence);
    assert_non_null(code);
    code += sizeof fence - 1;
    const char *end = strstr(code, "```");
    assert_non_null(end);
    temp_dir_write(dir, "example.py", code, (size_t)(end - code));
    free(bytes);
}

static void test_the_example_of_the_docs_is_accepted(void **state)
{
    (void)state;
    struct temp_dir dir;
    char text[4 * TEMP_DIR_BYTES];
    struct bundle *bundle = NULL;
    struct model *model = NULL;
    struct err err = {0};
    const char *source = getenv("DECIDED_SOURCE");
    if (source == NULL || system("/usr/bin/python3 -c 'import numpy' 2>/dev/null") != 0) {
        fprintf(stderr, "SKIPPED: DECIDED_SOURCE is not set or python3-numpy is not installed\n");
        skip();
    }
    temp_dir_create(&dir);
    write_example(&dir, source);
    temp_dir_write_text(&dir, "safetensors/__init__.py", "");
    temp_dir_write_text(&dir, "safetensors/numpy.py", safetensors_numpy);
    snprintf(text, sizeof text, "cd %s && /usr/bin/python3 example.py", dir.path);
    assert_int_equal(system(text), 0);
    temp_dir_path(&dir, "models/shop-popular/1", text);
    if (bundle_open(text, "shop-popular", "1", &bundle, &err) != ERR_OK ||
        model_load(bundle, &model, &err) != ERR_OK ||
        model_check_golden(model, bundle, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(model_row_count(model), 3);
    assert_int_equal(model->trained_at_ms, 1795399200000);
    assert_true(popularity_score(model->as.popularity, 2) == 0.5f);
    model_destroy(&model);
    bundle_close(&bundle);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_example_of_the_docs_is_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
