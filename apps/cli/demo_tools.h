// cli/demo_tools.h -- three tools to try tool calls with: get_weather and get_time invent their answers, calculator
// computes. pebble, the demo model, knows these three.
#ifndef CLI_DEMO_TOOLS_H
#define CLI_DEMO_TOOLS_H

#include "common/text.h"

// Their declarations as a JSON array, as OpenAI's chat format has them; static text.
const char *demo_tools_declarations(void);

// Answers a call {"name": ..., "arguments": {...}} with a JSON object; an unknown tool or a missing argument is
// answered with {"error": ...}, which the model can read.
void demo_tools_answer(const char *call, size_t size, struct text *out);

// Value of an arithmetic expression with + - * / and brackets; false if it is none or divides by zero.
bool demo_tools_compute(const char *expression, double *out);

#endif
