// cache_store.comp -- keys[slot] = rope(rms(k) * w), values[slot] = rms(v), slot = position % n_slots.
//
//   k, v          f32 [n_tokens][n_kv_heads][head_size]           read; may be the same buffer
//   w             f32 [head_size]                                 read
//   rope          f32x2 [2][512][n_pairs]                         read; see lib/rope.glsl
//   step          u32 [4]                                         read; the first token's position
//   keys, values  f16 or f32 [window_slots][n_kv_heads][head_size]  written as 32-bit words
//
//   dispatch   (n_items / per_group rounded up, 1, 1); a workgroup takes per_group heads, one after the other
//   requires   head_size a multiple of 4; pairs from n_pairs on pass through unturned
//   precision  f32, rounded once when IS_F32 is false
//   cost       reads k and v twice, the second time from cache; launch-bound in decode
#version 460
#extension GL_GOOGLE_include_directive : require
#include "shared/cache_store.h"
#define ROPE_TABLE CACHE_STORE_ROPE
#include "lib/reduce.glsl"
#include "lib/rope.glsl"

layout(local_size_x_id = CACHE_STORE_WG_SIZE) in;
layout(constant_id = CACHE_STORE_IS_F32) const bool IS_F32 = false;

layout(binding = CACHE_STORE_K) readonly buffer K { vec2 k[]; };
layout(binding = CACHE_STORE_V) readonly buffer V { vec2 v[]; };
layout(binding = CACHE_STORE_W) readonly buffer W { vec2 w[]; };
layout(binding = CACHE_STORE_STEP) readonly buffer Step { uint first_position; };
layout(binding = CACHE_STORE_KEYS) writeonly buffer Keys { uint keys[]; };
layout(binding = CACHE_STORE_VALUES) writeonly buffer Values { uint values[]; };
layout(push_constant) uniform Params { cache_store_params p; };

// Beyond the largest f16 packHalf2x16 is undefined; norms keep real values far below.
uint pack_f16(vec2 two)
{
    return packHalf2x16(clamp(two, -65504.0, 65504.0));
}

void store_key(uint at, vec2 two)
{
    if (IS_F32) {
        keys[2 * at] = floatBitsToUint(two.x);
        keys[2 * at + 1] = floatBitsToUint(two.y);
    } else {
        keys[at] = pack_f16(two);
    }
}

void store_value(uint at, vec2 two)
{
    if (IS_F32) {
        values[2 * at] = floatBitsToUint(two.x);
        values[2 * at + 1] = floatBitsToUint(two.y);
    } else {
        values[at] = pack_f16(two);
    }
}

// Everything here counts in twos: a two is elements 2i and 2i + 1, and one word of an f16 cache.
void main()
{
    const uint size = p.head_size / 2, half_size = size / 2;
    const uint begin = gl_WorkGroupID.x * p.per_group, end = min(begin + p.per_group, p.n_items);
    [[dont_unroll]] for (uint item = begin; item < end; ++item) {
        const uint position = first_position + item / p.n_kv_heads;
        const uint slot = position % p.n_slots - p.first_slot; // wraps to something huge below the window
        if (slot >= p.window_slots)
            continue;
        const uint from = item * size, to = (slot * p.n_kv_heads + item % p.n_kv_heads) * size;

        vec2 sum = vec2(0.0);
        [[dont_unroll]] for (uint i = gl_LocalInvocationID.x; i < size; i += gl_WorkGroupSize.x)
            sum += vec2(dot(k[from + i], k[from + i]), dot(v[from + i], v[from + i]));
        const vec2 scale = inversesqrt(workgroup_sum(sum) / float(p.head_size) + p.eps);

        [[dont_unroll]] for (uint i = gl_LocalInvocationID.x; i < half_size; i += gl_WorkGroupSize.x) {
            vec2 a = k[from + i] * w[i] * scale.x, b = k[from + i + half_size] * w[i + half_size] * scale.x;
            if (2 * i < p.n_pairs) {
                const vec2 pair = rope_apply(rope_turn(position, p.n_pairs, 2 * i), a.x, b.x);
                a.x = pair.x, b.x = pair.y;
            }
            if (2 * i + 1 < p.n_pairs) {
                const vec2 pair = rope_apply(rope_turn(position, p.n_pairs, 2 * i + 1), a.y, b.y);
                a.y = pair.x, b.y = pair.y;
            }
            store_key(to + i, a);
            store_key(to + i + half_size, b);
            store_value(to + i, v[from + i] * scale.y);
            store_value(to + i + half_size, v[from + i + half_size] * scale.y);
        }
    }
}
