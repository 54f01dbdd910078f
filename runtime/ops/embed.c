// ops/embed.c -- rows of a table by number.
#include "shared/embed.h"
#include "ops/kernels.h"
#include "ops/ops.h"
#include "ops/rows.h"

void op_embed(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view ids, const struct op_weight *table,
              uint32_t n_tokens, float scale)
{
    const uint32_t n_octets = table->n_cols / 8;
    for (uint32_t s = 0; s < table->n_segments; ++s) {
        const struct op_segment *segment = &table->segments[s];
        const struct embed_params params = {
            .w_low = (uint32_t)segment->address,
            .w_high = (uint32_t)(segment->address >> 32),
            .row_bytes = table->row_bytes,
            .first_row = segment->first_row,
            .n_rows = segment->n_rows,
            .n_groups = table->n_cols / 32,
            .scale = scale,
        };
        gpu_record_dispatch(rec, &(struct gpu_dispatch){
                                     .desc = &kernels[kernel_of(KERNEL_EMBED, table->type)],
                                     .spec = (const uint32_t[EMBED_N_SPEC]){ [EMBED_WG_SIZE] = EMBED_LANES },
                                     .buffers = { [EMBED_IDS] = ids, [EMBED_Y] = y },
                                     .params = &params,
                                     .grid = { rows_div_up(n_octets, EMBED_LANES), n_tokens, 1 },
                                     .work = (uint64_t)n_tokens * table->n_cols,
                                     .bytes = (uint64_t)n_tokens * (table->row_bytes + 4ull * table->n_cols),
                                     .label = "embed",
                                 });
    }
}
