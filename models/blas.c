/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas-openblas.h>

#include "models/model.h"

void model_use_one_blas_thread(void)
{
    openblas_set_num_threads(1);
}

bool model_blas_is_thread_safe(void)
{
    return openblas_get_parallel() != OPENBLAS_SEQUENTIAL;
}
