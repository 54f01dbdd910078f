// ops/attention.c -- attention over a cache: the cut into workgroups and splits, then a dispatch per window of slots.
#include "ops/attention.h"

#include <assert.h>

#include "ops/choose.h"
#include "ops/kernels.h"
#include "ops/rope.h"
#include "ops/rows.h"
#include "shared/attention.h"

#define MAX_ROWS 8 // sixteen need 240 registers on AMD, which halves the occupancy, and spill on Intel
#define FEW_ROWS 4
#define MAX_SPLITS 128      // windows times splits of each
#define GPU_WORKGROUPS 512u // enough to fill the largest device two or three times
#define CPU_WORKGROUPS 8u
#define SUBGROUP_SHUFFLES 0x10u // VK_SUBGROUP_FEATURE_SHUFFLE_BIT
#define NOMINAL_SHARED_BYTES 32768u

struct attention_limits attention_limits_of(const struct gpu_device *device)
{
    const struct gpu_snapshot *seen = gpu_device_snapshot(device);
    const struct gpu_plan *plan = gpu_device_plan(device);
    const bool shuffles = (seen->subgroup_operations & SUBGROUP_SHUFFLES) != 0;
    return (struct attention_limits){
        .cpu = plan->cpu,
        .wide = choose_is_wide_cpu(plan),
        .lanes = plan->cpu || !shuffles ? 1 : rows_min(8, plan->subgroup_size),
        .subgroup_size = plan->subgroup_size,
        .shared_bytes = rows_min(seen->max_shared_bytes, NOMINAL_SHARED_BYTES),
        .window_bytes = plan->max_binding_bytes,
    };
}

static uint32_t tile_keys(const struct attention_tiling *t)
{
    return t->wg_size / t->lanes * t->keys_each;
}

static uint32_t shared_bytes(const struct attention_tiling *t, uint32_t head_size)
{
    return (t->rows * head_size + 2 * t->rows * tile_keys(t) + 5 * t->rows) * 4;
}

struct attention_tiling attention_choose(const struct attention_limits *limits, const struct op_attention_shape *shape,
                                         uint32_t n_kv_heads, uint32_t head_size)
{
    struct attention_tiling t = { .lanes = limits->lanes, .rows = 1 };

    // An invocation owns a pair of columns; a software device prefers few invocations that own several.
    t.wg_size = rows_max(limits->subgroup_size, limits->cpu ? 32 : 64);
    while (!limits->cpu && t.wg_size < head_size / 2)
        t.wg_size *= 2;

    // Without a spill on Intel, whose subgroups are narrow and registers few, and in a time that a software device
    // needs to compile it.
    const bool narrow = !limits->cpu && limits->subgroup_size <= 16;
    const uint32_t max_rows = limits->cpu || narrow ? FEW_ROWS : MAX_ROWS;
    t.keys_each = narrow ? 1 : 2;

    const uint32_t group = shape->n_heads / n_kv_heads, n_rows = shape->n_tokens * group;
    while (t.rows < n_rows && t.rows < max_rows) {
        t.rows *= 2;
        if (shared_bytes(&t, head_size) > limits->shared_bytes) {
            t.rows /= 2;
            break;
        }
    }

    uint32_t n_keys = shape->last_position + 1;
    if (shape->window > 0)
        n_keys = rows_min(n_keys, shape->window + t.rows / group);
    const uint32_t n_blocks = rows_div_up(n_rows, t.rows) * n_kv_heads;
    const uint32_t wanted = rows_div_up(limits->cpu ? CPU_WORKGROUPS : GPU_WORKGROUPS, n_blocks);
    const uint32_t sensible = n_keys / (tile_keys(&t) * (limits->cpu ? 4 : 2)); // a split is worth some tiles
    t.n_splits = rows_max(1, rows_min(rows_min(wanted, sensible), MAX_SPLITS));
    return t;
}

