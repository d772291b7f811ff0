/* SPDX-License-Identifier: Apache-2.0 */
/* The check of cursor.c with its finding put into words, apart from what the hot path uses. */
#include "base/cursor.h"

enum err_code cursor_check(const uint8_t *bytes, size_t len, uint32_t values_max, struct err *err)
{
    struct cursor_fault fault;
    enum err_code rc = cursor_check_fault(bytes, len, values_max, &fault);
    if (rc != ERR_OK)
        return err_set(err, rc, "MessagePack, byte %zu of %zu: %s", fault.at, len, fault.what);
    return ERR_OK;
}
