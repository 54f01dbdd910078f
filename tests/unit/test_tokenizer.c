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
    static const char *const pieces[] = { "\xE2\x96\x81", "a",    "b",      "c",        "d",
                                          "ab",           "bc",   "abc",    "cd",       "\xE2\x96\x81\x61",
                                          "\n",           "\n\n", "\n\n\n", "\xC3\xA9", "aa",
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

// ---- refusals

// Changes a good vocabulary into one that must be refused.
typedef void spoil_fn(struct vocabulary *v);

static void spoil_nothing(struct vocabulary *v)
{
    v->source.n_tokens = 0;
}
static void spoil_count(struct vocabulary *v)
{
    v->source.n_tokens = TOKENIZER_TOKENS_MAX + 1;
}
static void spoil_merge_count(struct vocabulary *v)
{
    v->source.n_merges = (size_t)TOKENIZER_MERGES_MAX + 1;
}
static void spoil_bos(struct vocabulary *v)
{
    v->source.bos = 272;
}
static void spoil_type(struct vocabulary *v)
{
    v->types[257] = 7;
}
static void spoil_negative_type(struct vocabulary *v)
{
    v->types[257] = -1;
}
static void spoil_byte_name(struct vocabulary *v)
{
    v->names[0x41] = span_text("<0x4g>");
}
static void spoil_byte(struct vocabulary *v)
{
    v->types[0x41] = TOKEN_NORMAL;
}
static void spoil_utf8(struct vocabulary *v)
{
    v->names[257] = span_text("a\xC3");
}
static void spoil_length(struct vocabulary *v)
{
    static char text[TOKENIZER_NAME_BYTES_MAX + 1];
    memset(text, 'x', sizeof text);
    v->names[257] = span_of(text, sizeof text);
}
static void spoil_merge_space(struct vocabulary *v)
{
    v->merges[1] = span_text("ab");
}
static void spoil_merge_start(struct vocabulary *v)
{
    v->merges[1] = span_text(" ab");
}
static void spoil_merge_end(struct vocabulary *v)
{
    v->merges[1] = span_text("ab ");
}
static void spoil_merge_empty(struct vocabulary *v)
{
    v->merges[1] = span_text("");
}
static void spoil_merge_piece(struct vocabulary *v)
{
    v->merges[1] = span_text("a x");
}
static void spoil_merge_result(struct vocabulary *v)
{
    v->merges[1] = span_text("d d");
}
static void spoil_merge_length(struct vocabulary *v)
{
    static char text[2 * TOKENIZER_NAME_BYTES_MAX];
    memset(text, 'x', sizeof text);
    text[9] = ' ';
    v->merges[1] = span_of(text, sizeof text);
}

TEST(a_vocabulary_that_does_not_fit_together_is_refused_in_one_sentence)
{
    static const struct {
        spoil_fn *spoil;
        enum karat_status status;
        const char *sentence;
    } cases[] = {
        { spoil_nothing, KARAT_ERR_FORMAT, "the vocabulary has no tokens" },
        { spoil_count, KARAT_ERR_UNSUPPORTED, "the vocabulary has 16777217 tokens, at most 16777216 expected" },
        { spoil_merge_count, KARAT_ERR_UNSUPPORTED, "the vocabulary has 67108865 merges, at most 67108864 expected" },
        { spoil_bos, KARAT_ERR_FORMAT, "the start token has id 272, but there are only 272 tokens" },
        { spoil_type, KARAT_ERR_FORMAT, "token 257 \"a\" has type 7, 0 to 6 expected" },
        { spoil_negative_type, KARAT_ERR_FORMAT, "token 257 \"a\" has type -1, 0 to 6 expected" },
        { spoil_byte_name, KARAT_ERR_FORMAT, "byte token 65 is named \"<0x4g>\", \"<0x00>\" to \"<0xFF>\" expected" },
        { spoil_byte, KARAT_ERR_FORMAT, "the vocabulary has neither the byte token \"<0x41>\" nor an unknown token" },
        { spoil_utf8, KARAT_ERR_FORMAT, "token 257 \"a?\" is not valid UTF-8 at byte 1" },
        { spoil_length, KARAT_ERR_UNSUPPORTED, "token 257 has a text of 1025 bytes, at most 1024 expected" },
        { spoil_merge_space, KARAT_ERR_FORMAT, "merge 1 is \"ab\", two tokens with a space between expected" },
        { spoil_merge_start, KARAT_ERR_FORMAT, "merge 1 is \" ab\", two tokens with a space between expected" },
        { spoil_merge_end, KARAT_ERR_FORMAT, "merge 1 is \"ab \", two tokens with a space between expected" },
        { spoil_merge_empty, KARAT_ERR_FORMAT, "merge 1 is \"\", two tokens with a space between expected" },
        { spoil_merge_piece, KARAT_ERR_FORMAT, "merge 1 \"a x\" needs \"x\", which is not a token" },
        { spoil_merge_result, KARAT_ERR_FORMAT, "merge 1 \"d d\" needs \"dd\", which is not a token" },
        { spoil_merge_length, KARAT_ERR_FORMAT, "merge 1 has 2048 bytes, which is longer than any token" },
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        static struct vocabulary v;
        struct tokenizer *tokenizer = NULL;
        struct karat_error err = { 0 };
        begin_words(&v);
        cases[i].spoil(&v);
        t->row = cases[i].sentence;
        CHECK_UINT(tokenizer_create(&tokenizer, &v.source, &err), cases[i].status);
        CHECK_TEXT(err.text, cases[i].sentence);
        CHECK(tokenizer == NULL);
        tokenizer_destroy(tokenizer);
    }
}

TEST(without_types_the_names_and_the_roles_tell)
{
    static struct vocabulary v;
    struct tokenizer *tokenizer = NULL;
    struct karat_error err;
    begin_words(&v);
    v.source.types = NULL;
    v.source.bos = add_token(&v, "<s>", TOKEN_NORMAL);
    v.source.unk = add_token(&v, "<?>", TOKEN_NORMAL);
    REQUIRE_OK(tokenizer_create(&tokenizer, &v.source, &err), err);
    CHECK_UINT(tokenizer_type(tokenizer, 0x41), TOKEN_BYTE);
    CHECK_UINT(tokenizer_type(tokenizer, 257), TOKEN_NORMAL);
    CHECK_UINT(tokenizer_type(tokenizer, v.source.bos), TOKEN_CONTROL);
    CHECK_UINT(tokenizer_type(tokenizer, v.source.unk), TOKEN_UNKNOWN);
    check_encoding(t, tokenizer, "<s>a", TOKENIZER_MATCH_ALL, "<s>|a|");
    tokenizer_destroy(tokenizer);
}

TEST(a_byte_without_a_token_is_unknown)
{
    static struct vocabulary v;
    struct tokenizer *tokenizer = NULL;
    struct karat_error err;
    begin_words(&v);
    v.types[0x78] = TOKEN_NORMAL; // "x"
    v.source.unk = add_token(&v, "<unk>", TOKEN_UNKNOWN);
    REQUIRE_OK(tokenizer_create(&tokenizer, &v.source, &err), err);
    check_encoding(t, tokenizer, "axyb", TOKENIZER_MATCH_NONE, "a|<unk>|<0x79>|b|");
    tokenizer_destroy(tokenizer);
}

TEST(a_space_without_a_token_is_its_byte)
{
    static struct vocabulary v;
    struct tokenizer *tokenizer = NULL;
    struct karat_error err;
    begin(&v);
    REQUIRE_OK(tokenizer_create(&tokenizer, &v.source, &err), err);
    check_encoding(t, tokenizer, "! ", TOKENIZER_MATCH_NONE, "<0x21>|<0x20>|");
    tokenizer_destroy(tokenizer);
}

// ---- merging

// Random tokens over few letters, each with every way of making it that the other tokens allow, in random order: ranks
// that no training would produce. Returns how many letters there are.
static uint32_t begin_random(struct vocabulary *v, struct test_random *random, char names[NAMES_MAX][16],
                             char merges[NAMES_MAX][16])
{
    begin(v);
    const uint32_t n_letters = 1 + test_random_below(random, 4), n_words = test_random_below(random, 30);
    size_t first = v->source.n_tokens;
    for (uint32_t i = 0; i < n_letters; ++i) {
        snprintf(names[i], sizeof names[i], "%c", (char)('a' + i));
        add_token(v, names[i], TOKEN_NORMAL);
    }
    for (uint32_t i = n_letters; i < n_letters + n_words; ++i) {
        const struct span a = v->names[first + test_random_below(random, i)];
        const struct span b = v->names[first + test_random_below(random, i)];
        if (a.size_bytes + b.size_bytes > 7)
            snprintf(names[i], sizeof names[i], "no%u", i);
        else
            snprintf(names[i], sizeof names[i], "%.*s%.*s", SPAN_ARGS(a), SPAN_ARGS(b));
        add_token(v, names[i], TOKEN_NORMAL);
    }
    size_t n = 0;
    for (size_t whole = first; whole < v->source.n_tokens; ++whole)
        for (size_t left = first; left < v->source.n_tokens; ++left)
            for (size_t right = first; right < v->source.n_tokens && n < NAMES_MAX; ++right) {
                char both[32];
                snprintf(both, sizeof both, "%.15s%.15s", names[left - first], names[right - first]);
                if (span_is(v->names[whole], both))
                    snprintf(merges[n++], 16, "%.7s %.7s", names[left - first], names[right - first]);
            }
    for (size_t i = 0; i < n; ++i) {
        const size_t other = i + test_random_below(random, (uint32_t)(n - i));
        char old[16];
        memcpy(old, merges[i], sizeof old);
        memcpy(merges[i], merges[other], sizeof old);
        memcpy(merges[other], old, sizeof old);
        add_merge(v, merges[i]);
    }
    return n_letters;
}

static uint32_t rank_of(const struct vocabulary *v, const char *left, const char *right)
{
    char line[64];
    snprintf(line, sizeof line, "%s %s", left, right);
    for (uint32_t rank = 0; rank < v->source.n_merges; ++rank)
        if (span_is(v->merges[rank], line))
            return rank;
    return UINT32_MAX;
}

#define TEXT_MAX 700

// The definition, word for word: the best pair of all, again and again. Returns how many pieces are left.
static size_t merge_slowly(const struct vocabulary *v, char pieces[TEXT_MAX][32], size_t n)
{
    static uint32_t ranks[TEXT_MAX];
    for (size_t i = 0; i + 1 < n; ++i)
        ranks[i] = rank_of(v, pieces[i], pieces[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; ++i)
            if (ranks[i] < ranks[best])
                best = i;
        if (ranks[best] == UINT32_MAX)
            break;
        const size_t size = strlen(pieces[best]);
        memmove(pieces[best] + size, pieces[best + 1], strlen(pieces[best + 1]) + 1);
        --n;
        memmove(pieces[best + 1], pieces[best + 2], (n - best - 1) * sizeof *pieces);
        memmove(&ranks[best], &ranks[best + 1], (n - best) * sizeof *ranks);
        if (best + 1 < n)
            ranks[best] = rank_of(v, pieces[best], pieces[best + 1]);
        if (best > 0)
            ranks[best - 1] = rank_of(v, pieces[best - 1], pieces[best]);
    }
    return n;
}

TEST(merging_agrees_with_its_definition_for_any_merges)
{
    struct test_random random = { 11 };
    size_t n_pieces = 0, n_letters = 0;
    for (int round = 0; round < 1500; ++round) {
        static struct vocabulary v;
        static char names[NAMES_MAX][16], merges[NAMES_MAX][16], pieces[TEXT_MAX][32], text[TEXT_MAX + 1];
        struct tokenizer *tokenizer = NULL;
        struct token_ids ids = { 0 };
        struct karat_error err;
        const uint32_t n_kinds = begin_random(&v, &random, names, merges) + (round % 5 == 0);
        REQUIRE_OK(tokenizer_create(&tokenizer, &v.source, &err), err);
        // Short texts and long ones are merged in different ways.
        const size_t n = 1 + test_random_below(&random, round % 2 ? 20 : TEXT_MAX - 1);
        for (size_t i = 0; i < n; ++i) {
            text[i] = (char)('a' + test_random_below(&random, n_kinds));
            snprintf(pieces[i], sizeof pieces[i], "%c", text[i]);
        }
        text[n] = '\0';
        const size_t want = merge_slowly(&v, pieces, n);
        REQUIRE_OK(tokenizer_encode(tokenizer, span_text(text), TOKENIZER_MATCH_NONE, &ids, &err), err);
        CHECK_UINT(ids.n_ids, want);
        for (size_t i = 0; i < want && i < ids.n_ids; ++i)
            if (!CHECK(span_is(tokenizer_text(tokenizer, ids.ids[i]), pieces[i])))
                break;
        n_pieces += want;
        n_letters += n;
        token_ids_free(&ids);
        tokenizer_destroy(tokenizer);
    }
    // The vocabularies are worth the test only if they merge something.
    printf("  %zu letters became %zu pieces\n", n_letters, n_pieces);
    CHECK(n_pieces < n_letters * 2 / 3);
}