// Rows of partial results that a call keeps at most. More than one split is chosen only while the blocks of rows are
// fewer than the workgroups wanted, so splits times rows stay below twice the rows of that many workgroups.
static uint32_t scratch_rows(bool cpu, uint32_t n_tokens, uint32_t n_heads)
{
    const uint32_t bound = 2 * MAX_ROWS * (cpu ? CPU_WORKGROUPS : GPU_WORKGROUPS);
    return rows_min(MAX_SPLITS * n_tokens * n_heads, rows_max(bound, MAX_SPLITS * n_heads));
}

static uint64_t part_bytes(uint32_t head_size)
{
    return (head_size + 2ull) * sizeof(float);
}

static uint64_t scratch_bytes(bool cpu, bool wide, uint32_t n_tokens, uint32_t n_heads, uint32_t head_size)
{
    const uint64_t of_parts = scratch_rows(cpu, n_tokens, n_heads) * part_bytes(head_size);
    const uint64_t of_weights = wide ? attention_cpu_scratch_bytes() : 0;
    return of_parts > of_weights ? of_parts : of_weights;
}

uint64_t attention_scratch_bytes(const struct attention_limits *limits, uint32_t n_tokens, uint32_t n_heads,
                                 uint32_t head_size)
{
    return scratch_bytes(limits->cpu, limits->wide, n_tokens, n_heads, head_size);
}

uint64_t op_attention_scratch_bytes(const struct gpu_plan *plan, uint32_t n_tokens, uint32_t n_heads,
                                    uint32_t head_size)
{
    return scratch_bytes(plan->cpu, choose_is_wide_cpu(plan), n_tokens, n_heads, head_size);
}

struct attention_keys attention_count(const struct op_attention_shape *shape, uint32_t n_tokens)
{
    struct attention_keys n = { shape->last_position + 1ull, shape->last_position + 1ull };
    if (shape->window > 0) {
        const uint64_t all = shape->window + n_tokens - 1ull;
        n.of_one = n.of_one < shape->window ? n.of_one : shape->window;
        n.of_all = n.of_all < all ? n.of_all : all;
    }
    return n;
}

// What one call shares among its dispatches.
struct pass {
    struct gpu_recorder *rec;
    const struct op_cache *cache;
    const struct op_attention_shape *shape;
    struct attention_tiling tiling;
    struct gpu_view step, parts, counters;
    uint32_t first_token, n_tokens; // of this chunk
    uint32_t n_parts;               // windows times splits; 1: nothing to join
};

