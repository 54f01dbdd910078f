// tests/unit/test_tokenizer.c -- the rules of tokenizing, on vocabularies small enough to see through.
#include <stdlib.h>

#include "test.h"
#include "text/text.h"

// A vocabulary under construction: 256 byte tokens first, so that the id of a byte token is its byte.
#define NAMES_MAX 400
struct vocabulary {
    struct span names[NAMES_MAX], merges[NAMES_MAX];
    int32_t types[NAMES_MAX];
    char byte_names[256][8];
    struct tokenizer_source source;
};

static uint32_t add_token(struct vocabulary *v, const char *name, enum token_type type)
{
    v->names[v->source.n_tokens] = span_text(name);
    v->types[v->source.n_tokens] = type;
    return (uint32_t)v->source.n_tokens++;
}

static void add_merge(struct vocabulary *v, const char *merge)
{
    v->merges[v->source.n_merges++] = span_text(merge);
}

static void begin(struct vocabulary *v)
{
    memset(v, 0, sizeof *v);
    v->source = (struct tokenizer_source){ .tokens = v->names,
                                           .types = v->types,
                                           .merges = v->merges,
                                           .bos = TOKEN_NONE,
                                           .eos = TOKEN_NONE,
                                           .unk = TOKEN_NONE };
    for (int byte = 0; byte < 256; ++byte) {
        snprintf(v->byte_names[byte], sizeof v->byte_names[byte], "<0x%02X>", (unsigned)byte);
        add_token(v, v->byte_names[byte], TOKEN_BYTE);
    }
}

// The names of the ids, with a bar after each.
static const char *names_of(const struct tokenizer *tokenizer, const struct token_ids *ids)
{
    static char text[4096];
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < ids->n_ids; ++i) {
        const struct span name = tokenizer_name(tokenizer, ids->ids[i]);
        used += (size_t)snprintf(text + used, sizeof text - used, "%.*s|", SPAN_ARGS(name));
    }
    return text;
}

static void check_encoding(struct test *t, const struct tokenizer *tokenizer, const char *text,
                           enum tokenizer_match match, const char *want)
{
    struct token_ids ids = { 0 };
    struct karat_error err;
    t->row = text;
    if (test_check(t, tokenizer_encode(tokenizer, span_text(text), match, &ids, &err) == KARAT_OK, __FILE__, __LINE__,
                   "refused"))
        CHECK_TEXT(names_of(tokenizer, &ids), want);
    token_ids_free(&ids);
    t->row = NULL;
}

static void begin_words(struct vocabulary *v)
{
    static const char *const pieces[] = { "\xE2\x96\x81",
                                          "a",
                                          "b",
                                          "c",
                                          "d",
                                          "ab",
                                          "bc",
                                          "abc",
                                          "cd",
                                          "\xE2\x96\x81"
                                          "a",
                                          "\n",
                                          "\n\n",
                                          "\n\n\n",
                                          "\xC3\xA9",
                                          "aa",
                                          "aaaa" };
    static const char *const merges[] = { "b c", "a b", "c d", "a bc", "\xE2\x96\x81 a", "\n \n", "a a", "aa aa" };
    begin(v);
    for (size_t i = 0; i < COUNT(pieces); ++i)
        add_token(v, pieces[i], TOKEN_NORMAL);
    for (size_t i = 0; i < COUNT(merges); ++i)
        add_merge(v, merges[i]);
}

TEST(merges_apply_by_rank_and_then_from_the_left)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "", "" },
        { "abc", "abc|" }, // "b c" comes before "a b"
        { "abcd", "abc|d|" },
        { "acd", "a|cd|" },
        { "abab", "ab|ab|" },
        { "aaa", "aa|a|" },
        { "aaaaaaa", "aaaa|aa|a|" },
        { " a", "\xE2\x96\x81"
                "a|" },
        { "a b", "a|\xE2\x96\x81|b|" },
        { "  ", "\xE2\x96\x81|\xE2\x96\x81|" },
        { "\xC3\xA9", "\xC3\xA9|" },
        { "a\xE2\x82\xAC"
          "b",
          "a|<0xE2>|<0x82>|<0xAC>|b|" },
        { "\n", "\n|" },
        { "\n\n\n", "\n\n\n|" },           // no merge leads there
        { "\n\n\n\n\n", "\n\n|\n\n|\n|" }, // too long to be a token: merged
        { "a\n\nb", "a|\n\n|b|" },
        { "<0x41>", "<0x3C>|<0x30>|<0x78>|<0x34>|<0x31>|<0x3E>|" },
    };
    static struct vocabulary v;
    struct tokenizer *tokenizer = NULL;
    struct karat_error err;
    begin_words(&v);
    REQUIRE_OK(tokenizer_create(&tokenizer, &v.source, &err), err);
    for (size_t i = 0; i < COUNT(cases); ++i)
        check_encoding(t, tokenizer, cases[i].text, TOKENIZER_MATCH_NONE, cases[i].want);
    tokenizer_destroy(tokenizer);
}

