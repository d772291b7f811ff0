/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles of the kind mlp: random nets against loops in double over the tensors as they are in the
 * file, in every float type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "models/ranker.h"
#include "models/safetensors.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/bundle_rig.h"

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
        bundle_rig_tensor(net.name[net.tensor_count], net.type, to, rows, columns);
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
        if (bundle_rig_load_mlp(net.tensor, net.tensor_count, extra, &model, &err) != ERR_OK)
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
    struct tensor t = bundle_rig_tensor("t", TENSOR_F16, half, 9, 0);
    for (uint32_t i = 0; i < 9; i++) {
        assert_true(tensor_float(&t, i) == half_value[i]);
        assert_true(signbit(tensor_float(&t, i)) == signbit(half_value[i]));
    }
    t = bundle_rig_tensor("t", TENSOR_F16, ends, 3, 0);
    assert_true(tensor_float(&t, 0) == (double)INFINITY);
    assert_true(tensor_float(&t, 1) == -(double)INFINITY);
    assert_true(isnan(tensor_float(&t, 2)));
    t = bundle_rig_tensor("t", TENSOR_BF16, brain, 3, 0);
    assert_true(tensor_float(&t, 0) == 1 && tensor_float(&t, 1) == -3.140625);
    assert_true(tensor_float(&t, 2) == (double)INFINITY);
}

int main(void)
{
    model_use_one_blas_thread();
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, bundle_rig_set_up, bundle_rig_tear_down)
        TEST(test_random_nets_agree_with_loops_in_double),
        TEST(test_reads_every_float_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
