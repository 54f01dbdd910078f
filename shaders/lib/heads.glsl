// lib/heads.glsl -- the step that takes a head to where attention reads it: out = rope(rms(x) * w), or rms(x) when not
// TURNED; with BOTH also out2 = rms(x), for layers whose values are their keys before norm and rotation.
//
//   x     f32 [n_tokens][n_heads][head_size]  read
//   w     f32 [head_size]                     read when TURNED
//   rope  f32x2 [2][512][n_pairs]             read when TURNED; see lib/rope.glsl
//   step  u32 [4]                             read; the first token's position
//   out   f32 [n_tokens][n_heads][head_size] when not CACHED, else f16 or f32 [window_slots][n_heads][head_size] as
//         words, written at slot position % n_slots; other slots are left alone
//   out2  the same for the values
//
//   requires   head_size a multiple of 4; pairs from n_pairs on pass through unturned
//   precision  f32, rounded once when F16; the rotation is as good as f32 at every position
#include "lib/step.glsl"
#include "lib/reduce.glsl"
#include "shared/heads.h"

layout(constant_id = STEP_SPEC + HEADS_TURNED) const bool TURNED = true;
layout(constant_id = STEP_SPEC + HEADS_CACHED) const bool CACHED = false;
layout(constant_id = STEP_SPEC + HEADS_F16) const bool F16 = false;
layout(constant_id = STEP_SPEC + HEADS_BOTH) const bool BOTH = false;

layout(binding = STEP_BINDING + HEADS_X) STEP_INPUT buffer HeadsX { vec2 heads_x[]; };
layout(binding = STEP_BINDING + HEADS_W) readonly buffer HeadsW { vec2 heads_w[]; };
#define ROPE_TABLE STEP_BINDING + HEADS_ROPE
#include "lib/rope.glsl"
layout(binding = STEP_BINDING + HEADS_STEP) readonly buffer HeadsStep { uint first_position; };
layout(binding = STEP_BINDING + HEADS_OUT) writeonly buffer HeadsOut { uint heads_out[]; };
layout(binding = STEP_BINDING + HEADS_OUT2) writeonly buffer HeadsOut2 { uint heads_out2[]; };

// Beyond the largest f16 packHalf2x16 is undefined; norms keep real values far below.
uint pack_f16(vec2 two)
{
    return packHalf2x16(clamp(two, -65504.0, 65504.0));
}

void store_two(uint at, vec2 two)
{
    if (F16) {
        heads_out[at] = pack_f16(two);
    } else {
        heads_out[2 * at] = floatBitsToUint(two.x);
        heads_out[2 * at + 1] = floatBitsToUint(two.y);
    }
}

void store_two_plain(uint at, vec2 two)
{
    if (F16) {
        heads_out2[at] = pack_f16(two);
    } else {
        heads_out2[2 * at] = floatBitsToUint(two.x);
        heads_out2[2 * at + 1] = floatBitsToUint(two.y);
    }
}

vec2 turn_two(vec2 turn, float a, float b, uint pair)
{
    return pair < p.step.n_pairs ? rope_apply(turn, a, b) : vec2(a, b);
}

// Every invocation of the workgroup must call. Everything here counts in twos: a two is elements 2i and 2i + 1, and one
// word in f16.
void step_head(uint token, uint head)
{
    const uint size = p.step.head_size / 2, half_size = size / 2;
    const uint position = first_position + token, from = (token * p.step.n_heads + head) * size;
    uint to = from;
    if (CACHED) {
        const uint slot = position % p.step.n_slots - p.step.first_slot; // wraps to something huge below the window
        if (slot >= p.step.window_slots)
            return;
        to = (slot * p.step.n_heads + head) * size;
    }

    float sum = 0.0;
    [[dont_unroll]] for (uint i = gl_LocalInvocationID.x; i < size; i += gl_WorkGroupSize.x)
        sum += dot(heads_x[from + i], heads_x[from + i]);
    const float scale = inversesqrt(workgroup_sum(sum) / float(p.step.head_size) + p.step.eps);

    [[dont_unroll]] for (uint i = gl_LocalInvocationID.x; i < half_size; i += gl_WorkGroupSize.x) {
        vec2 a = heads_x[from + i] * scale, b = heads_x[from + i + half_size] * scale;
        if (BOTH) {
            store_two_plain(to + i, a);
            store_two_plain(to + i + half_size, b);
        }
        if (TURNED) {
            a *= heads_w[i];
            b *= heads_w[i + half_size];
            const uint pair = min(2 * i, p.step.n_pairs - 1), next = min(2 * i + 1, p.step.n_pairs - 1);
            const vec2 first = turn_two(rope_turn(position, p.step.n_pairs, pair), a.x, b.x, 2 * i);
            const vec2 second = turn_two(rope_turn(position, p.step.n_pairs, next), a.y, b.y, 2 * i + 1);
            a = vec2(first.x, second.x);
            b = vec2(first.y, second.y);
        }
        store_two(to + i, a);
        store_two(to + i + half_size, b);
    }
}
