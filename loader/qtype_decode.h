// loader/qtype_decode.h -- one plain decoder per weight format; other rooms reach them through the table in qtype.h.
#ifndef LOADER_QTYPE_DECODE_H
#define LOADER_QTYPE_DECODE_H

#include "loader/qtype.h"

// out[n_blocks * block_len] from n_blocks blocks that lie side by side at any address. Any bytes are legal input.
#define QTYPE_DECODER(name, text, id, block_len, block_bytes) \
    void qtype_decode_##name(float *out, const uint8_t *blocks, size_t n_blocks);
QTYPE_LIST(QTYPE_DECODER)
#undef QTYPE_DECODER

#endif
