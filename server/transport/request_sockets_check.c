/* SPDX-License-Identifier: Apache-2.0 */
/* What start would find out too late for whoever lets go of a daemon that works. */
#include <errno.h>
#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "server/transport/request_sockets.h"
#include "server/transport/sp_server.h"

#define TLS_SCHEME "tls+tcp://"

static enum err_code check_certificate(const char *file, struct err *err)
{
    nng_tls_config *config = NULL;
    int rc = nng_tls_config_alloc(&config, NNG_TLS_MODE_SERVER);
    if (rc == 0)
        rc = nng_tls_config_cert_key_file(config, file, NULL);
    if (config != NULL)
        nng_tls_config_free(config);
    if (rc == 0)
        return ERR_OK;
    return err_set(err, ERR_BAD_INPUT, "tls_certificate_file '%s': %s", file, nng_strerror(rc));
}

enum err_code request_sockets_check(const struct request_sockets_options *options, struct err *err)
{
    bool has_native = false, has_tls = false;
    for (uint32_t i = 0; i < options->address_count; i++) {
        const char *address = options->addresses[i];
        has_native = has_native || request_sockets_is_native(address);
        has_tls = has_tls || strncmp(address, TLS_SCHEME, strlen(TLS_SCHEME)) == 0;
    }
    enum err_code rc = ERR_OK;
    if (has_native && options->realtime_priority > 0)
        rc = sp_server_check_priority(options->realtime_priority, err);
    if (rc == ERR_OK && has_tls)
        rc = check_certificate(options->tls_certificate_file, err);
    return rc;
}
