/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles of the kind mlp: random nets against loops in double over the tensors as they are in the
 * file, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rand.h"
#include "models/ranker.h"
#include "models/safetensors.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/model_sample.h"
#include "tests/support/temp_dir.h"

/* Of sums of some dozen floats, relative to the score or to 1. */
#define TOLERANCE 1e-5

enum {
    FEATURES = 7,
    LAYERS = 4,
    WIDEST = 70,
    ROWS = 100,
    TENSORS_MAX = 6 * LAYERS + 2,
    VALUES_MAX = TENSORS_MAX * WIDEST * WIDEST
};

static const uint32_t widths[LAYERS + 1] = {FEATURES, 33, WIDEST, 5, 1};
static const char *const part_names[6] = {"weight",  "bias",    "bn_weight",
                                          "bn_bias", "bn_mean", "bn_var"};

static struct temp_dir dir;
static char bundle_dir[2 * TEMP_DIR_BYTES];

static int set_up(void **state)
{
    (void)state;
    temp_dir_create(&dir);
    temp_dir_path(&dir, "m/1", bundle_dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

/* ---- bundles --------------------------------------------------------------------------------- */

static enum err_code open_and_load(bool with_golden, struct model **ret_model, struct err *err)
{
    struct bundle *bundle = NULL;
    enum err_code rc = bundle_open(bundle_dir, "m", "1", &bundle, err);
    if (rc == ERR_OK)
        rc = model_load(bundle, ret_model, err);
    if (rc == ERR_OK && with_golden) {
        rc = model_check_golden(*ret_model, bundle, err);
        if (rc != ERR_OK)
            model_destroy(ret_model);
    }
    bundle_close(&bundle);
    return rc;
}

static enum err_code load(const struct tensor *tensors, uint32_t count, const char *extra,
                          struct model **ret_model, struct err *err)
{
    static const struct bundle_write_file files[] = {{"weights", "weights.safetensors"}};
    char path[2 * TEMP_DIR_BYTES];
    cJSON *rows = cJSON_Parse("[{\"features\": {}, \"score\": 0}]");
    cJSON *parsed = cJSON_Parse(extra);
    assert_non_null(parsed);
    temp_dir_write_text(&dir, "m/1/golden.json", "");
    temp_dir_path(&dir, "m/1/weights.safetensors", path);
    assert_int_equal(safetensors_write(path, tensors, count, err), ERR_OK);
    assert_int_equal(bundle_write_golden(bundle_dir, rows, err), ERR_OK);
    assert_int_equal(bundle_write_manifest(bundle_dir, "m", "1", MODEL_mlp, files, 1, parsed, err),
                     ERR_OK);
    cJSON_Delete(parsed);
    cJSON_Delete(rows);
    return open_and_load(false, ret_model, err);
}

static struct tensor tensor_of(const char *name, enum tensor_type type, const void *data,
                               uint64_t rows, uint64_t columns)
{
    return (struct tensor){.name = name,
                           .type = type,
                           .dim_count = columns == 0 ? 1 : 2,
                           .dim = {rows, columns},
                           .count = columns == 0 ? rows : rows * columns,
                           .data = data};
}

/* ---- random nets ----------------------------------------------------------------------------- */

/* Tensors in a type, and the very same values as doubles. */
struct net {
    enum tensor_type type;
    bool has_norm, has_scaling, sigmoid;
    const char *activation;
    struct rand rand;
    uint32_t tensor_count;
    struct tensor tensor[TENSORS_MAX];
    char name[TENSORS_MAX][32];
    const double *part[LAYERS][6];
    const double *mean, *scale;
    size_t used;
    double value[VALUES_MAX];
    uint64_t encoded[VALUES_MAX]; /* room for the widest type */
};

static struct net net;

static double random_between(double low, double high)
{
    return low + (high - low) * rand_unit(&net.rand);
}

static uint16_t upper_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static uint16_t half_of(double value) /* exact, for multiples of 1/512 below 2 */
{
    int exponent = 0;
    double fraction = frexp(fabs(value), &exponent);
    if (value == 0.0)
        return 0;
    return (uint16_t)((value < 0 ? 0x8000 : 0) | (exponent + 14) << 10 |
                      (int)(fraction * 2048.0 - 1024.0));
}

static double encode(double value, void *to, uint64_t index)
{
    float single = (float)value;
    switch (net.type) {
    case TENSOR_F16:
        ((uint16_t *)to)[index] = half_of(rint(value * 512.0) / 512.0);
        return rint(value * 512.0) / 512.0;
    case TENSOR_BF16: {
        uint16_t upper = upper_half(single);
        uint32_t bits = (uint32_t)upper << 16;
        ((uint16_t *)to)[index] = upper;
        memcpy(&single, &bits, sizeof single);
        return (double)single;
    }
    case TENSOR_F32: ((float *)to)[index] = single; return (double)single;
    default: ((double *)to)[index] = value; return value;
    }
}

static const double *add(const char *name, uint64_t rows, uint64_t columns, double low, double high)
{
    uint64_t count = columns == 0 ? rows : rows * columns;
    double *value = net.value + net.used;
    void *to = net.encoded + net.used;
    assert_true(net.used + count <= VALUES_MAX);
    for (uint64_t i = 0; i < count; i++)
        value[i] = encode(random_between(low, high), to, i);
    snprintf(net.name[net.tensor_count], sizeof net.name[0], "%s", name);
    net.tensor[net.tensor_count] =
        tensor_of(net.name[net.tensor_count], net.type, to, rows, columns);
    net.tensor_count++;
    net.used += count;
    return value;
}

static void make_net(void)
{
    static const double low[6] = {0, -0.5, 0.5, -0.5, -0.5, 0.25};
    static const double high[6] = {0, 0.5, 1.5, 0.5, 0.5, 1.75};
    net.used = net.tensor_count = 0;
    memset(net.part, 0, sizeof net.part);
    net.mean = net.scale = NULL;
    for (uint32_t l = 0; l < LAYERS; l++) {
        double reach = 1.7 / sqrt(widths[l]);
        for (uint32_t p = 0; p < (net.has_norm && l % 2 == 0 ? 6 : 2); p++) {
            char name[32];
            snprintf(name, sizeof name, "layers.%u.%s", l, part_names[p]);
            net.part[l][p] = p == 0 ? add(name, widths[l + 1], widths[l], -reach, reach)
                                    : add(name, widths[l + 1], 0, low[p], high[p]);
        }
    }
    if (net.has_scaling) {
        net.mean = add("mean", FEATURES, 0, -1.5, 1.5);
        net.scale = add("scale", FEATURES, 0, 0.25, 1.75);
    }
}

static double apply(const char *activation, double x)
{
    if (strcmp(activation, "relu") == 0)
        return x > 0 ? x : 0;
    if (strcmp(activation, "gelu") == 0)
        return x * (1 + erf(x / sqrt(2))) / 2;
    if (strcmp(activation, "tanh") == 0)
        return tanh(x);
    if (strcmp(activation, "sigmoid") == 0)
        return 1 / (1 + exp(-x));
    if (strcmp(activation, "silu") == 0)
        return x / (1 + exp(-x));
    return x;
}

static double reference(const double *row)
{
    double from[WIDEST];
    double to[WIDEST];
    for (uint32_t f = 0; f < FEATURES; f++) {
        from[f] = isnan(row[f]) ? (f == 2 ? 0.75 : 0.0) : row[f];
        if (net.has_scaling)
            from[f] = (from[f] - net.mean[f]) / net.scale[f];
    }
    for (uint32_t l = 0; l < LAYERS; l++) {
        const double *const *part = net.part[l];
        for (uint32_t o = 0; o < widths[l + 1]; o++) {
            double sum = part[1][o];
            for (uint32_t i = 0; i < widths[l]; i++)
                sum += part[0][o * widths[l] + i] * from[i];
            if (part[5] != NULL)
                sum = (sum - part[4][o]) / sqrt(part[5][o] + 1e-3) * part[2][o] + part[3][o];
            to[o] = l + 1 == LAYERS ? sum : apply(net.activation, sum);
        }
        memcpy(from, to, sizeof from);
    }
    return net.sigmoid ? 1 / (1 + exp(-from[0])) : from[0];
}

static bool is_near(double got, double expected)
{
    return fabs(got - expected) <= TOLERANCE * fmax(1.0, fabs(expected));
}

static void compare(const struct model *model)
{
    static const uint32_t counts[] = {1, 31, 32, 33, ROWS};
    static double values[ROWS * FEATURES];
    double score[ROWS];
    void *scratch = aligned_alloc(RANKER_ALIGN_BYTES, ranker_scratch_bytes(model));
    assert_non_null(scratch);
    for (uint32_t i = 0; i < ROWS * FEATURES; i++)
        values[i] = i % 11 == 3 ? (double)NAN : random_between(-3, 3);
    for (uint32_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        memset(scratch, 0xff, ranker_scratch_bytes(model)); /* NaN, should any be read */
        uint64_t before = alloc_count();
        ranker_score_rows(model, values, counts[c], scratch, score);
        assert_int_equal(alloc_count(), before);
        for (uint32_t row = 0; row < counts[c]; row++) {
            double expected = reference(values + (size_t)row * FEATURES);
            double plain =
                mlp_score_plainly(model->as.mlp, values + (size_t)row * FEATURES, scratch);
            if (!is_near(score[row], expected) || !is_near(plain, expected))
                fail_msg("%s of %s, row %u of %u: expected %.9g, got %.9g, plainly %.9g",
                         net.activation, tensor_type_name(net.type), row, counts[c], expected,
                         score[row], plain);
        }
    }
    free(scratch);
}

static void test_random_nets_agree_with_loops_in_double(void **state)
{
    (void)state;
    static const enum tensor_type types[] = {TENSOR_F16, TENSOR_BF16, TENSOR_F32, TENSOR_F64};
    static const char *const activations[] = {"none", "identity", "relu", "gelu",
                                              "tanh", "sigmoid",  "silu"};
    rand_init(&net.rand, 42);
    for (uint32_t i = 0; i < 4 * 7 * 2; i++) {
        char extra[1024];
        struct model *model = NULL;
        struct err err = {0};
        net.type = types[i % 4];
        net.activation = activations[i / 4 % 7];
        net.has_norm = i / 28 == 1;
        net.has_scaling = i % 3 != 0;
        net.sigmoid = i % 5 == 0;
        make_net();
        snprintf(extra, sizeof extra,
                 "{\"params\": {\"activations\": [\"%s\", \"%s\", \"%s\", \"none\"],"
                 " \"sigmoid\": %d, \"bn_eps\": 0.001},"
                 " \"features\": [{\"name\": \"a\"}, {\"name\": \"b\"},"
                 " {\"name\": \"c\", \"default\": 0.75}, {\"name\": \"d\"}, {\"name\": \"e\"},"
                 " {\"name\": \"f\"}, {\"name\": \"g\"}]}",
                 net.activation, net.activation, net.activation, net.sigmoid);
        if (load(net.tensor, net.tensor_count, extra, &model, &err) != ERR_OK)
            fail_msg("%s", err.text);
        assert_int_equal(model->feature_count, FEATURES);
        compare(model);
        model_destroy(&model);
    }
}

static void test_reads_every_float_type(void **state)
{
    (void)state;
    static const uint16_t half[] = {0, 0x8000, 1, 0x03ff, 0x0400, 0x3c00, 0xc000, 0x3555, 0x7bff};
    static const double half_value[] = {0, -0.0, 0x1p-24,        1023 * 0x1p-24, 0x1p-14,
                                        1, -2,   0.333251953125, 65504};
    static const uint16_t ends[] = {0x7c00, 0xfc00, 0x7e00};
    static const uint16_t brain[] = {0x3f80, 0xc049, 0x7f80};
    struct tensor t = tensor_of("t", TENSOR_F16, half, 9, 0);
    for (uint32_t i = 0; i < 9; i++) {
        assert_true(tensor_float(&t, i) == half_value[i]);
        assert_true(signbit(tensor_float(&t, i)) == signbit(half_value[i]));
    }
    t = tensor_of("t", TENSOR_F16, ends, 3, 0);
    assert_true(tensor_float(&t, 0) == (double)INFINITY);
    assert_true(tensor_float(&t, 1) == -(double)INFINITY);
    assert_true(isnan(tensor_float(&t, 2)));
    t = tensor_of("t", TENSOR_BF16, brain, 3, 0);
    assert_true(tensor_float(&t, 0) == 1 && tensor_float(&t, 1) == -3.140625);
    assert_true(tensor_float(&t, 2) == (double)INFINITY);
}

/* ---- what is refused ------------------------------------------------------------------------- */

#define NAMES         "\"features\": [{\"name\": \"a\"}, {\"name\": \"b\"}, {\"name\": \"c\"}]"
#define EXTRA(params) "{\"params\": {" params "}, " NAMES "}"
#define RELU          "\"activations\": [\"relu\", \"none\"]"

enum { GOOD = 6, NORMED = 10 };

/* 3 features, 2 hidden, 1 output; with mean and scale, and after them batch norm of layer 0. */
static void good_tensors(struct tensor t[NORMED + 1])
{
    static const float ones[6] = {1, 1, 1, 1, 1, 1};
    t[0] = tensor_of("layers.0.weight", TENSOR_F32, ones, 2, 3);
    t[1] = tensor_of("layers.0.bias", TENSOR_F32, ones, 2, 0);
    t[2] = tensor_of("layers.1.weight", TENSOR_F32, ones, 1, 2);
    t[3] = tensor_of("layers.1.bias", TENSOR_F32, ones, 1, 0);
    t[4] = tensor_of("mean", TENSOR_F32, ones, 3, 0);
    t[5] = tensor_of("scale", TENSOR_F32, ones, 3, 0);
    t[6] = tensor_of("layers.0.bn_weight", TENSOR_F32, ones, 2, 0);
    t[7] = tensor_of("layers.0.bn_bias", TENSOR_F32, ones, 2, 0);
    t[8] = tensor_of("layers.0.bn_mean", TENSOR_F32, ones, 2, 0);
    t[9] = tensor_of("layers.0.bn_var", TENSOR_F32, ones, 2, 0);
}

static void assert_refused(const struct tensor *tensors, uint32_t count, const char *extra,
                           const char *says)
{
    struct model *model = NULL;
    struct err err = {0};
    enum err_code rc = load(tensors, count, extra, &model, &err);
    assert_null(model);
    if ((rc != ERR_CORRUPT && rc != ERR_UNSUPPORTED) || strstr(err.text, says) == NULL)
        fail_msg("got %d: %s\n  without: %s", (int)rc, err.text, says);
}

/* With this tensor in the place of another, or behind them. */
static void refuse_with(uint32_t place, struct tensor tensor, const char *says)
{
    struct tensor t[NORMED + 1];
    good_tensors(t);
    t[place] = tensor;
    assert_refused(t,
                   place < GOOD      ? GOOD
                   : place == NORMED ? NORMED + 1
                                     : NORMED,
                   EXTRA(RELU), says);
}

static void test_refuses_shapes_that_do_not_agree(void **state)
{
    (void)state;
    static const float zeros[4097 * 3];
    static const int32_t whole[6];
    refuse_with(0, tensor_of("layers.0.weight", TENSOR_F32, zeros, 2, 4),
                "tensor 'layers.0.weight': expected floats [*, 3], got F32 [2, 4]");
    refuse_with(0, tensor_of("layers.0.weight", TENSOR_F32, zeros, 6, 0), "got F32 [6]");
    refuse_with(0, tensor_of("layers.0.weight", TENSOR_I32, whole, 2, 3), "got I32 [2, 3]");
    refuse_with(0, tensor_of("layers.0.weight", TENSOR_F32, zeros, 4097, 3),
                "expected 1..4096 outputs, got 4097");
    struct tensor empty = tensor_of("layers.0.weight", TENSOR_F32, zeros, 0, 3);
    empty.dim_count = 2;
    refuse_with(0, empty, "expected 1..4096 outputs, got 0");
    refuse_with(1, tensor_of("layers.0.bias", TENSOR_F32, zeros, 3, 0),
                "tensor 'layers.0.bias': expected floats [2], got F32 [3]");
    refuse_with(2, tensor_of("layers.1.weight", TENSOR_F32, zeros, 1, 3),
                "tensor 'layers.1.weight': expected floats [1, 2], got F32 [1, 3]");
    refuse_with(2, tensor_of("layers.1.weight", TENSOR_F32, zeros, 2, 2),
                "expected floats [1, 2], got F32 [2, 2]");
    refuse_with(4, tensor_of("mean", TENSOR_F32, zeros, 2, 0),
                "tensor 'mean': expected floats [3], got F32 [2]");
    refuse_with(9, tensor_of("layers.0.bn_var", TENSOR_F32, zeros, 3, 0),
                "tensor 'layers.0.bn_var': expected floats [2], got F32 [3]");
}

static void test_refuses_tensors_that_lack_or_that_nobody_uses(void **state)
{
    (void)state;
    static const float zeros[8];
    struct tensor t[NORMED + 1];
    static const char *const unknown[] = {"layers.2.weight", "layers.00.weight", "layers.0.gamma",
                                          "Mean", "layers.0.weight.x"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        char says[128];
        snprintf(says, sizeof says, "tensor '%s': unknown", unknown[i]);
        refuse_with(NORMED, tensor_of(unknown[i], TENSOR_F32, zeros, 1, 0), says);
    }
    good_tensors(t);
    assert_refused(t, 3, EXTRA(RELU), "tensor 'layers.1.bias': missing, expected floats [1]");
    assert_refused(t, 9, EXTRA(RELU), "tensor 'layers.0.bn_var': missing, expected floats [2]");
    assert_refused(t, GOOD, EXTRA("\"activations\": [\"relu\", \"relu\", \"none\"]"),
                   "tensor 'layers.2.weight': missing, expected floats [1, 1]");
}

static void test_refuses_values_out_of_range(void **state)
{
    (void)state;
    static const float bad[][2] = {{0, NAN}, {0, INFINITY}, {0, -2e9f}};
    static const float zeros[3];
    static const float negative[2] = {1, -1};
    static const float large[2] = {1e9f, 1};
    static const float tiny[2] = {0, 1};
    struct tensor t[NORMED + 1];
    for (uint32_t i = 0; i < 3; i++)
        refuse_with(2, tensor_of("layers.1.weight", TENSOR_F32, bad[i], 1, 2),
                    "tensor 'layers.1.weight', element 1: expected -1e+09..1e+09, got ");
    refuse_with(5, tensor_of("scale", TENSOR_F32, zeros, 3, 0),
                "tensor 'scale', element 0: expected 1e-12..1e+12, got 0");
    refuse_with(9, tensor_of("layers.0.bn_var", TENSOR_F32, negative, 2, 0),
                "tensor 'layers.0.bn_var', element 1: expected 0..1e+24, got -1");
    good_tensors(t);
    t[9].data = tiny;
    assert_refused(t, NORMED, EXTRA(RELU ", \"bn_eps\": 0"),
                   "tensor 'layers.0.bn_var', element 0: 0, and so is bn_eps");
    t[6].data = large;
    assert_refused(t, NORMED, EXTRA(RELU),
                   "tensor 'layers.0.weight', output 0: batch norm makes 3.16228e+11 of it");
}

static void test_refuses_bad_manifests(void **state)
{
    (void)state;
    struct tensor t[NORMED + 1];
    good_tensors(t);
    static const struct {
        const char *extra, *says;
    } bad[] = {
        {"{" NAMES "}", "manifest.json: params.activations"},
        {EXTRA("\"activations\": []"), "expected one for each of 1..16 layers, got 0"},
        {EXTRA("\"activations\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]"), "got 17"},
        {EXTRA("\"activations\": [\"relu\", 1]"), "params.activations[1]"},
        {EXTRA("\"activations\": [\"rleu\", \"none\"]"),
         "params.activations[0]: unknown name 'rleu', did you mean 'relu'?"},
        {EXTRA("\"activations\": [\"gelu_tanh\", \"none\"]"), "unknown name 'gelu_tanh'"},
        {EXTRA(RELU ", \"sigmoid\": 0.5"), "params.sigmoid: expected 0 or 1, got 0.5"},
        {EXTRA(RELU ", \"bn_eps\": -1"), "params.bn_eps"},
        {EXTRA(RELU ", \"logistic\": 1"), "logistic"},
        {"{\"params\": {" RELU "}}", "features"},
        {"{\"params\": {" RELU "}, \"features\": [{\"name\": \"a\"}]}",
         "tensor 'mean': expected floats [1], got F32 [3]"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(t, GOOD, bad[i].extra, bad[i].says);
}

static void test_nothing_overflows(void **state)
{
    (void)state;
    static const float large[2][3] = {{1e9f, 1e9f, -1e9f}, {1e9f, 1e9f, 1e9f}};
    static const double values[][3] = {
        {1e300, 1e300, -1e300}, {INFINITY, 5, NAN}, {-1e300, -1e300, 1e300}};
    static const char *const activations[] = {"none", "relu", "gelu", "tanh", "sigmoid", "silu"};
    for (size_t a = 0; a < sizeof activations / sizeof *activations; a++) {
        struct tensor t[NORMED + 1];
        struct model *model = NULL;
        struct err err = {0};
        char extra[512];
        double score[3];
        good_tensors(t);
        t[0].data = t[2].data = large;
        snprintf(extra, sizeof extra,
                 "{\"params\": {\"activations\": [\"%s\", \"%s\"], \"sigmoid\": 1}, " NAMES "}",
                 activations[a], activations[a]);
        assert_int_equal(load(t, GOOD, extra, &model, &err), ERR_OK);
        void *scratch = aligned_alloc(RANKER_ALIGN_BYTES, ranker_scratch_bytes(model));
        ranker_score_rows(model, values[0], 3, scratch, score);
        for (int row = 0; row < 3; row++) {
            assert_true(isfinite(score[row]));
            assert_true(
                is_near(score[row], mlp_score_plainly(model->as.mlp, values[row], scratch)));
        }
        free(scratch);
        model_destroy(&model);
    }
}

/* ---- damaged bundles ------------------------------------------------------------------------- */

static size_t read_file(const char *name, uint8_t **ret_bytes)
{
    char path[2 * TEMP_DIR_BYTES];
    size_t len = 0;
    struct err err = {0};
    assert_int_equal(file_read(temp_dir_path(&dir, name, path), 1 << 20, ret_bytes, &len, &err),
                     ERR_OK);
    return len;
}

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    static const char *const files[] = {"m/1/weights.safetensors", "m/1/golden.json",
                                        "m/1/manifest.json"};
    for (size_t f = 0; f < 3; f++) {
        uint8_t *bytes = NULL;
        tear_down(NULL);
        set_up(NULL);
        model_sample_write(bundle_dir, "m", "1", MODEL_mlp);
        size_t len = read_file(files[f], &bytes);
        while (len > 0 && bytes[len - 1] == '\n' && f > 0)
            len--; /* a text without its last line's end is whole */
        for (size_t cut = 0; cut < len; cut++) {
            struct model *model = NULL;
            struct err err = {0};
            temp_dir_write(&dir, files[f], bytes, cut);
            if (f < 2) /* the hash agrees, so that it is not what refuses */
                model_sample_seal(bundle_dir, "m", "1", MODEL_mlp);
            if (open_and_load(true, &model, &err) == ERR_OK)
                fail_msg("%s: its first %zu of %zu bytes were accepted", files[f], cut, len);
            assert_null(model);
        }
        free(bytes);
    }
}

static void test_every_damaged_byte_is_refused_or_harmless(void **state)
{
    (void)state;
    static const char *const file = "m/1/weights.safetensors";
    static const double values[] = {1e6, -3, 0.5};
    uint8_t *bytes = NULL;
    uint32_t refused = 0;
    model_sample_write(bundle_dir, "m", "1", MODEL_mlp);
    size_t len = read_file(file, &bytes);
    for (size_t i = 0; i < len; i++) {
        struct model *model = NULL;
        struct err err = {0};
        bytes[i] ^= (uint8_t)(1u << i % 8);
        temp_dir_write(&dir, file, bytes, len);
        bytes[i] ^= (uint8_t)(1u << i % 8);
        model_sample_seal(bundle_dir, "m", "1", MODEL_mlp);
        if (open_and_load(false, &model, &err) != ERR_OK) {
            refused++;
            continue;
        }
        double score = NAN;
        void *scratch = aligned_alloc(RANKER_ALIGN_BYTES, ranker_scratch_bytes(model));
        ranker_score_rows(model, values, 1, scratch, &score);
        assert_true(isfinite(score));
        free(scratch);
        model_destroy(&model);
    }
    assert_true(refused > len / 2); /* most of the file is names and places */
    free(bytes);
}

int main(void)
{
    model_use_one_blas_thread();
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_random_nets_agree_with_loops_in_double),
        TEST(test_reads_every_float_type),
        TEST(test_refuses_shapes_that_do_not_agree),
        TEST(test_refuses_tensors_that_lack_or_that_nobody_uses),
        TEST(test_refuses_values_out_of_range),
        TEST(test_refuses_bad_manifests),
        TEST(test_nothing_overflows),
        TEST(test_every_truncation_is_refused),
        TEST(test_every_damaged_byte_is_refused_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
