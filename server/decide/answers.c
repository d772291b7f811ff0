/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/answers_table.h"

#include <stdlib.h>

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
