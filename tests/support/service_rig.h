/* SPDX-License-Identifier: Apache-2.0 */
/* service_rig - the whole service in the test's own process, without sockets: JSON in, JSON out.
 *
 * Behind it are a real store, registry, jobs and reload; the clock of modes and deadlines is the
 * test's.  A call that is deferred is waited for (20 s, then the program ends with a message).
 * Threads: one owner. */
#ifndef TESTS_SUPPORT_SERVICE_RIG_H
#define TESTS_SUPPORT_SERVICE_RIG_H

#include <cjson/cJSON.h>

#include "server/control/service.h"
#include "tests/support/registry_rig.h"

struct service_rig {
    struct registry_rig registry; /* its directory holds decided.json and models/ */
    struct clock_manual clock;
    struct answers *answers;
    struct erasure *erasure; /* not started */
    struct workers *workers;
    struct worker *worker;
    struct audit *audit; /* in the registry's directory */
    struct modes modes;
    struct access access;
    struct admission admission; /* a target of 0.5 ms, 2 ms at most */
    struct config *config;
    struct jobs *jobs;
    struct reload reload;
    struct model_ops *model_ops;
    struct service *service;
    uint8_t *reply_bytes;
    char config_path[2 * TEMP_DIR_BYTES];
    bool drain_asked;
    bool may_restart; /* and how it goes */
    enum err_code restart_rc;
    bool remote;           /* calls come from elsewhere */
    bool from_page;        /* or from a web page on this machine */
    uint64_t waited_ns;    /* how long calls have waited when they get to the service */
    enum reply_code code;  /* of the last call */
    enum call_state state; /* of the last call */
};

void service_rig_create(struct service_rig *rig);
void service_rig_destroy(struct service_rig *rig);
/* The same for cmocka: *state is a struct service_rig. */
int service_rig_set_up(void **state);
int service_rig_tear_down(void **state);

/* The reply to the bytes; the caller cJSON_Deletes it. */
cJSON *service_rig_call(struct service_rig *rig, const uint8_t *bytes, size_t len);
/* The same for JSON text, which must be well-formed. */
cJSON *service_rig_ask(struct service_rig *rig, const char *json);

/* Without JSON, for fuzzing: makes the call, waits for it, and checks that the reply is one
 * well-formed map. */
void service_rig_run(struct service_rig *rig, const uint8_t *bytes, size_t len);

#endif
