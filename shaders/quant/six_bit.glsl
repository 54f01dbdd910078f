// quant/six_bit.glsl -- the head that Q4_K and Q5_K share: f16 d and dmin, and eight pairs of 6-bit numbers.

// (d * scale, dmin * min) of group g (0 .. 7).
vec2 six_bit_pair(uvec4 head, uint g)
{
    const uint shift = 8 * (g & 3);
    const uint a = head.y >> shift, b = head.z >> shift, c = head.w >> shift;
    const uint s = g < 4 ? a & 63u : (c & 15u) | (a >> 2 & 48u);
    const uint m = g < 4 ? b & 63u : (c >> 4 & 15u) | (b >> 2 & 48u);
    return unpackHalf2x16(head.x) * vec2(int(s), int(m));
}
