/* SPDX-License-Identifier: Apache-2.0 */
/* registry_line - who serves: the line of versions of a name, what stays loaded of it, and what may
 * not come again.
 *
 * The newest good version of a line serves (registry.h, invariants 1 and 2).  Most of this loads,
 * changes what serves, saves .serving and tells; what fails is refused, and the next one is tried.
 *
 * Threads: the loader (main before start and after stop); no locks.
 * Ownership: versions stay with their name.  What reg_let_go and reg_previous_trim free, a
 * rollback loads again from its folder.  Limits: PREVIOUS_MAX and `previous_bytes_max`. */
#ifndef SERVER_CONTROL_REGISTRY_LINE_H
#define SERVER_CONTROL_REGISTRY_LINE_H

#include "base/err.h"
#include "server/control/registry.h"
#include "server/control/registry_table.h"

/* ---- registry_line.c */
/* Serves the newest good version of the line; loads the one before it, as far as the budget goes,
 * and the newest that waits; frees the others. */
void reg_settle(struct registry *registry, struct reg_name *name);
void reg_refuse(struct registry *registry, struct reg_name *name, struct reg_version *version,
                enum err_code rc, const struct err *err);
MUST_CHECK enum err_code reg_rollback(struct registry *registry, struct reg_name *name,
                                      struct err *err);
MUST_CHECK enum err_code reg_install(struct registry *registry, const char *from,
                                     const char *name_text, const char *version_text,
                                     struct err *err);
void reg_retire(struct registry *registry, struct reg_name *name);

/* ---- registry_promote.c */
MUST_CHECK enum err_code reg_promote(struct registry *registry, struct reg_name *name,
                                     const char *version_text, struct err *err);
/* A version that can be loaded, or is. */
MUST_CHECK enum err_code reg_find_version(const struct reg_name *name, const char *version_text,
                                          struct reg_version **ret_version, struct err *err);

/* ---- registry_previous.c; by the labels of the snapshot that serves */
bool reg_has_label(const struct reg_name *name, const struct reg_version *version);
/* It was rolled back, or refused: nothing serves it by itself. */
bool reg_is_aside(const struct reg_name *name, const struct reg_version *version);
/* It is loaded, has no label, does not wait, and its folder is not still in .releases: what the
 * budget is for. */
bool reg_is_previous(const struct reg_name *name, const struct reg_version *version);
/* What a rollback serves, loaded or not; NULL: nothing. */
struct reg_version *reg_before(const struct reg_name *name);
/* Whether a version that is not loaded would be among those that stay, as far as is known. */
bool reg_would_stay(const struct registry *registry, struct reg_name *name,
                    struct reg_version *version);
void reg_let_go(struct reg_version *version);
/* Lets go what is beyond the budget, of all names; true when that was any.  What has no folder to
 * be loaded from again is forgotten: pointers to versions without a label are void. */
bool reg_previous_trim(struct registry *registry);
void reg_previous_limit(struct registry *registry, uint64_t bytes_max); /* and trims */
struct registry_previous reg_previous_sum(const struct registry *registry);

/* ---- registry_ratchet.c; nothing without keys */
/* A folder that came, or changed. */
void reg_ratchet_arrive(const struct registry *registry, const char *name, const char *version,
                        const char *dir);
/* What is about to answer: `next` of all names. */
void reg_ratchet_raise(struct registry *registry);
void reg_ratchet_save(struct registry *registry);
/* Forgets versions that are gone. */
void reg_ratchet_prune(struct registry *registry);

#endif
