/* SPDX-License-Identifier: Apache-2.0 */
/* json_text - one JSON string for programs that print their JSON as they go.  Threads: no state. */
#ifndef TOOLS_CLI_JSON_TEXT_H
#define TOOLS_CLI_JSON_TEXT_H

#include <stdio.h>

/* With its quotes.  Names of files and arguments are any bytes: each that is no UTF-8 becomes
 * U+FFFD, so that what is printed is always JSON. */
void json_text_print(const char *text, FILE *out);

#endif
