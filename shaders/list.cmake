# Every module the library embeds, one line each; families once per weight format.

karat_shader(rms_norm)
karat_shader(add_norm)
karat_shader(gelu_mul)
karat_shader(heads)
karat_shader(attention)
karat_shader(route)
karat_shader(route_sort)
karat_shader(pair_sum)
karat_shader(join)
karat_shader(softcap)
karat_shader(top_k)
karat_shader(sample)
karat_shader(copy)

# The gpu room's own tests.
karat_shader(test_scale)
karat_shader(test_address)
karat_shader(test_claim)
karat_shader(test_stream)

# Caches come in two formats.
foreach(format F16 F32)
    karat_shader(attention_cpu NAME attention_cpu_${format} DEFINES FORMAT_${format})
endforeach()

# Routers are small and seldom quantised; others take two dispatches.
foreach(format F32 F16 BF16)
    karat_shader(mat_vec NAME mat_vec_route_${format} DEFINES FORMAT_${format} TAIL_ROUTE)
endforeach()

# Products and tables, once per weight format.
foreach(format F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K Q5_K Q6_K Q2_K Q3_K IQ4_NL IQ4_XS MXFP4)
    karat_shader(embed NAME embed_${format} DEFINES FORMAT_${format})
    karat_shader(mat_vec NAME mat_vec_${format} DEFINES FORMAT_${format})
    karat_shader(mat_vec NAME mat_vec_add_norm_${format} DEFINES FORMAT_${format} TAIL_ADD_NORM)
    karat_shader(mat_vec NAME mat_vec_heads_${format} DEFINES FORMAT_${format} TAIL_HEADS)
    karat_shader(mat_vec NAME mat_vec_experts_${format} DEFINES FORMAT_${format} EXPERTS)
    karat_shader(mat_vec_join NAME mat_vec_join_${format} DEFINES FORMAT_${format})
    karat_shader(mat_mul NAME mat_mul_${format} DEFINES FORMAT_${format})
    karat_shader(mat_mul NAME mat_mul_experts_${format} DEFINES FORMAT_${format} EXPERTS)
    karat_shader(mat_mul_cm NAME mat_mul_cm_${format} DEFINES FORMAT_${format} KEPT)
    karat_shader(mat_mul_cm NAME mat_mul_cm_experts_${format} DEFINES FORMAT_${format} EXPERTS KEPT)
    karat_shader(mat_mul_cpu NAME mat_mul_cpu_${format} DEFINES FORMAT_${format})
    karat_shader(mat_mul_cpu NAME mat_mul_cpu_experts_${format} DEFINES FORMAT_${format} EXPERTS)
endforeach()
