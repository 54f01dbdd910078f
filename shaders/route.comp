// route.comp -- the n_used largest logits of each token, best first, and the softmax over them times scale.
//
//   logits   f32 [n_tokens][n_experts]  read
//   scale    f32 [n_experts]            read; ignored when HAS_SCALE is false
//   ids      u32 [n_tokens][n_used]     written
//   weights  f32 [n_tokens][n_used]     written
//
// A softmax over all experts, renormalised over the chosen, is a softmax over the chosen. An expert's rank is the number
// of experts before it: larger ones, and equal ones of lower index. So all ranks are found at once, without sorting.
//
//   dispatch   (n_tokens / per_group rounded up, 1, 1); a workgroup takes per_group tokens, one after the other
//   requires   n_experts <= 256, n_used <= 16
//   precision  f32; NaN counts as the smallest value, so ids are distinct whatever the logits are
//   cost       n_experts^2 comparisons per token in shared memory
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "shared/route.h"

layout(local_size_x_id = ROUTE_WG_SIZE) in;
layout(constant_id = ROUTE_HAS_SCALE) const bool HAS_SCALE = true;

layout(binding = ROUTE_LOGITS) readonly buffer Logits { float logits[]; };
layout(binding = ROUTE_SCALE) readonly buffer Scale { float scale[]; };
layout(binding = ROUTE_IDS) writeonly buffer Ids { uint ids[]; };
layout(binding = ROUTE_WEIGHTS) writeonly buffer Weights { float weights[]; };
layout(push_constant) uniform Params { route_params p; };

const float LARGEST = 3e38;
shared vec4 fours[ROUTE_MAX_EXPERTS / 4];
shared float best[ROUTE_MAX_USED];
shared uint best_ids[ROUTE_MAX_USED];

void main()
{
    const uint n_fours = (p.n_experts + 3) / 4;
    const uint begin = gl_WorkGroupID.x * p.per_group, end = min(begin + p.per_group, p.n_tokens);
    [[dont_unroll]] for (uint token = begin; token < end; ++token) {
        [[dont_unroll]] for (uint i = gl_LocalInvocationID.x; i < n_fours; i += gl_WorkGroupSize.x) {
            vec4 four = vec4(-LARGEST);
            [[unroll]] for (uint k = 0; k < 4; ++k)
                if (4 * i + k < p.n_experts) {
                    const float logit = logits[token * p.n_experts + 4 * i + k];
                    four[k] = logit >= -LARGEST ? min(logit, LARGEST) : -LARGEST;
                }
            fours[i] = four;
        }
        barrier();

        [[dont_unroll]] for (uint e = gl_LocalInvocationID.x; e < p.n_experts; e += gl_WorkGroupSize.x) {
            const float mine = fours[e / 4][e % 4];
            uint rank = 0;
            [[dont_unroll]] for (uint i = 0; i < n_fours; ++i) {
                const vec4 four = fours[i];
                [[unroll]] for (uint k = 0; k < 4; ++k)
                    rank += uint(four[k] > mine || (four[k] == mine && 4 * i + k < e));
            }
            if (rank < p.n_used) {
                best[rank] = mine;
                best_ids[rank] = e;
            }
        }
        barrier();

        float sum = 0.0;
        [[dont_unroll]] for (uint i = 0; i < p.n_used; ++i)
            sum += exp(best[i] - best[0]);
        [[dont_unroll]] for (uint i = gl_LocalInvocationID.x; i < p.n_used; i += gl_WorkGroupSize.x) {
            const uint id = best_ids[i];
            ids[token * p.n_used + i] = id;
            weights[token * p.n_used + i] = exp(best[i] - best[0]) / sum * (HAS_SCALE ? scale[id] : 1.0);
        }
        barrier();
    }
}
