// attention.comp -- y = softmax(q k^T) v over a cache, causal and windowed, for a block of query rows at a time.
//
//   q             f32 [n_tokens][n_heads][head_size]                read
//   keys, values  f16 or f32 [window_slots][n_kv_heads][head_size]  read
//   step          u32 [4]                                           read; the first token's position
//   y             f32 [n_tokens][n_heads][head_size]                written
//   parts         f32 [n_parts][n_tokens][n_heads][head_size + 2]   written when SPLIT: unscaled sums, largest score, weight
//
// The rows of one KV head are its query heads, token by token: row r is token r / group, head r % group of the group. A
// workgroup takes ROWS of them and walks over the keys that any of them sees in tiles, so that a key is read once for
// all of them. Of each tile it computes scores (LANES invocations share a key), turns them into weights against a
// running maximum, and adds weighted values (an invocation owns pairs of columns). Where the keys are split, each part is
// kept for itself, and the workgroup that comes last joins them (lib/tail.glsl).
//
//   dispatch   (n_tokens * group / ROWS rounded up, n_kv_heads, n_splits)
//   requires   positions of the step still in the cache: n_slots >= window + n_tokens - 1; full subgroups if LANES > 1
//              LANES = 1, for software devices: a lane has keys of its own. Loads through addresses cost such a device
//              far less than through bindings, and what all lanes need is loaded by four of them and broadcast.
//   precision  f32; weights against the running maximum, so nothing overflows; a row without keys gives zero weight
//   cost       keys and values once per block of rows
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "shared/attention.h"
#include "quant/words.glsl"

layout(local_size_x_id = ATTENTION_WG_SIZE) in;
layout(constant_id = ATTENTION_HEAD_SIZE) const uint HEAD_SIZE = 256;
layout(constant_id = ATTENTION_ROWS) const uint ROWS = 8;
layout(constant_id = ATTENTION_LANES) const uint LANES = 8;
layout(constant_id = ATTENTION_KEYS_EACH) const uint KEYS_EACH = 2;
layout(constant_id = ATTENTION_CACHE_F32) const bool CACHE_F32 = false;
layout(constant_id = ATTENTION_SPLIT) const bool SPLIT = false;
layout(constant_id = ATTENTION_WINDOWED) const bool WINDOWED = false;

layout(binding = ATTENTION_Q) readonly buffer Q { vec4 q[]; };
layout(binding = ATTENTION_KEYS) readonly buffer Keys { uvec4 keys[]; };
layout(binding = ATTENTION_VALUES) readonly buffer Values { uint values[]; };
layout(binding = ATTENTION_STEP) readonly buffer Step { uint first_position; };
layout(binding = ATTENTION_OUT) writeonly buffer Out { vec2 y[]; };
layout(binding = ATTENTION_PARTS) coherent writeonly buffer PartsOut { vec2 parts_out[]; };
layout(binding = ATTENTION_PARTS_IN) coherent readonly buffer PartsIn { vec2 parts[]; };
layout(push_constant) uniform Params { attention_params p; };

#define TAIL_COUNTERS ATTENTION_COUNTERS
#include "lib/tail.glsl"

#define WG_SIZE gl_WorkGroupSize.x
const uint KEY_STEP = gl_WorkGroupSize.x / LANES;
const uint TILE = KEY_STEP * KEYS_EACH;
const uint TWOS = HEAD_SIZE / 2; // pairs of columns
const uint VALUES_AT_ONCE = LANES > 1 ? 2 * KEYS_EACH : 4; // loads in flight, at the price of registers
const uint UNITS = (TWOS + gl_WorkGroupSize.x - 1) / gl_WorkGroupSize.x;

const float NO_SCORE = -1e30; // a key that a row does not see; finite, so that differences of two are
const float ANY_SCORE = -5e29;

shared vec4 query[LANES > 1 ? ROWS * HEAD_SIZE / 4 : 1];
shared float query_values[LANES > 1 ? 1 : ROWS * HEAD_SIZE];
shared float weights[2 * ROWS * TILE]; // scores, then weights; two tiles, taken in turn, save a barrier
shared float factor[2 * ROWS];         // what the maximum's growth does to the sums so far
shared float row_max[ROWS], row_sum[ROWS];
shared uint row_position[ROWS];

