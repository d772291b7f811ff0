/* SPDX-License-Identifier: Apache-2.0 */
/* feature_rig - a store whose features are defined by the test: events go in, values come out. */
#ifndef TESTS_SUPPORT_FEATURE_RIG_H
#define TESTS_SUPPORT_FEATURE_RIG_H

#include "featurestore/feature_reader.h"
#include "tests/support/store_rig.h"

#define FEATURE_RIG_ROWS_MAX 50 /* of each table */

void feature_rig_create(struct store_rig *rig);

/* `features`: the members of "features"; they must be good. */
struct definitions *feature_rig_parse(const char *features, struct err *err);
/* All steps of putting others in force; takes them over on success. */
enum err_code feature_rig_redefine(struct store *store, struct definitions **definitions,
                                   uint32_t *ret_new_count, struct err *err);
/* They are in force from now on.  Returns how many begin anew. */
uint32_t feature_rig_define(struct store_rig *rig, const char *features);
/* A shoe, a boot and a hat. */
void feature_rig_load_catalogue(struct store_rig *rig);
/* One event: "view u1 shoe", `ago_s` before now; the user "@a1" is an anonymous id. */
void feature_rig_act(struct store_rig *rig, const char *type, const char *user, const char *item,
                     int64_t ago_s);

struct feature_rig_of {
    const char *user, *anon, *item, *query, *slot;
};

struct feature_detail feature_rig_detail(struct store_rig *rig, const char *name,
                                         struct feature_rig_of of);
double feature_rig_value(struct store_rig *rig, const char *name, struct feature_rig_of of);

/* Of the feature rig `rig` of the test: assert_value("user.views", 1, .user = "u"). */
#define assert_value(name, expected, ...)                                                          \
    do {                                                                                           \
        double got = feature_rig_value(&rig, name, (struct feature_rig_of){__VA_ARGS__});          \
        if (fabs(got - (expected)) > 1e-6 || isnan(got))                                           \
            fail_msg("line %d: %s: expected %g, got %g", __LINE__, name, (double)(expected), got); \
    } while (0)

#define COMMA ","
#define VIEWS(key) \
    "\"" key ".views\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"7d\"}"

#endif