static void record_window(const struct pass *p, struct gpu_view y, struct gpu_view q, const struct cache_window *window,
                          uint32_t first_part)
{
    const struct op_cache *cache = p->cache;
    const uint32_t n_rows = p->n_tokens * (p->shape->n_heads / cache->n_kv_heads);
    const uint64_t keys = rows_address(window->keys), values = rows_address(window->values);
    const struct attention_keys n = attention_count(p->shape, p->n_tokens);
    gpu_record_dispatch(
        p->rec, &(struct gpu_dispatch){
                    .desc = &kernels[KERNEL_ATTENTION],
                    .spec =
                        (const uint32_t[ATTENTION_N_SPEC]){
                            [ATTENTION_WG_SIZE] = p->tiling.wg_size,
                            [ATTENTION_HEAD_SIZE] = cache->head_size,
                            [ATTENTION_ROWS] = p->tiling.rows,
                            [ATTENTION_LANES] = p->tiling.lanes,
                            [ATTENTION_KEYS_EACH] = p->tiling.keys_each,
                            [ATTENTION_CACHE_F32] = cache->type == OP_CACHE_F32,
                            [ATTENTION_SPLIT] = p->n_parts > 1,
                            [ATTENTION_WINDOWED] = window->n_slots < cache->n_slots,
                        },
                    .buffers = { [ATTENTION_Q] = q,
                                 [ATTENTION_KEYS] = window->keys,
                                 [ATTENTION_VALUES] = window->values,
                                 [ATTENTION_STEP] = rows_view(p->step, 0, OP_STEP_BYTES),
                                 [ATTENTION_OUT] = y,
                                 [ATTENTION_PARTS] = p->parts,
                                 [ATTENTION_PARTS_IN] = p->parts,
                                 [ATTENTION_COUNTERS] = p->counters },
                    .params = &(struct attention_params){ .n_tokens = p->n_tokens,
                                                          .n_heads = p->shape->n_heads,
                                                          .n_kv_heads = cache->n_kv_heads,
                                                          .window = p->shape->window,
                                                          .n_slots = cache->n_slots,
                                                          .first_slot = window->first_slot,
                                                          .window_slots = window->n_slots,
                                                          .n_splits = p->tiling.n_splits,
                                                          .first_part = first_part,
                                                          .n_parts = p->n_parts,
                                                          .first_token = p->first_token,
                                                          .keys_low = (uint32_t)keys,
                                                          .keys_high = (uint32_t)(keys >> 32),
                                                          .values_low = (uint32_t)values,
                                                          .values_high = (uint32_t)(values >> 32) },
                    .grid = { rows_div_up(n_rows, p->tiling.rows), cache->n_kv_heads, p->tiling.n_splits },
                    .work = 2 * n.of_one * p->n_tokens * p->shape->n_heads * cache->head_size,
                    .bytes = op_cache_bytes(cache) / cache->n_slots * n.of_all * window->n_slots / cache->n_slots +
                             q.size_bytes + y.size_bytes,
                    .label = p->shape->window > 0 ? "attention.window" : "attention.full",
                });
}

// Tokens in chunks whose rows fit a binding.
static void record_cpu(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view q, const struct op_cache *cache,
                       struct gpu_view step, struct gpu_view scratch, const struct op_attention_shape *shape,
                       const struct attention_limits *limits)
{
    const uint64_t row_bytes = (uint64_t)shape->n_heads * cache->head_size * sizeof(float);
    const struct gpu_plan bindings = { .max_binding_bytes = limits->window_bytes };
    const uint32_t window = rows_per_window(&bindings, row_bytes);
    struct op_attention_shape chunk = *shape;
    for (uint32_t first = 0; first < shape->n_tokens; first += chunk.n_tokens) {
        chunk.n_tokens = rows_min(window, shape->n_tokens - first);
        attention_cpu_record(rec, rows_view(y, first * row_bytes, chunk.n_tokens * row_bytes),
                             rows_view(q, first * row_bytes, chunk.n_tokens * row_bytes), cache, step, scratch, &chunk,
                             first, limits->subgroup_size);
    }
}

