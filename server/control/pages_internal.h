/* SPDX-License-Identifier: Apache-2.0 */
/* pages_internal - what the files of the pages do for each other. */
#ifndef SERVER_CONTROL_PAGES_INTERNAL_H
#define SERVER_CONTROL_PAGES_INTERNAL_H

#include "base/buffer.h"
#include "server/control/pages.h"

/* A line for each model: "[+]model home ok: ...", or "[!]..." with why decisions do without it,
 * which is no reason to stay away. */
void pages_put_models(const struct pages *pages, struct buffer *buffer);

#endif
