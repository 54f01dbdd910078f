// engine/demo.c -- the demo model, inside the library so that the first conversation needs no download.
#include "engine/demo.h"

#ifdef _WIN32
#define READ_ONLY_SECTION ".section .rdata,\"dr\"\n"
#else
#define READ_ONLY_SECTION ".section .rodata\n"
#endif

// The assembler takes the file as it is: a C array of 7 MB would cost the compiler half a minute.
__asm__(READ_ONLY_SECTION ".balign 64\n"
                          "karat_demo_begin:\n"
                          ".incbin \"" KARAT_DEMO_FILE "\"\n"
                          "karat_demo_end:\n"
                          ".byte 0\n"
                          ".text\n");

extern const uint8_t karat_demo_begin[], karat_demo_end[];

struct span demo_model(void)
{
    return span_of(karat_demo_begin, (size_t)(karat_demo_end - karat_demo_begin));
}
