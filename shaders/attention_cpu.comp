// attention_cpu.comp -- y = softmax(q k^T) v over a cache, causal and windowed, on software devices.
//
//   q        f32 [n_tokens][n_heads][head_size]             read
//   keys     f16 or f32 [n_slots][n_kv_heads][head_size]    read: -DFORMAT_F16 or -DFORMAT_F32
//   values   the same                                       read
//   step     u32 [4]                                        read; the first token's position
//   y        f32 [n_tokens][n_heads][head_size]             written; sums on the way
//   weights  f32 [workgroups][CHUNK][COLS]                  written and read
//
// Rows and tiles are those of attention.comp, but a tile is made by one subgroup, and everything is read at addresses
// (lib/row_product_cpu.glsl says why). Scores are a product whose rows are keys, four to a lane. A lane keeps the scores of
// its keys, then their weights, in memory, and broadcasts them where values are added up, four columns to a lane. What a
// lane writes, weights and sums, only that lane reads back: so there is no barrier.
//
//   grid       (n_tokens * group / COLS rounded up, n_kv_heads); see lib/claim.glsl
//   requires   as attention.comp, the cache in one binding; 64-bit integers; the workgroup is one full subgroup
//   precision  f32; weights against the running maximum, so nothing overflows
//   cost       keys and values once per tile
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#include "shared/attention_cpu.h"

layout(local_size_x_id = ATTENTION_CPU_SUBGROUP) in;
layout(constant_id = ATTENTION_CPU_SUBGROUP) const uint SUBGROUP = 8;
const uint ROWS = 4; // keys per lane
const uint COLS = ATTENTION_CPU_COLS;
const bool APART = true; // sums in groups of 16, for scores far apart
#ifdef FORMAT_F32
#define CACHE_BYTES 4 // of an element
#else
#define CACHE_BYTES 2
#endif
#include "lib/row_product_cpu.glsl"

layout(binding = ATTENTION_CPU_Q) readonly buffer Q { uint q[]; };
layout(binding = ATTENTION_CPU_KEYS) readonly buffer Keys { uint keys[]; };
layout(binding = ATTENTION_CPU_VALUES) readonly buffer Values { uint values[]; };
layout(binding = ATTENTION_CPU_STEP) readonly buffer Step { uint first_position; };
layout(binding = ATTENTION_CPU_OUT) writeonly buffer Out { uint y[]; }; // as others see it: read are own sums only
layout(binding = ATTENTION_CPU_WEIGHTS) buffer Weights { uint weights[]; };
layout(push_constant) uniform Params { attention_cpu_params p; };
#include "lib/claim.glsl"

layout(buffer_reference, std430, buffer_reference_align = 8) buffer LongsOut { uint64_t v[]; };

const uint CHUNK = ATTENTION_CPU_CHUNK;
const uint AT_ONCE = SUBGROUP < 16 ? 16 : SUBGROUP; // keys whose values are loaded together
const float NO_SCORE = -1e30; // a key that a row does not see; finite, so that differences of two are
const float ANY_SCORE = -5e29;

// The query rows of the tile.
uint n_cols;
uint position[COLS];
uint y_offset[COLS];  // bytes
float largest[COLS];  // scores so far
float total[COLS];    // of the weights so far

// Keys [first_key, first_key + n_keys), whose weights are in memory.
uint first_key, n_keys, first_slot;
uvec2 weights_at; // those of the lane's first key

uint bound_word()
{
    return q[0];
}

// Bytes to the slot of key k of the chunk; one beyond the last stands for the last.
uint slot_offset(uint k)
{
    uint slot = first_slot + min(k, n_keys - 1);
    slot -= slot >= p.n_slots ? p.n_slots : 0;
    return slot * p.n_kv_heads * CACHE_BYTES * p.head_size;
}

// What a lane keeps of its k-th key.
void keep(uint k, float of_cols[COLS])
{
    LongsOut to = LongsOut(weights_at);
    [[unroll]] for (uint t = 0; t < COLS; t += 2)
        to.v[(k * SUBGROUP * COLS + t) / 2] = pack64(floatBitsToUint(vec2(of_cols[t], of_cols[t + 1])));
}

void kept(uint k, out float of_cols[COLS])
{
    LongsOut from = LongsOut(weights_at);
    [[unroll]] for (uint t = 0; t < COLS; t += 2) {
        const vec2 two = uintBitsToFloat(unpack32(from.v[(k * SUBGROUP * COLS + t) / 2]));
        of_cols[t] = two.x;
        of_cols[t + 1] = two.y;
    }
}

// Scores of the chunk's keys; returns the largest that each lane has seen.
void score_keys(uvec2 head_keys, out float seen_largest[COLS])
{
    [[unroll]] for (uint t = 0; t < COLS; ++t)
        seen_largest[t] = NO_SCORE;
    [[dont_unroll]] for (uint k = 0; k * SUBGROUP < n_keys; k += ROWS) {
        [[unroll]] for (uint r = 0; r < ROWS; ++r)
            row_at[r] = address_plus(head_keys, slot_offset((k + r) * SUBGROUP + gl_SubgroupInvocationID));
        [[unroll]] for (uint i = 0; i < ROWS * COLS; ++i)
            sums[i] = 0;
        add_row();
        [[unroll]] for (uint r = 0; r < ROWS; ++r) {
            const uint key = (k + r) * SUBGROUP + gl_SubgroupInvocationID, at = first_key + key;
            float scores[COLS];
            [[unroll]] for (uint t = 0; t < COLS; ++t) {
                const bool seen = key < n_keys && at <= position[t] && (p.window == 0 || at + p.window > position[t]);
                scores[t] = seen ? sums[r * COLS + t] : NO_SCORE;
                seen_largest[t] = max(seen_largest[t], scores[t]);
            }
            keep(k + r, scores);
        }
    }
}

