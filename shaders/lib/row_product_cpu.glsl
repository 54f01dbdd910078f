// lib/row_product_cpu.glsl -- the inner part of products on software devices: ROWS rows of W times COLS columns per lane.
//
// The including shader fills row_at, x_at, n_groups and unknown_zero, clears sums and calls add_row(), which adds to
// them. It defines bound_word().
//
// Software devices run a subgroup as one vector. There a load costs a dozen steps for all lanes, and as many again when
// arithmetic stands between loads; a bound check of a buffer costs that for every lane; broadcasting a lane costs two
// steps; a value carried around a loop is stored and blended every time. So each lane has rows of its own, the body is a
// whole group of 32 weights, its loads stand together, are 64 bits wide and go through addresses, x included, of which
// each lane of eight loads its share and broadcasts it.
//
// Eight addresses, or eight loads of 64 bits, make a vector of 512 bits where the processor has such. Next to one of
// those, one of its three units for vectors of 256 bits stands still, and arithmetic takes half as long again. So all
// loads of a group come first, are cut to 256 bits at once, and a branch keeps compilers from moving any of it.
#define WIDE_LOADS
#define CODES_IN_PLACE
#extension GL_KHR_shader_subgroup_ballot : require
#include "quant/weights.glsl"

uint n_groups;        // of 32 columns
uvec2 row_at[ROWS];   // device addresses
uvec2 x_at[COLS];     // device addresses
float sums[ROWS * COLS];

// Zero, which no compiler knows: what is combined with it is cut to 256 bits there and not picked out of 512 where it is
// used.
uint unknown_zero;

// Any word, read through a binding. The test of its bounds is the only branch to be had: of an if, software devices run
// both sides and blend.
uint bound_word();

// x of 16 columns: value 2 i + half in lane i % X_LANES of load i / X_LANES.
const uint X_LANES = SUBGROUP < 8 ? SUBGROUP : 8, X_LOADS = 8 / X_LANES;

struct x_half {
    uvec2 pair[2]; // X_LOADS of them
};

x_half load_x_half(uvec2 column, uint g, uint h)
{
    x_half x;
    const uint lane = gl_SubgroupInvocationID % X_LANES;
    [[unroll]] for (uint i = 0; i < X_LOADS; ++i)
        x.pair[i] = words2_at(column, 16 * g + 8 * h + i * X_LANES + lane) | unknown_zero;
    return x;
}

float x_value(x_half x, uint k)
{
    return subgroupBroadcast(uintBitsToFloat(x.pair[k / 2 / X_LANES][k & 1]), k / 2 % X_LANES);
}

// The codes of two octets.
struct half_codes {
    octet_codes octet[2];
};

half_codes load_half(uvec2 row, uint g, uint h)
{
    half_codes codes;
#if OCTET_WORDS == 1
    const uvec2 w = words2_at(row, 2 * g + h);
    codes.octet[0].word[0] = w.x;
    codes.octet[1].word[0] = w.y;
#else
    [[unroll]] for (uint i = 0; i < OCTET_WORDS; ++i) {
        const uvec2 w = words2_at(row, (2 * g + h) * OCTET_WORDS + i);
        codes.octet[2 * i / OCTET_WORDS].word[2 * i % OCTET_WORDS] = w.x;
        codes.octet[2 * i / OCTET_WORDS].word[2 * i % OCTET_WORDS + 1] = w.y;
    }
#endif
    return codes;
}

// The sum over the codes as they were read, and that over x, to the sum over the weights.
float weighted_sum(float dot, float x_sum, uint h, weight_group group)
{
    float sum = dot;
#if CODE_BIAS > 0
    sum -= CODE_BIAS * x_sum;
#endif
#if GROUP_SCALES > 0
    sum *= GROUP_SCALES == 1 || h == 0 ? group.scale.x : group.scale.y;
#endif
#if GROUP_OFFSETS
    sum += (GROUP_SCALES == 1 || h == 0 ? group.offset.x : group.offset.y) * x_sum;
#endif
    return sum;
}

// One column: the sum over the codes takes the scale afterwards, and x the factors of the codes.
void add_half_one(uint h, x_half x, half_codes codes[ROWS], weight_group groups[ROWS])
{
    float dots[ROWS], x_sum = 0;
    [[unroll]] for (uint r = 0; r < ROWS; ++r)
        dots[r] = 0;
    [[unroll]] for (uint o = 0; o < 2; ++o) {
        float xs[8];
        [[unroll]] for (uint k = 0; k < 8; ++k) {
            xs[k] = x_value(x, 8 * o + k);
            x_sum += xs[k];
            xs[k] *= code_factor(k & 3);
        }
        [[unroll]] for (uint r = 0; r < ROWS; ++r) {
            vec4 a, b;
            decode_octet(codes[r].octet[o], 2 * h + o, groups[r], a, b);
            [[unroll]] for (uint k = 0; k < 4; ++k)
                dots[r] += a[k] * xs[k] + b[k] * xs[k + 4];
        }
    }
    [[unroll]] for (uint r = 0; r < ROWS; ++r)
        sums[r] += weighted_sum(dots[r], x_sum, h, groups[r]);
}

