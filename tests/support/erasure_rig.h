/* SPDX-License-Identifier: Apache-2.0 */
/* erasure_rig - a daemon with two people: Alice, who is going to be forgotten, and Bob, who stays;
 * one in a program.  What is not as it must be fails the test. */
#ifndef TESTS_SUPPORT_ERASURE_RIG_H
#define TESTS_SUPPORT_ERASURE_RIG_H

#include <cjson/cJSON.h>

#include "tests/support/daemon.h"

#define ALICE   "alice-4711-zanzibar"
#define DEVICE  "device-of-alice-0815"
#define AT_ONCE "\"erasure_delay_s\": 0, \"disk_reserve_bytes\": 0"

extern struct daemon erasure_rig_daemon;
/* Its data_dir. */
extern char erasure_rig_dir[2 * TEMP_DIR_BYTES];
void erasure_rig_start(const char *config); /* with the features of deploy/ */
int erasure_rig_tear_down(void **state);
/* The reply, which is no error; the caller cJSON_Deletes it. */
cJSON *erasure_rig_ask(const char *op, const char *json);
void erasure_rig_tell(const char *op, const char *json);
int erasure_rig_number(const cJSON *reply, const char *key);
void erasure_rig_people_live(void);
cJSON *erasure_rig_forget(const char *json);

/* Until nobody waits to be erased; the last reply of `erasures`. */
cJSON *erasure_rig_wait(void);

/* No file holds an id of Alice; and Bob is as he was. */
void erasure_rig_check_gone(void);
void erasure_rig_check_bob(void);

#endif