// Scores to weights, against the largest score so far; tells what its growth does to the sums before.
void weigh_keys(float seen_largest[COLS], out float shrink[COLS])
{
    float sum[COLS];
    [[unroll]] for (uint t = 0; t < COLS; ++t) {
        const float before = largest[t];
        largest[t] = max(before, subgroupMax(seen_largest[t]));
        shrink[t] = exp(before - largest[t]);
        sum[t] = 0;
    }
    const uint n_each = (n_keys + AT_ONCE - 1) / AT_ONCE * (AT_ONCE / SUBGROUP); // with those that fill the last load
    [[dont_unroll]] for (uint k = 0; k < n_each; ++k) {
        float values[COLS];
        kept(k, values);
        [[unroll]] for (uint t = 0; t < COLS; ++t) {
            values[t] = values[t] > ANY_SCORE ? exp(values[t] - largest[t]) : 0;
            sum[t] += values[t];
        }
        keep(k, values);
    }
    [[unroll]] for (uint t = 0; t < COLS; ++t)
        total[t] = total[t] * shrink[t] + subgroupAdd(sum[t]);
}

vec4 load_value(uvec2 row, uint four)
{
#if CACHE_BYTES == 2
    const uvec2 w = words2_at(row, four);
    return vec4(unpackHalf2x16(w.x), unpackHalf2x16(w.y));
#else
    return uintBitsToFloat(words4_at(row, four));
#endif
}

// Adds the weighted values of the chunk's keys to each row of y.
void add_values(uvec2 head_values, float shrink[COLS], bool is_first, bool is_last)
{
    const uint n_fours = p.head_size / 4;
    [[dont_unroll]] for (uint f = 0; f < n_fours; f += SUBGROUP) {
        const uint four = min(f + gl_SubgroupInvocationID, n_fours - 1);
        vec4 acc[COLS];
        [[unroll]] for (uint t = 0; t < COLS; ++t)
            acc[t] = vec4(0);
        [[dont_unroll]] for (uint k = 0; k < n_keys; k += AT_ONCE) {
            float weight[AT_ONCE / SUBGROUP][COLS];
            vec4 value[AT_ONCE];
            [[unroll]] for (uint b = 0; b < AT_ONCE / SUBGROUP; ++b)
                kept(k / SUBGROUP + b, weight[b]);
            [[unroll]] for (uint i = 0; i < AT_ONCE; ++i)
                value[i] = load_value(address_plus(head_values, slot_offset(k + i)), four);
            weight[0][0] = uintBitsToFloat(floatBitsToUint(weight[0][0]) | min(bound_word(), unknown_zero)); // the branch
            [[unroll]] for (uint i = 0; i < AT_ONCE; ++i)
                [[unroll]] for (uint t = 0; t < COLS; ++t)
                    acc[t] += subgroupBroadcast(weight[i / SUBGROUP][t], i % SUBGROUP) * value[i];
        }
        [[unroll]] for (uint t = 0; t < COLS; ++t) {
            LongsOut to = LongsOut(address_plus(uvec2(p.y_low, p.y_high), y_offset[t] + 16 * four));
            if (t < n_cols && f + gl_SubgroupInvocationID < n_fours) {
                if (!is_first)
                    acc[t] += shrink[t] * uintBitsToFloat(uvec4(unpack32(to.v[0]), unpack32(to.v[1])));
                if (is_last)
                    acc[t] /= total[t];
                to.v[0] = pack64(floatBitsToUint(acc[t].xy));
                to.v[1] = pack64(floatBitsToUint(acc[t].zw));
            }
        }
    }
}

void make_tile(uvec2 place)
{
    const uint group = p.n_heads / p.n_kv_heads, first_row = place.x * COLS, kv_head = place.y;
    const uint first = first_position + p.first_token;
    n_cols = min(p.n_tokens * group - first_row, COLS);
    [[unroll]] for (uint t = 0; t < COLS; ++t) {
        const uint row = first_row + min(t, n_cols - 1), token = row / group;
        position[t] = first + token;
        y_offset[t] = 4 * p.head_size * (token * p.n_heads + kv_head * group + row % group);
        x_at[t] = address_plus(uvec2(p.q_low, p.q_high), y_offset[t]);
        largest[t] = NO_SCORE;
        total[t] = 0;
    }
    n_groups = p.head_size / 32;
    unknown_zero = p.q_low & 3;
    weights_at = address_plus(uvec2(p.weights_low, p.weights_high),
                              4 * COLS * (CHUNK * gl_WorkGroupID.x + gl_SubgroupInvocationID));

    // The positions that any row sees.
    const uint begin = p.window > 0 && position[0] + 1 > p.window ? position[0] + 1 - p.window : 0;
    const uint end = position[COLS - 1] + 1;
    const uint of_head = kv_head * CACHE_BYTES * p.head_size;
    const uvec2 head_keys = address_plus(uvec2(p.keys_low, p.keys_high), of_head);
    const uvec2 head_values = address_plus(uvec2(p.values_low, p.values_high), of_head);
    [[dont_unroll]] for (first_key = begin; first_key < end; first_key += CHUNK) {
        float seen_largest[COLS], shrink[COLS];
        n_keys = min(CHUNK, end - first_key);
        first_slot = first_key % p.n_slots;
        score_keys(head_keys, seen_largest);
        weigh_keys(seen_largest, shrink);
        add_values(head_values, shrink, first_key == begin, first_key + n_keys == end);
    }
}

void main()
{
    uvec2 place;
    [[dont_unroll]] while (claim_tile(place))
        make_tile(place);
}
