/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as an NDJSON file, plain or gzip: as events, as items and through a map. */
#include "tests/fuzz/fuzz_reader.h"

static const char map[] =
    "{\"time\": \"%d.%m.%Y\", \"money\": \"minor\", \"keep\": [{\"name\": \"r\", \"column\": "
    "\"b\", \"none_of\": [\"x\"]}], \"events\": {\"id\": \"{a}\", \"type\": \"view\", \"ts\": "
    "\"{t}\", \"user\": \"{a}\", \"items\": [{\"id\": \"{a}\", \"price\": \"{b}\"}], \"props\": "
    "{\"k\": \"{b}\"}}, \"items\": {\"id\": \"{a}\", \"price\": \"{b}\"}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_reader_both(data, size, READER_NDJSON, NULL);
    fuzz_reader_both(data, size, READER_NDJSON, map);
    return 0;
}
