// lib/route.glsl -- the step that chooses experts: the n_used largest logits of a token, best first, and the softmax over
// them times scale.
//
//   x        f32 [n_tokens][n_experts]  read: the logits
//   scale    f32 [n_experts]            read; ignored when HAS_SCALE is false
//   ids      u32 [n_tokens][n_used]     written
//   weights  f32 [n_tokens][n_used]     written
//
// A softmax over all experts, renormalised over the chosen, is a softmax over the chosen. An expert's rank is the number
// of experts before it: larger ones, and equal ones of lower index. So all ranks are found at once, without sorting.
//
//   requires   n_experts <= 256, n_used <= 16
//   precision  f32; NaN counts as the smallest value, so ids are distinct whatever the logits are
#include "lib/step.glsl"
#extension GL_EXT_control_flow_attributes : require
#include "shared/route.h"

layout(constant_id = STEP_SPEC + ROUTE_HAS_SCALE) const bool HAS_SCALE = true;

layout(binding = STEP_BINDING + ROUTE_LOGITS) STEP_INPUT buffer Logits { float logits[]; };
layout(binding = STEP_BINDING + ROUTE_SCALE) readonly buffer Scale { float scale[]; };
layout(binding = STEP_BINDING + ROUTE_IDS) writeonly buffer Ids { uint ids[]; };
layout(binding = STEP_BINDING + ROUTE_WEIGHTS) writeonly buffer Weights { float weights[]; };

const float LARGEST = 3e38;
shared vec4 fours[ROUTE_MAX_EXPERTS / 4];
shared float best[ROUTE_MAX_USED];
shared uint best_ids[ROUTE_MAX_USED];

// Every invocation of the workgroup must call.
void step_row(uint token)
{
    const uint n_fours = (p.step.n_experts + 3) / 4;
    [[dont_unroll]] for (uint i = gl_LocalInvocationID.x; i < n_fours; i += gl_WorkGroupSize.x) {
        vec4 four = vec4(-LARGEST);
        [[unroll]] for (uint k = 0; k < 4; ++k)
            if (4 * i + k < p.step.n_experts) {
                const float logit = logits[token * p.step.n_experts + 4 * i + k];
                four[k] = logit >= -LARGEST ? min(logit, LARGEST) : -LARGEST;
            }
        fours[i] = four;
    }
    barrier();

    [[dont_unroll]] for (uint e = gl_LocalInvocationID.x; e < p.step.n_experts; e += gl_WorkGroupSize.x) {
        const float mine = fours[e / 4][e % 4];
        uint rank = 0;
        [[dont_unroll]] for (uint i = 0; i < n_fours; ++i) {
            const vec4 four = fours[i];
            [[unroll]] for (uint k = 0; k < 4; ++k)
                rank += uint(four[k] > mine || (four[k] == mine && 4 * i + k < e));
        }
        if (rank < p.step.n_used) {
            best[rank] = mine;
            best_ids[rank] = e;
        }
    }
    barrier();

    float sum = 0.0;
    [[dont_unroll]] for (uint i = 0; i < p.step.n_used; ++i)
        sum += exp(best[i] - best[0]);
    [[dont_unroll]] for (uint i = gl_LocalInvocationID.x; i < p.step.n_used; i += gl_WorkGroupSize.x) {
        const uint id = best_ids[i];
        ids[token * p.step.n_used + i] = id;
        weights[token * p.step.n_used + i] = exp(best[i] - best[0]) / sum * (HAS_SCALE ? scale[id] : 1.0);
    }
    barrier();
}
