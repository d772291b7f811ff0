/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as a CSV file, plain or gzip, through a map that uses every kind of value. */
#include "tests/fuzz/fuzz_reader.h"

static const char map[] =
    "{\"columns\": [\"a\", \"b\", \"c\"], \"types\": {\"buy\": \"purchase\"},"
    " \"keep\": [{\"name\": \"r\", \"column\": \"b\", \"below\": 1000},"
    "            {\"name\": \"s\", \"column\": \"c\", \"begins_not_with\": \"x\"}],"
    " \"events\": {\"id\": \"{a}-{#line}\", \"type\": \"{c}\", \"ts\": \"{a}\", \"user\": "
    "\"{a|trim}\", \"currency\": \"EUR\", \"total\": \"{b}\", \"query\": \"{b|integer}\","
    " \"items\": [{\"id\": \"{c}\", \"qty\": \"{b}\", \"price\": \"{b}\"}]},"
    " \"items\": {\"id\": \"{a}\", \"title\": \"{c}\", \"stock\": \"{b}\", \"attributes\": {\"k\": "
    "\"{c}\"}}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_reader_both(data, size, READER_CSV, map);
    return 0;
}
