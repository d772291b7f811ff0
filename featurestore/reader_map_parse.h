/* SPDX-License-Identifier: Apache-2.0 */
/* reader_map_parse - shared by the files of the map's parser. */
#ifndef FEATURESTORE_READER_MAP_PARSE_H
#define FEATURESTORE_READER_MAP_PARSE_H

#include "featurestore/reader_map.h"

/* reader_template.c: "{InvoiceNo}-{#line}"; columns are added to the map. */
MUST_CHECK enum err_code map_parse_template(struct reader_map *map, const struct json_at *at,
                                            struct map_template *ret_template, struct err *err);

/* reader_keep.c: the array `keep`; absent is fine. */
MUST_CHECK enum err_code map_parse_keep(struct reader_map *map, const struct json_at *at,
                                        struct err *err);

/* reader_map.c: the texts of an array, or of an object; *ret_first is NULL when there are none. */
MUST_CHECK enum err_code map_parse_texts(const struct json_at *at, bool is_object,
                                         const cJSON **ret_first, struct err *err);

#endif
