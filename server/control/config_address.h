/* SPDX-License-Identifier: Apache-2.0 */
/* config_address - syntax checks of configured addresses, before anything is opened.
 *
 * Threads: no state. */
#ifndef SERVER_CONTROL_CONFIG_ADDRESS_H
#define SERVER_CONTROL_CONFIG_ADDRESS_H

#include <stdbool.h>

/* What the address should have been ("expected ..."), or NULL when it is that. */
const char *config_listen_fault(const char *value); /* of `listen` */
const char *config_http_fault(const char *value);   /* of `http` */

/* Whether both would listen on one TCP port of one host, as far as the texts tell. */
bool config_addresses_clash(const char *listen, const char *http);

#endif
