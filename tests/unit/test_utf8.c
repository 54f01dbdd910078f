// tests/unit/test_utf8.c -- what counts as UTF-8.
#include "base/utf8.h"
#include "test.h"

static const struct {
    const char *name, *text;
    size_t size;
    bool valid;
    size_t bad_offset;
} cases[] = {
    { "empty", "", 0, true, 0 },
    { "ascii with a zero byte", "a\0b", 3, true, 0 },
    { "two, three and four bytes", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 9, true, 0 },
    { "a lone continuation byte", "ab\x80", 3, false, 2 },
    { "an overlong slash", "\xC0\xAF", 2, false, 0 },
    { "an overlong three-byte form", "x\xE0\x80\xAF", 4, false, 1 },
    { "a surrogate", "\xED\xA0\x80", 3, false, 0 },
    { "the last code point", "\xF4\x8F\xBF\xBF", 4, true, 0 },
    { "beyond the last code point", "\xF4\x90\x80\x80", 4, false, 0 },
    { "cut off", "a\xE2\x82", 3, false, 1 },
};

TEST(only_well_formed_text_is_valid)
{
    for (size_t i = 0; i < COUNT(cases); ++i) {
        t->row = cases[i].name;
        size_t bad_offset = 0;
        CHECK(utf8_valid(cases[i].text, cases[i].size, &bad_offset) == cases[i].valid);
        CHECK_UINT(bad_offset, cases[i].bad_offset);
    }
}

TEST(every_code_point_survives_encoding)
{
    for (uint32_t code_point = 0; code_point < 0x110000; code_point += code_point < 0x3000 ? 1 : 97) {
        char text[4];
        uint32_t back = 0;
        const size_t length = utf8_encode(text, code_point);
        if (code_point >= 0xD800 && code_point <= 0xDFFF)
            CHECK_UINT(length, 0);
        else if (!CHECK(length > 0 && utf8_decode(text, length, &back) == length && back == code_point))
            return;
    }
}

TEST(an_incomplete_character_is_told_from_a_broken_one)
{
    CHECK_UINT(utf8_incomplete("\xE2\x82", 2), 2);
    CHECK_UINT(utf8_incomplete("\xE2\x82\xAC", 3), 0);
    CHECK_UINT(utf8_incomplete("\xE0\x80", 2), 0);
    CHECK_UINT(utf8_incomplete("\xFF", 1), 0);
}

TEST(error_sentences_are_always_printable)
{
    struct karat_error err;
    CHECK(status_fail(&err, KARAT_ERR_FORMAT, "tensor \"%s\" is odd", "a\xFF\nb") == KARAT_ERR_FORMAT);
    CHECK_TEXT(err.text, "tensor \"a??b\" is odd");
    status_context(&err, KARAT_ERR_FORMAT, "file %d", 3);
    CHECK_TEXT(err.text, "file 3: tensor \"a??b\" is odd");
}
