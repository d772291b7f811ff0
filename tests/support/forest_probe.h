/* SPDX-License-Identifier: Apache-2.0 */
/* forest_probe - evaluates a forest on rows that are awkward for it: on its own thresholds and
 * beside them, missing, zero, infinite, beyond all categories.
 *
 * What a loader accepted must be evaluated without reading outside of anything, whichever bytes it
 * came from; that is what fuzz targets and corruption tests show by this.  Aborts the program when
 * the evaluators disagree. */
#ifndef TESTS_SUPPORT_FOREST_PROBE_H
#define TESTS_SUPPORT_FOREST_PROBE_H

#include "models/forest.h"

void forest_probe(const struct forest *forest);

#endif