uvec4 key_words(uint at)
{
    return LANES > 1 ? keys[at] : Words4(uvec2(p.keys_low, p.keys_high)).v[at];
}

uint value_word(uint at)
{
    return LANES > 1 ? values[at] : Words(uvec2(p.values_low, p.values_high)).v[at];
}

// Keys in eights: eight elements of a key.
void load_key(uint at, out vec4 low, out vec4 high)
{
    if (CACHE_F32) {
        low = uintBitsToFloat(key_words(2 * at));
        high = uintBitsToFloat(key_words(2 * at + 1));
    } else {
        const uvec4 words = key_words(at);
        low = vec4(unpackHalf2x16(words.x), unpackHalf2x16(words.y));
        high = vec4(unpackHalf2x16(words.z), unpackHalf2x16(words.w));
    }
}

vec2 load_value(uint at)
{
    if (CACHE_F32)
        return uintBitsToFloat(uvec2(value_word(2 * at), value_word(2 * at + 1)));
    return unpackHalf2x16(value_word(at));
}

// The values of four lanes, in all lanes.
vec4 broadcast_four(float mine)
{
    return vec4(subgroupBroadcast(mine, 0), subgroupBroadcast(mine, 1), subgroupBroadcast(mine, 2),
                subgroupBroadcast(mine, 3));
}

// Elements 4 i .. 4 i + 3 of a row of q.
vec4 load_query(uint r, uint i)
{
    if (LANES > 1)
        return query[r * (HEAD_SIZE / 4) + i];
    return broadcast_four(query_values[r * HEAD_SIZE + 4 * i + (gl_SubgroupInvocationID & 3)]);
}

// The slot inside the bound window, or any slot of it for a key outside, which `inside` tells.
uint find_slot(uint position, out bool inside)
{
    uint slot = position % p.n_slots;
    inside = true;
    if (WINDOWED) {
        slot -= p.first_slot;
        inside = slot < p.window_slots;
        slot = inside ? slot : 0;
    }
    return slot;
}

// Row of y, in heads, of the query row of this workgroup's KV head.
uint row_of_y(uint row)
{
    const uint group = p.n_heads / p.n_kv_heads;
    return row / group * p.n_heads + gl_WorkGroupID.y * group + row % group;
}

uint part_at(uint part, uint row)
{
    return (part * p.n_tokens * p.n_heads + row) * (TWOS + 1);
}

// What the splits found about a row, joined; a split without keys has weight zero.
void combine(uint query_row, uint index)
{
    const uint row = row_of_y(query_row);
    float largest = NO_SCORE;
    [[dont_unroll]] for (uint s = 0; s < p.n_parts; ++s)
        largest = max(largest, parts[part_at(s, row) + TWOS].x);
    [[dont_unroll]] for (uint i = index; i < TWOS; i += WG_SIZE) {
        vec2 sum = vec2(0.0);
        float weight = 0.0;
        [[dont_unroll]] for (uint s = 0; s < p.n_parts; ++s) {
            const uint at = part_at(s, row);
            const vec2 stats = parts[at + TWOS];
            const float share = stats.y > 0.0 ? exp(stats.x - largest) : 0.0;
            sum += share * parts[at + i];
            weight += share * stats.y;
        }
        y[row * TWOS + i] = sum / max(weight, 1e-30);
    }
}

