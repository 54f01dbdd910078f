// engine/demo.h -- private to the room: the GGUF file built into the library.
#ifndef ENGINE_DEMO_H
#define ENGINE_DEMO_H

#include "base/span.h"

#define DEMO_NAME "built-in demo model"

struct span demo_model(void); // lives as long as the program

#endif