TEST(special_tokens_come_only_from_text_that_may_make_them)
{
    static struct vocabulary v;
    struct tokenizer *tokenizer = NULL;
    struct karat_error err;
    begin_words(&v);
    add_token(&v, "<a", TOKEN_CONTROL);
    add_token(&v, "<a>", TOKEN_CONTROL);
    add_token(&v, "<ab", TOKEN_USER_DEFINED);
    add_token(&v, "d", TOKEN_USER_DEFINED);
    add_token(&v, "<u>", TOKEN_UNKNOWN);
    add_token(&v, "<|tool_response>", TOKEN_USER_DEFINED);
    add_token(&v, "\xE2\x96\x81\xE2\x96\x81", TOKEN_CONTROL);
    add_merge(&v, "\xE2\x96\x81 \xE2\x96\x81");
    REQUIRE_OK(tokenizer_create(&tokenizer, &v.source, &err), err);
    static const struct {
        const char *text, *none, *user, *all;
    } cases[] = {
        { "<a", "<0x3C>|a|", "<0x3C>|a|", "<a|" },
        { "<a>", "<0x3C>|a|<0x3E>|", "<0x3C>|a|<0x3E>|", "<a>|" },
        { "<abc", "<0x3C>|abc|", "<ab|c|", "<ab|c|" },
        { "b<a<a>c", "b|<0x3C>|a|<0x3C>|a|<0x3E>|c|", "b|<0x3C>|a|<0x3C>|a|<0x3E>|c|", "b|<a|<a>|c|" },
        { "<u>", "<0x3C>|<0x75>|<0x3E>|", "<0x3C>|<0x75>|<0x3E>|", "<u>|" },
        { "cd", "c|<0x64>|", "c|d|", "c|d|" }, // the later "d" is a special one, so plain text has none
        { "  ", "\xE2\x96\x81|\xE2\x96\x81|", "\xE2\x96\x81|\xE2\x96\x81|", "\xE2\x96\x81|\xE2\x96\x81|" },
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        check_encoding(t, tokenizer, cases[i].text, TOKENIZER_MATCH_NONE, cases[i].none);
        check_encoding(t, tokenizer, cases[i].text, TOKENIZER_MATCH_USER_DEFINED, cases[i].user);
        check_encoding(t, tokenizer, cases[i].text, TOKENIZER_MATCH_ALL, cases[i].all);
    }
    CHECK_UINT(tokenizer_type(tokenizer, tokenizer_find(tokenizer, span_text("<|tool_response>"))), TOKEN_CONTROL);
    CHECK_UINT(tokenizer_find(tokenizer, span_text("<|turn>")), TOKEN_NONE);
    tokenizer_destroy(tokenizer);
}

TEST(texts_of_tokens_are_what_they_add_to_the_output)
{
    static struct vocabulary v;
    struct tokenizer *tokenizer = NULL;
    struct karat_error err;
    begin(&v);
    const uint32_t word = add_token(&v,
                                    "\xE2\x96\x81"
                                    "a\xE2\x96\x81",
                                    TOKEN_NORMAL);
    const uint32_t user = add_token(&v, "<\xE2\x96\x81>", TOKEN_USER_DEFINED);
    const uint32_t empty = add_token(&v, "", TOKEN_NORMAL);
    REQUIRE_OK(tokenizer_create(&tokenizer, &v.source, &err), err);
    CHECK_UINT(tokenizer_n_tokens(tokenizer), 259);
    CHECK(span_is(tokenizer_text(tokenizer, word), " a "));
    CHECK(span_is(tokenizer_name(tokenizer, word), "\xE2\x96\x81"
                                                   "a\xE2\x96\x81"));
    CHECK(span_is(tokenizer_text(tokenizer, user), "<\xE2\x96\x81>"));
    CHECK(span_is(tokenizer_text(tokenizer, empty), ""));
    CHECK(span_equal(tokenizer_text(tokenizer, 0xE2), span_of("\xE2", 1)));
    CHECK(span_equal(tokenizer_text(tokenizer, 0), span_of("", 1)));
    CHECK(span_is(tokenizer_name(tokenizer, 0xE2), "<0xE2>"));
    CHECK_UINT(tokenizer_text_bytes_max(tokenizer), 5);
    tokenizer_destroy(tokenizer);
}

TEST(broken_utf8_is_refused_with_its_offset)
{
    static struct vocabulary v;
    struct tokenizer *tokenizer = NULL;
    struct karat_error err;
    struct token_ids ids = { 0 };
    begin(&v);
    REQUIRE_OK(tokenizer_create(&tokenizer, &v.source, &err), err);
    REQUIRE_OK(tokenizer_encode(tokenizer, span_text("ok"), TOKENIZER_MATCH_ALL, &ids, &err), err);
    CHECK(tokenizer_encode(tokenizer, span_text("abc\xFF"), TOKENIZER_MATCH_ALL, &ids, &err) == KARAT_ERR_ARGUMENT);
    CHECK_TEXT(err.text, "the text is not valid UTF-8 at byte 3 of 4");
    CHECK_UINT(ids.n_ids, 2);
    token_ids_free(&ids);
    tokenizer_destroy(tokenizer);
}
