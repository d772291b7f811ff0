/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_internal - the file format, shared by writer and reader. */
#ifndef FEATURESTORE_CHECKPOINT_INTERNAL_H
#define FEATURESTORE_CHECKPOINT_INTERNAL_H

#define CHECKPOINT_MAGIC            "decidedS"
#define CHECKPOINT_VERSION          1u
#define CHECKPOINT_SEED             UINT64_C(0x636865636b)
#define CHECKPOINT_HEADER_BYTES     32
#define CHECKPOINT_BLOCK_HEAD_BYTES 8
#define CHECKPOINT_ROW_HEAD_BYTES   9

#endif
