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

/* The first code between ```python and ``` that begins so is written to DIR/example.py, behind
 * `before`. */
static void write_example(const struct temp_dir *dir, const char *source, const char *before,
                          const char *begins)
{
    char fence[64], text[8192];
    snprintf(fence, sizeof fence, "```python\n%s", begins);
    char path[FILE_PATH_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct err err = {0};
    if (file_join(source, "docs/bundles.md", path, sizeof path, &err) != ERR_OK ||
        file_read(path, 1 << 20, &bytes, &len, &err) != ERR_OK)
        fail_msg("%s", err.text);
    const char *code = strstr((const char *)bytes, fence);
    assert_non_null(code);
    code += strlen("```python\n");
    const char *end = strstr(code, "```");
    assert_non_null(end);
    snprintf(text, sizeof text, "%s%.*s", before, (int)(end - code), code);
    temp_dir_write_text(dir, "example.py", text);
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
    write_example(&dir, source, "", "import hashlib");
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

/* What PyTorch gives: layers by number, those without parameters left out. */
static const char net[] =
    "import json\n"
    "import numpy as np\n"
    "from safetensors.numpy import save_file\n"
    "class Tensor:\n"
    "    def __init__(self, values): self.values = np.array(values)\n"
    "    def numpy(self): return self.values\n"
    "class net:\n"
    "    def state_dict():\n"
    "        return {'0.weight': Tensor([[1.0, -2.0], [0.5, 0.25], [3.0, 0.0]]), '0.bias': "
    "Tensor([0.5, 0.0, -1.0]),\n"
    "                '10.weight': Tensor([[4.0]]), '10.bias': Tensor([0.125]),\n"
    "                '2.weight': Tensor([[1.0, 2.0, -1.0]]), '2.bias': Tensor([0.25])}\n"
    "def score(x):\n"
    "    w = {k: v.numpy() for k, v in net.state_dict().items()}\n"
    "    h = np.maximum(w['0.weight'] @ x + w['0.bias'], 0)\n"
    "    h = np.maximum(w['2.weight'] @ h + w['2.bias'], 0)\n"
    "    return float((w['10.weight'] @ h + w['10.bias'])[0])\n"
    "rows = [{'features': {'a': a, 'b': b}, 'score': score(np.array([a, b]))} for a, b in [(1, 2), "
    "(3, -1), (0, 0)]]\n"
    "json.dump({'rows': rows}, open('golden.json', 'w'))\n";

static void test_the_lines_for_a_net_write_its_tensors(void **state)
{
    static const struct bundle_write_file files[] = {{"weights", "weights.safetensors"}};
    struct temp_dir dir;
    char text[8 * TEMP_DIR_BYTES], path[2 * TEMP_DIR_BYTES];
    struct bundle *bundle = NULL;
    struct model *model = NULL;
    struct err err = {0};
    (void)state;
    const char *source = getenv("DECIDED_SOURCE");
    if (source == NULL || system("/usr/bin/python3 -c 'import numpy' 2>/dev/null") != 0) {
        fprintf(stderr, "SKIPPED: DECIDED_SOURCE is not set or python3-numpy is not installed\n");
        skip();
    }
    temp_dir_create(&dir);
    write_example(&dir, source, net, "state = {");
    temp_dir_write_text(&dir, "safetensors/__init__.py", "");
    temp_dir_write_text(&dir, "safetensors/numpy.py", safetensors_numpy);
    assert_int_equal(file_make_dir(temp_dir_path(&dir, "m/1", path), &err), ERR_OK);
    snprintf(text, sizeof text, "cd %s && PYTHONPATH=%s /usr/bin/python3 %s/example.py", path,
             dir.path, dir.path);
    assert_int_equal(system(text), 0);
    cJSON *extra = cJSON_Parse("{\"params\": {\"activations\": [\"relu\", \"relu\", \"none\"]},"
                               " \"features\": [{\"name\": \"a\"}, {\"name\": \"b\"}]}");
    if (bundle_write_manifest(path, "m", "1", MODEL_mlp, files, 1, extra, &err) != ERR_OK ||
        bundle_open(path, "m", "1", &bundle, &err) != ERR_OK ||
        model_load(bundle, &model, &err) != ERR_OK ||
        model_check_golden(model, bundle, &err) != ERR_OK)
        fail_msg("%s", err.text);
    cJSON_Delete(extra);
    model_destroy(&model);
    bundle_close(&bundle);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_example_of_the_docs_is_accepted),
        cmocka_unit_test(test_the_lines_for_a_net_write_its_tensors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
