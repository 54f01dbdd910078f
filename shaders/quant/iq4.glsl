// quant/iq4.glsl -- the sixteen levels that IQ4_NL and IQ4_XS share.

// Selecting among four words of four int8 is cheaper than indexing a table, which drivers put into slow memory.
float iq4_level(uint code)
{
    const uint low = (code & 4u) == 0 ? 0xBFAD9881u : 0xF6EADDCFu;
    const uint high = (code & 4u) == 0 ? 0x26190D01u : 0x71594535u;
    const int word = int((code & 8u) == 0 ? low : high);
    return float(bitfieldExtract(word, int(code & 3u) * 8, 8));
}

// The levels of the low nibble of each byte.
vec4 iq4_levels(uint w)
{
    return vec4(iq4_level(w), iq4_level(w >> 8), iq4_level(w >> 16), iq4_level(w >> 24));
}
