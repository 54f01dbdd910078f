// tests/unit/test_stream.c -- characters out of bytes, however the bytes are cut.
#include "base/utf8.h"
#include "test.h"
#include "text/text.h"

#define BYTES_MAX 64

// Feeds the bytes in pieces of piece_size and returns everything that came out, terminated.
static const char *stream_all(struct test *t, struct span bytes, size_t piece_size)
{
    static char out[STREAM_OUT_BYTES(BYTES_MAX) + 4];
    struct stream stream = { 0 };
    size_t written = 0;
    for (size_t at = 0; at < bytes.size_bytes; at += piece_size) {
        const size_t rest = bytes.size_bytes - at, n = rest < piece_size ? rest : piece_size;
        const size_t got = stream_feed(&stream, span_of(bytes.data + at, n), out + written);
        CHECK(got <= STREAM_OUT_BYTES(n));
        CHECK(utf8_valid(out + written, got, NULL));
        written += got;
    }
    written += stream_finish(&stream, out + written);
    CHECK_UINT(stream.n_pending, 0);
    CHECK(utf8_valid(out, written, NULL));
    out[written] = '\0';
    return out;
}

#define BROKEN "\xEF\xBF\xBD"

TEST(broken_bytes_are_replaced_and_whole_characters_pass)
{
    static const struct {
        const char *name, *bytes, *want;
    } cases[] = {
        { "nothing", "", "" },
        { "letters", "abc", "abc" },
        { "two, three and four bytes", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80" },
        { "a lone continuation", "a\x80z", "a" BROKEN "z" },
        { "each of several continuations", "\x80\x80\x80", BROKEN BROKEN BROKEN },
        { "a letter ends a character early", "\xE2\x82z", BROKEN "z" },
        { "a beginning ends a character early", "\xF0\x9F\xF0\x9F\x98\x80", BROKEN "\xF0\x9F\x98\x80" },
        { "cut off at the end", "a\xF0\x9F\x98", "a" BROKEN },
        { "bytes that are never used", "\xFE\xFF\xC0\xC1\xF5", BROKEN BROKEN BROKEN BROKEN BROKEN },
        { "an overlong form", "\xE0\x80\xAF", BROKEN BROKEN BROKEN },
        { "a surrogate", "\xED\xA0\x80", BROKEN BROKEN BROKEN },
        { "beyond the last code point", "\xF4\x90\x80\x80", BROKEN BROKEN BROKEN BROKEN },
        { "a real U+FFFD", "\xEF\xBF\xBD", BROKEN },
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        t->row = cases[i].name;
        for (size_t piece_size = 1; piece_size < 8; ++piece_size)
            CHECK_TEXT(stream_all(t, span_text(cases[i].bytes), piece_size), cases[i].want);
    }
}

static void check_feed(struct test *t, struct stream *stream, const char *bytes, char *out, size_t want)
{
    const size_t written = stream_feed(stream, span_text(bytes), out);
    CHECK_UINT(written, want);
}

TEST(a_character_waits_for_its_last_byte_only)
{
    struct stream stream = { 0 };
    char out[STREAM_OUT_BYTES(4)];
    check_feed(t, &stream, "a\xF0\x9F", out, 1);
    check_feed(t, &stream, "", out, 0);
    check_feed(t, &stream, "\x98", out, 0);
    check_feed(t, &stream, "\x80", out, 4);
    CHECK(memcmp(out, "\xF0\x9F\x98\x80", 4) == 0);
    CHECK_UINT(stream_finish(&stream, out), 0);
}

TEST(a_broken_byte_does_not_wait)
{
    struct stream stream = { 0 };
    char out[STREAM_OUT_BYTES(4)];
    check_feed(t, &stream, "\xE0", out, 0);
    // E0 80 can never become a character, and neither can a lone 80.
    check_feed(t, &stream, "\x80", out, 6);
    check_feed(t, &stream, "\xFF", out, 3);
}

TEST(what_comes_out_does_not_depend_on_the_cuts)
{
    static const uint8_t kinds[] = { 'a', 0x80, 0xBF, 0x9F, 0xA0, 0xC3, 0xE0, 0xE2, 0xED, 0xEF, 0xF0, 0xF4, 0xFF, 0 };
    struct test_random random = { 3 };
    for (int round = 0; round < 20000; ++round) {
        uint8_t bytes[BYTES_MAX];
        char whole[STREAM_OUT_BYTES(BYTES_MAX) + 4], cut[STREAM_OUT_BYTES(BYTES_MAX) + 4 + 3 * BYTES_MAX];
        const size_t n = test_random_below(&random, BYTES_MAX);
        for (size_t i = 0; i < n; ++i)
            bytes[i] = kinds[test_random_below(&random, COUNT(kinds))];
        struct stream stream = { 0 };
        size_t whole_size = stream_feed(&stream, span_of(bytes, n), whole), cut_size = 0;
        CHECK(whole_size <= STREAM_OUT_BYTES(n));
        whole_size += stream_finish(&stream, whole + whole_size);
        for (size_t at = 0; at < n;) {
            const size_t piece = 1 + test_random_below(&random, (uint32_t)(n - at));
            cut_size += stream_feed(&stream, span_of(bytes + at, piece), cut + cut_size);
            at += piece;
        }
        cut_size += stream_finish(&stream, cut + cut_size);
        if (!CHECK(whole_size == cut_size && memcmp(whole, cut, whole_size) == 0))
            return;
        CHECK(utf8_valid(whole, whole_size, NULL));
        if (utf8_valid((const char *)bytes, n, NULL))
            CHECK(whole_size == n && memcmp(whole, bytes, n) == 0);
    }
}
