/* SPDX-License-Identifier: Apache-2.0 */
/* config_keys - the public keys of the option `model_keys`.
 *
 * A key is the base64 text printed by minisign, or the path of a file with it; a text that is not
 * the base64 of a key is taken as a path.  Threads: no state. */
#ifndef SERVER_CONTROL_CONFIG_KEYS_H
#define SERVER_CONTROL_CONFIG_KEYS_H

#include "base/err.h"
#include "models/minisign.h"

struct config_list;

/* NULL when the text may be a key or the path of one; otherwise what was expected. */
const char *config_key_fault(const char *value);

/* Reads all of a checked list; the messages name the option. */
MUST_CHECK enum err_code config_keys(const struct config_list *list, struct minisign_keys *ret_keys,
                                     struct err *err);

#endif
