/* SPDX-License-Identifier: Apache-2.0 */
/* answers_table - the layout shared by answers.c (creation) and answers_read.c (hot path). */
#ifndef SERVER_DECIDE_ANSWERS_TABLE_H
#define SERVER_DECIDE_ANSWERS_TABLE_H

#include <stdatomic.h>

#include "server/decide/answers.h"

struct answer {
    atomic_flag busy; /* taken by whoever copies the entry in or out */
    uint32_t count;
    uint64_t key, person;
    uint32_t item[ANSWERS_ITEMS_MAX];
};

struct answers {
    uint64_t mask; /* entries - 1; a power of two */
    struct answer entry[];
};

#endif