void main()
{
    const uint index = LANES > 1 ? gl_SubgroupID * gl_SubgroupSize + gl_SubgroupInvocationID : gl_LocalInvocationIndex;
    const uint lane = index % LANES, key_lane = index / LANES;
    const uint group = p.n_heads / p.n_kv_heads, kv_head = gl_WorkGroupID.y;
    const uint n_rows = p.n_tokens * group, first_row = gl_WorkGroupID.x * ROWS;
    const uint last_row = min(first_row + ROWS, n_rows) - 1;
    const uint first = first_position + p.first_token;

    // The positions that any row of the block sees, then this workgroup's share of their tiles.
    const uint oldest = first + first_row / group + 1;
    uint begin = p.window > 0 && oldest > p.window ? oldest - p.window : 0;
    uint end = first + last_row / group + 1;
    if (WINDOWED && end <= p.n_slots) { // the ring has not come round: slots are positions
        begin = max(begin, p.first_slot);
        end = max(begin, min(end, p.first_slot + p.window_slots));
    }
    const uint n_tiles = (end - begin + TILE - 1) / TILE;
    const uint share = (n_tiles + p.n_splits - 1) / p.n_splits;
    const uint first_tile = min(gl_WorkGroupID.z * share, n_tiles);
    const uint end_tile = min(first_tile + share, n_tiles);

    [[dont_unroll]] for (uint i = index; i < ROWS * (HEAD_SIZE / 4); i += WG_SIZE) {
        const uint row = first_row + i / (HEAD_SIZE / 4);
        const uint head = row / group * p.n_heads + kv_head * group + row % group;
        const vec4 four = row < n_rows ? q[head * (HEAD_SIZE / 4) + i % (HEAD_SIZE / 4)] : vec4(0.0);
        if (LANES > 1) {
            query[i] = four;
        } else {
            [[unroll]] for (uint k = 0; k < 4; ++k)
                query_values[4 * i + k] = four[k];
        }
    }
    [[dont_unroll]] for (uint r = index; r < ROWS; r += WG_SIZE) {
        row_max[r] = NO_SCORE;
        row_sum[r] = 0.0;
        row_position[r] = first + min(first_row + r, n_rows - 1) / group;
    }
    vec2 sums[ROWS * UNITS];
    [[unroll]] for (uint i = 0; i < ROWS * UNITS; ++i)
        sums[i] = vec2(0.0);
    barrier();

    [[dont_unroll]] for (uint tile = first_tile; tile < end_tile; ++tile) {
        const uint first_key = begin + tile * TILE, n_keys = min(TILE, end - first_key);
        const uint turn = (tile & 1) * ROWS;

        // Scores: LANES invocations walk along KEYS_EACH keys together.
        uint from[KEYS_EACH];
        bool inside[KEYS_EACH];
        [[unroll]] for (uint k = 0; k < KEYS_EACH; ++k)
            from[k] = (find_slot(first_key + min(key_lane + k * KEY_STEP, n_keys - 1), inside[k]) * p.n_kv_heads +
                       kv_head) * (HEAD_SIZE / 8);
        float scores[ROWS * KEYS_EACH];
        [[unroll]] for (uint i = 0; i < ROWS * KEYS_EACH; ++i)
            scores[i] = 0.0;
        [[dont_unroll]] for (uint c = lane; c < HEAD_SIZE / 8; c += LANES) {
            vec4 low[KEYS_EACH], high[KEYS_EACH];
            [[unroll]] for (uint k = 0; k < KEYS_EACH; ++k)
                load_key(from[k] + c, low[k], high[k]);
            [[unroll]] for (uint r = 0; r < ROWS; ++r) {
                const vec4 q_low = load_query(r, 2 * c), q_high = load_query(r, 2 * c + 1);
                [[unroll]] for (uint k = 0; k < KEYS_EACH; ++k)
                    scores[r * KEYS_EACH + k] += dot(low[k], q_low) + dot(high[k], q_high);
            }
        }
        [[unroll]] for (uint i = 0; i < ROWS * KEYS_EACH; ++i)
            [[unroll]] for (uint other = LANES / 2; other > 0; other /= 2)
                scores[i] += subgroupShuffleXor(scores[i], other);
        [[unroll]] for (uint r = 0; r < ROWS; ++r)
            if (lane == r % LANES)
                [[unroll]] for (uint k = 0; k < KEYS_EACH; ++k) {
                    const uint key = key_lane + k * KEY_STEP, position = first_key + key;
                    const bool seen = inside[k] && key < n_keys && position <= row_position[r] &&
                                      (p.window == 0 || position + p.window > row_position[r]);
                    weights[(turn + r) * TILE + key] = seen ? scores[r * KEYS_EACH + k] : NO_SCORE;
                }
        barrier();

        // Weights: LANES invocations per row.
        [[dont_unroll]] for (uint r = key_lane; r < ROWS; r += KEY_STEP) {
            float largest = NO_SCORE;
            [[dont_unroll]] for (uint t = lane; t < TILE; t += LANES)
                largest = max(largest, weights[(turn + r) * TILE + t]);
            [[unroll]] for (uint other = LANES / 2; other > 0; other /= 2)
                largest = max(largest, subgroupShuffleXor(largest, other));
            const float before = row_max[r];
            largest = max(largest, before);
            float sum = 0.0;
            [[dont_unroll]] for (uint t = lane; t < TILE; t += LANES) {
                const float score = weights[(turn + r) * TILE + t];
                const float weight = score > ANY_SCORE ? exp(score - largest) : 0.0;
                weights[(turn + r) * TILE + t] = weight;
                sum += weight;
            }
            [[unroll]] for (uint other = LANES / 2; other > 0; other /= 2)
                sum += subgroupShuffleXor(sum, other);
            if (lane == 0) {
                const float shrink = exp(before - largest);
                factor[turn + r] = shrink;
                row_sum[r] = row_sum[r] * shrink + sum;
                row_max[r] = largest;
            }
        }
        barrier();

        // Values: every invocation adds up its own columns.
        [[unroll]] for (uint r = 0; r < ROWS; ++r)
            [[unroll]] for (uint u = 0; u < UNITS; ++u)
                sums[r * UNITS + u] *= factor[turn + r];
        [[dont_unroll]] for (uint t = 0; t < n_keys; t += VALUES_AT_ONCE) {
            vec4 four[ROWS]; // weights of four keys
            if (LANES == 1)
                [[unroll]] for (uint r = 0; r < ROWS; ++r)
                    four[r] = broadcast_four(weights[(turn + r) * TILE + t + (gl_SubgroupInvocationID & 3)]);
            [[unroll]] for (uint k = 0; k < VALUES_AT_ONCE; ++k) {
                bool known; // beyond the tile the weight is zero, and the last key stands in
                const uint slot = find_slot(first_key + min(t + k, n_keys - 1), known);
                const uint at = (slot * p.n_kv_heads + kv_head) * TWOS;
                float weight[ROWS];
                [[unroll]] for (uint r = 0; r < ROWS; ++r)
                    weight[r] = LANES > 1 ? weights[(turn + r) * TILE + t + k] : four[r][k & 3];
                [[unroll]] for (uint u = 0; u < UNITS; ++u) {
                    vec2 value = load_value(at + min(index + u * WG_SIZE, TWOS - 1));
                    if (WINDOWED && !known)
                        value = vec2(0.0); // the slot that stands in may never have been written
                    [[unroll]] for (uint r = 0; r < ROWS; ++r)
                        sums[r * UNITS + u] += weight[r] * value;
                }
            }
        }
    }

    [[unroll]] for (uint r = 0; r < ROWS; ++r) {
        if (first_row + r < n_rows && !SPLIT) {
            const uint to = row_of_y(first_row + r) * TWOS;
            const float scale = 1.0 / max(row_sum[r], 1e-30);
            [[unroll]] for (uint u = 0; u < UNITS; ++u)
                if (index + u * WG_SIZE < TWOS)
                    y[to + index + u * WG_SIZE] = sums[r * UNITS + u] * scale;
        } else if (first_row + r < n_rows) {
            const uint to = part_at(p.first_part + gl_WorkGroupID.z, row_of_y(first_row + r));
            [[unroll]] for (uint u = 0; u < UNITS; ++u)
                if (index + u * WG_SIZE < TWOS)
                    parts_out[to + index + u * WG_SIZE] = sums[r * UNITS + u];
            if (index == 0)
                parts_out[to + TWOS] = vec2(row_max[r], row_sum[r]);
        }
    }
    if (SPLIT && comes_last(gl_WorkGroupID.x * p.n_kv_heads + gl_WorkGroupID.y, p.n_parts))
        [[dont_unroll]] for (uint row = first_row; row <= last_row; ++row)
            combine(row, index);
}
