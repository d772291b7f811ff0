/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a request to a whole service: decoder, gate, every operation, reply.
 *
 * The store and the models stay from one input to the next, as they do in a daemon.  The first
 * byte chooses whether the caller is local. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "tests/support/service_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct service_rig rig;

static void stop(void)
{
    service_rig_destroy(&rig);
}

static void start(void)
{
    service_rig_create(&rig);
    atexit(stop);
    rig_publish(&rig.registry, "f", "1", MODEL_factors);
    rig_publish(&rig.registry, "n", "1", MODEL_neighbors);
    rig_publish(&rig.registry, "l", "1", MODEL_linear);
    rig_publish(&rig.registry, "p", "1", MODEL_prices);
    rig_scan(&rig.registry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_started;
    if (!is_started)
        start();
    is_started = true;
    if (size == 0)
        return 0;
    rig.remote = (data[0] & 1) != 0;
    clock_manual_advance_ns(&rig.clock, 1000000);
    service_rig_run(&rig, data + 1, size - 1);
    return 0;
}