// Codes as they were read to weights.
void scale_codes(uint h, weight_group group, inout vec4 a, inout vec4 b)
{
#if GROUP_SCALES > 0
    const float scale = GROUP_SCALES == 1 || h == 0 ? group.scale.x : group.scale.y;
    const vec4 factor = scale * vec4(code_factor(0), code_factor(1), code_factor(2), code_factor(3));
    a *= factor;
    b *= factor;
    float offset = -CODE_BIAS * scale;
#if GROUP_OFFSETS
    offset += GROUP_SCALES == 1 || h == 0 ? group.offset.x : group.offset.y;
#endif
#if GROUP_OFFSETS || CODE_BIAS > 0
    a += offset;
    b += offset;
#endif
#endif
}

// Several columns: the weights are made once for all of them.
void add_half_many(uint h, x_half x[COLS], half_codes codes[ROWS], weight_group groups[ROWS])
{
    [[unroll]] for (uint o = 0; o < 2; ++o) {
        vec4 a[ROWS], b[ROWS];
        [[unroll]] for (uint r = 0; r < ROWS; ++r) {
            decode_octet(codes[r].octet[o], 2 * h + o, groups[r], a[r], b[r]);
            scale_codes(h, groups[r], a[r], b[r]);
        }
        [[unroll]] for (uint t = 0; t < COLS; ++t) {
            float xs[8];
            [[unroll]] for (uint k = 0; k < 8; ++k)
                xs[k] = x_value(x[t], 8 * o + k);
            [[unroll]] for (uint r = 0; r < ROWS; ++r)
                [[unroll]] for (uint k = 0; k < 4; ++k)
                    sums[r * COLS + t] += a[r][k] * xs[k] + b[r][k] * xs[k + 4];
        }
    }
}

// Several columns, each summed as if it were the only one.
void add_half_apart(uint h, x_half x[COLS], half_codes codes[ROWS], weight_group groups[ROWS])
{
    float dots[ROWS * COLS], x_sums[COLS];
    [[unroll]] for (uint i = 0; i < ROWS * COLS; ++i)
        dots[i] = 0;
    [[unroll]] for (uint t = 0; t < COLS; ++t)
        x_sums[t] = 0;
    [[unroll]] for (uint o = 0; o < 2; ++o) {
        vec4 a[ROWS], b[ROWS];
        [[unroll]] for (uint r = 0; r < ROWS; ++r) {
            decode_octet(codes[r].octet[o], 2 * h + o, groups[r], a[r], b[r]);
            [[unroll]] for (uint k = 0; k < 4; ++k) {
                a[r][k] *= code_factor(k);
                b[r][k] *= code_factor(k);
            }
        }
        [[unroll]] for (uint t = 0; t < COLS; ++t) {
            float xs[8];
            [[unroll]] for (uint k = 0; k < 8; ++k) {
                xs[k] = x_value(x[t], 8 * o + k);
                x_sums[t] += xs[k];
            }
            [[unroll]] for (uint r = 0; r < ROWS; ++r)
                [[unroll]] for (uint k = 0; k < 4; ++k)
                    dots[r * COLS + t] += a[r][k] * xs[k] + b[r][k] * xs[k + 4];
        }
    }
    [[unroll]] for (uint r = 0; r < ROWS; ++r)
        [[unroll]] for (uint t = 0; t < COLS; ++t)
            sums[r * COLS + t] += weighted_sum(dots[r * COLS + t], x_sums[t], h, groups[r]);
}

void add_group(uint g, HEAD head[ROWS])
{
    x_half x[2][COLS];
    half_codes codes[2][ROWS];
    weight_group groups[ROWS];
    [[unroll]] for (uint h = 0; h < 2; ++h) {
        [[unroll]] for (uint t = 0; t < COLS; ++t)
            x[h][t] = load_x_half(x_at[t], g, h);
        [[unroll]] for (uint r = 0; r < ROWS; ++r)
            codes[h][r] = load_half(row_at[r], g, h);
    }
    [[unroll]] for (uint r = 0; r < ROWS; ++r)
        groups[r] = load_group(row_at[r], n_groups, g, head[r]);

    x[0][0].pair[0].x |= min(bound_word(), unknown_zero); // the branch

    [[unroll]] for (uint h = 0; h < 2; ++h) {
        if (COLS == 1)
            add_half_one(h, x[h][0], codes[h], groups);
        else if (APART)
            add_half_apart(h, x[h], codes[h], groups);
        else
            add_half_many(h, x[h], codes[h], groups);
    }
}

// A loop around the body costs more than reading a head again, except where the body is short.
void add_row()
{
    HEAD head[ROWS];
    if (COLS > 1 || HEAD_GROUPS == 1) {
        [[dont_unroll]] for (uint g = 0; g < n_groups; ++g) {
            [[unroll]] for (uint r = 0; r < ROWS; ++r)
                head[r] = load_head(row_at[r], n_groups, g / HEAD_GROUPS);
            add_group(g, head);
        }
    } else {
        [[dont_unroll]] for (uint g0 = 0; g0 < n_groups; g0 += HEAD_GROUPS) {
            [[unroll]] for (uint r = 0; r < ROWS; ++r)
                head[r] = load_head(row_at[r], n_groups, g0 / HEAD_GROUPS);
            [[dont_unroll]] for (uint g = g0; g < g0 + HEAD_GROUPS; ++g)
                add_group(g, head);
        }
    }
}
