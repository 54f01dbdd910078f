// lib/gelu.glsl -- gelu in its tanh form. The argument of tanh is clamped to +-20, where some drivers overflow.
vec4 gelu(vec4 x)
{
    const vec4 t = clamp(0.7978845608 * (x + 0.044715 * x * x * x), -20.0, 20.0);
    return 0.5 * x * (1.0 + tanh(t));
}

float gelu(float x)
{
    return gelu(vec4(x)).x;
}
