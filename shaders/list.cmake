# Every module the library embeds, one line each; families once per weight format.

karat_shader(rms_norm)
karat_shader(norm_add)
karat_shader(gelu_mul)
karat_shader(head_norm)
karat_shader(cache_store)
karat_shader(attention)
karat_shader(attention_combine)
karat_shader(route)
karat_shader(route_sort)
karat_shader(moe_join)
karat_shader(softcap)
karat_shader(top_k)

# The gpu room's own tests.
karat_shader(test_scale)
karat_shader(test_address)