void attention_record(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view q, const struct op_cache *cache,
                      struct gpu_view step, struct gpu_view scratch, struct gpu_view counters,
                      const struct op_attention_shape *shape, const struct attention_limits *limits)
{
    struct cache_window window;
    uint32_t n_windows = 0;
    if (attention_cpu_fits(limits, cache, shape)) {
        record_cpu(rec, y, q, cache, step, scratch, shape, limits);
        return;
    }
    for (uint32_t slot = 0; slot < cache->n_slots; ++n_windows)
        slot = cache_window(&window, cache, limits->window_bytes, slot);

    struct pass p = { .rec = rec, .cache = cache, .shape = shape, .step = step };
    p.counters = rows_view(counters, OP_COUNTERS_ATTENTION * OP_COUNTERS_EACH * 4ull, OP_COUNTERS_EACH * 4);
    p.tiling = attention_choose(limits, shape, cache->n_kv_heads, cache->head_size);
    p.tiling.n_splits = rows_max(1, rows_min(p.tiling.n_splits, MAX_SPLITS / n_windows));
    p.n_parts = n_windows * p.tiling.n_splits;

    // Tokens in chunks whose partial results fit the scratch and whose rows fit a binding.
    const uint32_t n_heads = shape->n_heads;
    const uint64_t row_bytes = (uint64_t)n_heads * cache->head_size * sizeof(float);
    uint32_t chunk = rows_min(shape->n_tokens, rows_per_window(gpu_recorder_plan(rec), row_bytes));
    if (p.n_parts > 1)
        chunk = rows_min(rows_min(chunk, rows_max(1, OP_COUNTERS_EACH / n_heads)),
                         rows_max(1, scratch_rows(limits->cpu, shape->n_tokens, n_heads) / n_heads / p.n_parts));
    if (chunk < shape->n_tokens && chunk > 1)
        chunk -= chunk % 2; // keeps the offset of the next chunk aligned for the smallest heads

    for (p.first_token = 0; p.first_token < shape->n_tokens; p.first_token += p.n_tokens) {
        p.n_tokens = rows_min(chunk, shape->n_tokens - p.first_token);
        const struct gpu_view q_rows = rows_view(q, p.first_token * row_bytes, p.n_tokens * row_bytes);
        const struct gpu_view y_rows = rows_view(y, p.first_token * row_bytes, p.n_tokens * row_bytes);
        p.parts = rows_view(scratch, 0, (uint64_t)p.n_parts * p.n_tokens * n_heads * part_bytes(cache->head_size));
        assert((p.n_parts == 1 || p.parts.size_bytes <= scratch.size_bytes) && "what lies behind would be overwritten");
        if (p.n_parts == 1) // neither is touched
            p.parts = p.counters;
        uint32_t part = 0;
        for (uint32_t slot = 0; slot < cache->n_slots; part += p.tiling.n_splits) {
            slot = cache_window(&window, cache, limits->window_bytes, slot);
            record_window(&p, y_rows, q_rows, &window, part);
        }
    }
}

void op_attention(struct gpu_recorder *rec, struct gpu_view y, struct gpu_view q, const struct op_cache *cache,
                  struct gpu_view step, struct gpu_view scratch, struct gpu_view counters,
                  const struct op_attention_shape *shape)
{
    const struct attention_limits limits = attention_limits_of(gpu_recorder_device(rec));
    attention_record(rec, y, q, cache, step, scratch, counters, shape, &limits);
}

bool kernel_list_attention(const struct gpu_plan *plan, kernel_visit_fn *visit, void *user)
{
    if (choose_is_wide_cpu(plan) && !attention_cpu_list(plan, visit, user))
        return false;
    static const struct {
        uint32_t n_heads, n_kv_heads, head_size, window;
    } kinds[] = { { 16, 8, 256, 1024 }, { 16, 2, 512, 0 } };
    const struct attention_limits limits = { .cpu = plan->cpu,
                                             .lanes = plan->cpu ? 1 : rows_min(8, plan->subgroup_size),
                                             .subgroup_size = plan->subgroup_size,
                                             .shared_bytes = NOMINAL_SHARED_BYTES };
    for (size_t i = 0; i < COUNT(kinds); ++i)
        for (uint32_t n_tokens = 1; n_tokens <= 512; n_tokens += 511)
            for (uint32_t f32 = 0; f32 < 2; ++f32)
                for (uint32_t split = 0; split < 2; ++split) {
                    const struct op_attention_shape shape = { n_tokens, kinds[i].n_heads, kinds[i].window, 4095 };
                    const struct attention_tiling t =
                        attention_choose(&limits, &shape, kinds[i].n_kv_heads, kinds[i].head_size);
                    const uint32_t spec[ATTENTION_N_SPEC] = {
                        [ATTENTION_WG_SIZE] = t.wg_size, [ATTENTION_HEAD_SIZE] = kinds[i].head_size,
                        [ATTENTION_ROWS] = t.rows,       [ATTENTION_LANES] = t.lanes,
                        [ATTENTION_CACHE_F32] = f32,     [ATTENTION_KEYS_EACH] = t.keys_each,
                        [ATTENTION_SPLIT] = split,
                    };
                    if (!visit(user, KERNEL_ATTENTION, spec))
                        return false;
                }
    return true;
}
