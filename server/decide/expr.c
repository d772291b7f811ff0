/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/expr.h"

#include <stdlib.h>

#include "server/decide/expr_internal.h"

enum err_code expr_compile(struct text source, const struct expr_schema *schema,
                           enum expr_type wanted, struct expr **ret_expr, struct err *err)
{
    struct expr_tree tree = {0};
    struct expr *expr = NULL;
    if (source.len > EXPR_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "expected at most %d bytes, got %u", EXPR_BYTES_MAX,
                       source.len);
    expr = calloc(1, sizeof *expr);
    char *blob = expr == NULL ? NULL : malloc(2 * (size_t)source.len + 1);
    if (blob == NULL) {
        free(expr);
        return err_set(err, ERR_NOMEM, "no memory for an expression");
    }
    expr->blob = blob;
    enum err_code rc = expr_parse(source, schema, blob, &tree, err);
    if (rc == ERR_OK)
        rc = expr_check(&tree, wanted, err);
    if (rc == ERR_OK)
        rc = expr_emit(&tree, schema, expr, err);
    free(tree.node);
    if (rc != ERR_OK) {
        expr_destroy(&expr);
        return rc;
    }
    *ret_expr = expr;
    return ERR_OK;
}

void expr_destroy(struct expr **expr_ref)
{
    struct expr *expr = *expr_ref;
    *expr_ref = NULL;
    if (expr == NULL)
        return;
    for (uint32_t i = 0; i < expr->set_count; i++)
        expr_set_free(&expr->set[i]);
    free(expr->set);
    free(expr->instruction);
    free(expr->constant);
    free(expr->use);
    free(expr->blob);
    free(expr);
}

uint32_t expr_scopes(const struct expr *expr)
{
    return expr->scopes;
}
