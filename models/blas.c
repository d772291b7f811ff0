/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas-openblas.h>

#include "models/model.h"

void model_use_one_blas_thread(void)
{
    openblas_set_num_threads(1);
}
