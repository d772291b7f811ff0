/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/answers_table.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum err_code answers_create(uint32_t entry_count, struct answers **ret_answers, struct err *err)
{
    uint64_t count = 16;
    while (count < entry_count)
        count *= 2;
    struct answers *answers = calloc(1, sizeof *answers + count * sizeof answers->entry[0]);
    if (answers == NULL)
        return err_set(err, ERR_NOMEM, "no memory for %llu remembered answers",
                       (unsigned long long)count);
    answers->mask = count - 1;
    *ret_answers = answers;
    return ERR_OK;
}

void answers_destroy(struct answers **answers)
{
    free(*answers);
    *answers = NULL;
}

void answers_forget(struct answers *answers, uint64_t person)
{
    for (uint64_t i = 0; i <= answers->mask; i++) {
        struct answer *entry = &answers->entry[i];
        while (atomic_flag_test_and_set_explicit(&entry->busy, memory_order_acquire))
            sched_yield();
        if (entry->person == person && entry->count > 0) {
            entry->count = 0;
            memset(entry->item, 0, sizeof entry->item);
        }
        atomic_flag_clear_explicit(&entry->busy, memory_order_release);
    }
}
