/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/model_view.h"

void model_view_pack_retrieval(const struct model *model, struct pack *pack)
{
    struct factors_retrieval retrieval;
    if (!model_has_vectors(model)) {
        pack_nil(pack);
        return;
    }
    factors_retrieval(model->as.factors, &retrieval);
    pack_map(pack, retrieval.is_exact ? 3 : 6);
    pack_key(pack, "by");
    pack_str(pack, retrieval.is_exact ? "exact" : "index");
    pack_key(pack, "build_ms");
    pack_int(pack, (int64_t)(retrieval.build_ns / 1000000));
    pack_key(pack, "bytes");
    pack_int(pack, (int64_t)retrieval.bytes);
    if (retrieval.is_exact)
        return;
    pack_key(pack, "lists");
    pack_int(pack, retrieval.list_count);
    pack_key(pack, "probes");
    pack_int(pack, retrieval.probes);
    pack_key(pack, "recall");
    pack_real(pack, retrieval.recall);
}
