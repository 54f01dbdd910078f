// tests/unit/test_stop.c -- texts that end an answer, however they are cut into pieces.
#include "engine/stop.h"
#include "test.h"

static const struct {
    const char *name, *stops[2], *text, *want;
} cases[] = {
    { "no stop text", { "END" }, "hello world", "hello world" },
    { "cut where it begins", { "END" }, "hello END world", "hello " },
    { "a beginning that goes on differently", { "END" }, "EN EEN", "EN EEN" },
    { "the earlier of two", { "bb", "ab" }, "xxabbyy", "xx" },
    { "an overlapping beginning", { "aab" }, "aaab", "a" },
    { "an empty stop text never matches", { "" }, "abc", "abc" },
};

TEST(an_answer_ends_at_the_first_stop_text_under_any_chunking)
{
    for (size_t i = 0; i < COUNT(cases); ++i)
        for (size_t chunk = 1; chunk <= strlen(cases[i].text); ++chunk) {
            struct stop_filter filter = { .stops = cases[i].stops, .n_stops = cases[i].stops[1] ? 2 : 1 };
            struct text out = { 0 };
            t->row = cases[i].name;
            for (size_t at = 0; at < strlen(cases[i].text); at += chunk) {
                const size_t left = strlen(cases[i].text) - at;
                const size_t n = stop_filter_add(&filter, span_of(cases[i].text + at, left < chunk ? left : chunk));
                text_append(&out, filter.held.data, n);
                stop_filter_drop(&filter, n);
            }
            text_append(&out, filter.held.data, stop_filter_finish(&filter));
            CHECK(span_is(text_span(&out), cases[i].want));
            text_free(&filter.held);
            text_free(&out);
        }
}
