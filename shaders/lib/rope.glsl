// lib/rope.glsl -- the rotation of one pair at any position below 2^18, from two small tables.
//
// The including shader defines ROPE_TABLE, the binding of (cos, sin) low[512][n_pairs] followed by high[512][n_pairs].
// The angle of a position is that of its upper nine bits plus that of its lower nine; as complex numbers of length one
// the two are multiplied, which costs no accuracy at large angles.
layout(binding = ROPE_TABLE) readonly buffer RopeTable { vec2 rope_table[]; };

vec2 rope_turn(uint position, uint n_pairs, uint pair)
{
    const vec2 low = rope_table[(position & 511u) * n_pairs + pair];
    const vec2 high = rope_table[(512u + (position >> 9)) * n_pairs + pair];
    return vec2(high.x * low.x - high.y * low.y, high.y * low.x + high.x * low.y);
}

// The pair (a, b) turned.
vec2 rope_apply(vec2 turn, float a, float b)
{
    return vec2(a * turn.x - b * turn.y, b * turn.x + a * turn.y);
}
