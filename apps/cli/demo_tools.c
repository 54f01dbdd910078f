// cli/demo_tools.c -- three tools to try tool calls with.
#include "cli/demo_tools.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

#define TOOL(name, description, argument, meaning)                                                           \
    "{\"type\": \"function\", \"function\": {\"name\": \"" name "\", \"description\": \"" description "\", " \
    "\"parameters\": {\"type\": \"object\", \"properties\": {\"" argument "\": {\"type\": \"string\", "      \
    "\"description\": \"" meaning "\"}}, \"required\": [\"" argument "\"]}}}"

const char *demo_tools_declarations(void)
{
    return "[" TOOL("get_weather", "Get the weather in a city", "city", "City name") ", " TOOL(
        "get_time", "Get the time in a place", "place", "Place name") ", " TOOL("calculator", "Compute an expression",
                                                                                "expression", "What to compute") "]";
}

// ---------------------------------------------------------------------------------------------------- calculator

struct expression {
    const char *at;
    unsigned depth;
    bool fault;
};

static double sum(struct expression *e);

static char peek(struct expression *e)
{
    while (*e->at == ' ')
        e->at++;
    return *e->at;
}

static double factor(struct expression *e)
{
    double value = 0;
    const char c = peek(e);
    if (++e->depth > 100) {
        e->fault = true;
    } else if (c == '-') {
        e->at++;
        value = -factor(e);
    } else if (c == '(') {
        e->at++;
        value = sum(e);
        if (peek(e) == ')')
            e->at++;
        else
            e->fault = true;
    } else {
        char digits[48];
        const size_t size = strspn(e->at, "0123456789.");
        char *end = digits;
        if (size > 0 && size < sizeof digits) {
            memcpy(digits, e->at, size);
            digits[size] = '\0';
            value = strtod(digits, &end);
        }
        if (end == digits || *end)
            e->fault = true;
        e->at += size;
    }
    e->depth--;
    return value;
}

static double product(struct expression *e)
{
    double value = factor(e);
    while (!e->fault && (peek(e) == '*' || peek(e) == '/')) {
        const char sign = *e->at++;
        const double right = factor(e);
        value = sign == '*' ? value * right : value / right;
    }
    return value;
}

static double sum(struct expression *e)
{
    double value = product(e);
    while (!e->fault && (peek(e) == '+' || peek(e) == '-')) {
        const char sign = *e->at++;
        const double right = product(e);
        value = sign == '+' ? value + right : value - right;
    }
    return value;
}

bool demo_tools_compute(const char *expression, double *out)
{
    struct expression e = { .at = expression };
    *out = sum(&e);
    return !e.fault && peek(&e) == '\0' && app_number_is_finite(*out);
}

// ---------------------------------------------------------------------------------------------------- the tools

// The same place always has the same invented weather and time.
static unsigned number_of(const char *text)
{
    unsigned hash = 2166136261u;
    for (; *text; ++text)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash >> 8;
}

static void get_weather(const char *city, struct text *out)
{
    static const char *const skies[] = { "sunny", "cloudy", "rainy", "windy", "snowy" };
    const unsigned n = number_of(city), sky = n % 5;
    const int degrees = sky == 4 ? -(int)(n / 5 % 9) : (int)(n / 5 % 25) + 5;
    app_text_format(out, "{\"condition\": \"%s\", \"temperature\": %d}", skies[sky], degrees);
}

static void get_time(const char *place, struct text *out)
{
    const unsigned n = number_of(place);
    app_text_format(out, "{\"time\": \"%02u:%02u\"}", n % 24, n / 24 % 60);
}

static void calculator(const char *expression, struct text *out)
{
    double value;
    if (demo_tools_compute(expression, &value))
        app_text_format(out, "{\"result\": %.12g}", value);
    else
        app_text_add(out, "{\"error\": \"not an expression of numbers, + - * / and brackets\"}");
}

static const struct {
    const char *name, *argument;
    void (*answer)(const char *argument, struct text *out);
} tools[] = {
    { "get_weather", "city", get_weather },
    { "get_time", "place", get_time },
    { "calculator", "expression", calculator },
};

static void answer_parsed(const struct json *json, struct text *out)
{
    const size_t name = app_json_member(json, 0, "name");
    for (size_t i = 0; i < sizeof tools / sizeof tools[0]; ++i) {
        if (!app_json_equals(json, name, tools[i].name))
            continue;
        const size_t argument = app_json_member(json, app_json_member(json, 0, "arguments"), tools[i].argument);
        if (argument == JSON_NONE) {
            app_text_format(out, "{\"error\": \"the argument %s is missing\"}", tools[i].argument);
            return;
        }
        struct text value = { 0 };
        app_json_content(json, argument, &value);
        tools[i].answer(app_text_of(&value), out);
        app_text_free(&value);
        return;
    }
    app_text_add(out, "{\"error\": \"there is no such tool\"}");
}

void demo_tools_answer(const char *call, size_t size, struct text *out)
{
    struct json json;
    struct text fault = { 0 };
    if (app_json_parse(&json, call, size, &fault)) {
        answer_parsed(&json, out);
        app_json_free(&json);
    } else {
        app_text_add(out, "{\"error\": \"the call is not well-formed\"}");
    }
    app_text_free(&fault);
}
