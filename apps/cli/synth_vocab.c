// cli/synth_vocab.c -- the vocabulary of a random model.
#include "cli/synth_vocab.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/platform.h"

// ---------------------------------------------------------------------------------------------------- copying

// Reads key-values one by one and keeps the bytes of the current one. After the first short read everything fails.
struct reader {
    FILE *file;
    struct text bytes;
    bool failed;
};

enum { ELEMENTS_MAX = 1 << 24, STRING_MAX_BYTES = 1 << 26, DEPTH_MAX = 4 };

static const char *take(struct reader *r, uint64_t size)
{
    if (r->failed || size > STRING_MAX_BYTES)
        r->failed = true;
    if (r->failed)
        return NULL;
    app_text_reserve(&r->bytes, (size_t)size);
    char *at = r->bytes.data + r->bytes.size;
    r->failed = fread(at, 1, (size_t)size, r->file) != size;
    if (r->failed)
        return NULL;
    r->bytes.size += (size_t)size;
    return at;
}

static uint64_t take_number(struct reader *r, unsigned n_bytes)
{
    const char *at = take(r, n_bytes);
    uint64_t value = 0;
    for (unsigned i = 0; at && i < n_bytes; ++i)
        value |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return value;
}

// *n_elements becomes the length of an array.
static void take_value(struct reader *r, uint64_t type, uint64_t *n_elements, unsigned depth)
{
    static const unsigned char sizes[13] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
    if (type > 12 || depth > DEPTH_MAX) {
        r->failed = true;
    } else if (type == GGUF_STRING) {
        take(r, take_number(r, 8));
    } else if (type == GGUF_ARRAY) {
        const uint64_t element = take_number(r, 4), n = take_number(r, 8);
        if (n > ELEMENTS_MAX)
            r->failed = true;
        for (uint64_t i = 0; i < n && !r->failed; ++i)
            take_value(r, element, &(uint64_t){ 0 }, depth + 1);
        *n_elements = n;
    } else {
        take(r, sizes[type]);
    }
}

static void copy_keys(struct reader *r, struct gguf_keys *keys, uint32_t *n_vocab)
{
    const char *magic = take(r, 4);
    const bool gguf = magic && memcmp(magic, "GGUF", 4) == 0;
    const uint64_t version = take_number(r, 4);
    take_number(r, 8); // tensors
    const uint64_t n_keys = take_number(r, 8);
    r->failed = r->failed || !gguf || (version != 2 && version != 3);
    for (uint64_t i = 0; i < n_keys && !r->failed; ++i) {
        app_text_clear(&r->bytes);
        const uint64_t size = take_number(r, 8);
        if (!take(r, size))
            return;
        const bool wanted = size > 10 && memcmp(r->bytes.data + 8, "tokenizer.", 10) == 0;
        const bool tokens = size == 21 && memcmp(r->bytes.data + 8, "tokenizer.ggml.tokens", 21) == 0;
        uint64_t n = 0;
        take_value(r, take_number(r, 4), &n, 0);
        if (r->failed || !wanted)
            continue;
        app_text_append(&keys->bytes, r->bytes.data, r->bytes.size);
        keys->n++;
        if (tokens)
            *n_vocab = (uint32_t)n;
    }
}

bool synth_vocab_copy(struct gguf_keys *keys, const char *path, uint32_t *n_vocab, struct text *fault)
{
    struct reader r = { .file = platform_open(path, "rb") };
    *n_vocab = 0;
    if (!r.file) {
        app_text_format(fault, "cannot open %s: %s", path, strerror(errno));
        return false;
    }
    copy_keys(&r, keys, n_vocab);
    fclose(r.file);
    app_text_free(&r.bytes);
    if (r.failed)
        app_text_format(fault, "%s is not a well-formed GGUF file", path);
    else if (*n_vocab == 0)
        app_text_format(fault, "%s holds no vocabulary (tokenizer.ggml.tokens)", path);
    return !r.failed && *n_vocab > 0;
}

// ---------------------------------------------------------------------------------------------------- inventing

enum token_type { NORMAL = 1, CONTROL = 3, VISIBLE = 4, BYTE = 6 }; // VISIBLE: matched even in plain text

static const struct {
    const char *text;
    enum token_type type;
} specials[] = {
    { "<pad>", CONTROL },
    { "<eos>", CONTROL },
    { "<bos>", CONTROL },
    { "<unk>", CONTROL },
    { "<mask>", CONTROL },
    { "<|turn>", CONTROL },
    { "<turn|>", CONTROL },
    { "<|think|>", CONTROL },
    { "<|channel>", VISIBLE },
    { "<channel|>", VISIBLE },
    { "<|tool>", CONTROL },
    { "<tool|>", CONTROL },
    { "<|tool_call>", VISIBLE },
    { "<tool_call|>", VISIBLE },
    { "<|tool_response>", VISIBLE },
    { "<tool_response|>", VISIBLE },
    { "<|\"|>", VISIBLE },
    { "<|image>", CONTROL },
    { "<|image|>", CONTROL },
    { "<image|>", CONTROL },
    { "<|audio>", CONTROL },
    { "<|audio|>", CONTROL },
    { "<audio|>", CONTROL },
    { "<|video|>", CONTROL },
};
enum { TOKEN_EOS = 1, TOKEN_BOS = 2, TOKEN_UNKNOWN = 3, TOKEN_END_OF_TURN = 6 };

static const char words[] =
    "the of and to in is that it was for on are with as his they at be this from have or by one had not but what all "
    "were when we there can an your which their said if do will each about how up out them then she many some so these "
    "would other into has more her two like him see time could no make than first been its who now people my made over "
    "did down only way find use may water long little very after words called just where most know get through back "
    "much before go good new write our used me man too any day same right look think also around another came come "
    "work "
    "three word must because does part even place well such here take why things help put years different away again "
    "off "
    "went old number great tell men say small every found still between name should home big give air line set own "
    "under "
    "read last never us left end along while might next sound below saw something thought both few those always looked "
    "show large often together asked house world going want school important until form food keep children feet land "
    "side without boy once animals life enough took sometimes four head above kind began almost live page got earth "
    "need "
    "far hand high year mother light parts country father let night following picture being study second eyes soon "
    "times "
    "story boys since white days ever paper hard near sentence better best across during today others however sure "
    "means "
    "knew try told young miles sun ways thing whole hear example heard several change answer room sea against top "
    "turned "
    "learn point city play toward five using himself usually user model system thought";

struct vocabulary {
    struct text tokens, types, merges; // as the arrays of the file
    uint32_t n_tokens, n_limit;
    uint64_t n_merges;
    char (*known)[32]; // words and their beginnings so far
    size_t n_known;
};

static void add_token(struct vocabulary *v, const char *text, enum token_type type)
{
    gguf_add_string(&v->tokens, text, strlen(text));
    gguf_add_u32(&v->types, type);
    v->n_tokens++;
}

static void add_merge(struct vocabulary *v, const char *left, const char *right)
{
    struct text merge = { 0 };
    app_text_format(&merge, "%s %s", left, right);
    gguf_add_string(&v->merges, merge.data, merge.size);
    v->n_merges++;
    app_text_free(&merge);
}

#define SPACE "\xe2\x96\x81" // U+2581, which stands for a space

// Runs of 2 to 8 of the same piece, each built from the one before.
static void add_runs(struct vocabulary *v, const char *piece)
{
    char run[32] = "";
    for (int n = 1; n <= 8; ++n) {
        if (n > 1)
            add_merge(v, run, piece);
        strcat(run, piece);
        if (n > 1)
            add_token(v, run, NORMAL);
    }
}

static bool is_known(const struct vocabulary *v, const char *text)
{
    for (size_t i = 0; i < v->n_known; ++i)
        if (strcmp(v->known[i], text) == 0)
            return true;
    return false;
}

// The word behind a space, letter by letter: " t", " th", " the".
static void add_word(struct vocabulary *v, const char *word, size_t size)
{
    char left[32] = SPACE;
    for (size_t i = 0; i < size && v->n_tokens < v->n_limit; ++i) {
        const char letter[2] = { word[i], '\0' };
        char whole[32];
        snprintf(whole, sizeof whole, "%.20s%s", left, letter);
        if (!is_known(v, whole)) {
            add_merge(v, left, letter);
            add_token(v, whole, NORMAL);
            memcpy(v->known[v->n_known++], whole, sizeof whole);
        }
        memcpy(left, whole, sizeof left);
    }
}

// No word of the list begins with x, so these are new; the number is spelled in syllables.
static void add_pseudo_word(struct vocabulary *v, uint32_t number)
{
    static const char consonants[] = "bdfgklmnprstvz", vowels[] = "aeiou";
    char text[32] = SPACE "x";
    size_t size = strlen(text);
    do {
        text[size++] = consonants[number % 14];
        text[size++] = vowels[number / 14 % 5];
        number /= 70;
    } while (number > 0);
    text[size] = '\0';
    add_token(v, text, NORMAL);
}

static void build(struct vocabulary *v, uint32_t n_vocab)
{
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; ++i)
        add_token(v, specials[i].text, specials[i].type);
    add_token(v, "\n", NORMAL);
    add_runs(v, "\n");
    for (int byte = 0; byte < 256; ++byte) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", byte);
        add_token(v, text, BYTE);
    }
    add_token(v, SPACE, NORMAL);
    for (char c = '!'; c <= '~'; ++c)
        add_token(v, (char[]){ c, '\0' }, NORMAL);
    add_runs(v, SPACE);

    v->n_limit = v->n_tokens + (n_vocab - v->n_tokens) * 3 / 4;
    v->known = app_memory_new(sizeof words, sizeof *v->known);
    for (const char *word = words; *word;) {
        const size_t size = strcspn(word, " ");
        add_word(v, word, size);
        word += size + (word[size] == ' ');
    }
    for (uint32_t number = 0; v->n_tokens < n_vocab; ++number)
        add_pseudo_word(v, number);
}

static void add_array(struct gguf_keys *keys, const char *key, enum gguf_type type, uint64_t n,
                      const struct text *bytes)
{
    gguf_key_array(keys, key, type, n);
    app_text_append(&keys->bytes, bytes->data, bytes->size);
}

void synth_vocab_invent(struct gguf_keys *keys, uint32_t n_vocab)
{
    struct vocabulary v = { 0 };
    build(&v, n_vocab);
    gguf_key_string(keys, "tokenizer.ggml.model", "gemma4");
    add_array(keys, "tokenizer.ggml.tokens", GGUF_STRING, v.n_tokens, &v.tokens);
    gguf_key_array(keys, "tokenizer.ggml.scores", GGUF_F32, v.n_tokens);
    for (uint32_t i = 0; i < v.n_tokens; ++i)
        gguf_add_u32(&keys->bytes, 0xc47a0000u); // -1000: real files carry it everywhere, and nobody reads it
    add_array(keys, "tokenizer.ggml.token_type", GGUF_I32, v.n_tokens, &v.types);
    add_array(keys, "tokenizer.ggml.merges", GGUF_STRING, v.n_merges, &v.merges);
    gguf_key_u32(keys, "tokenizer.ggml.bos_token_id", TOKEN_BOS);
    gguf_key_u32(keys, "tokenizer.ggml.eos_token_id", TOKEN_EOS);
    gguf_key_u32(keys, "tokenizer.ggml.eot_token_id", TOKEN_END_OF_TURN);
    gguf_key_u32(keys, "tokenizer.ggml.unknown_token_id", TOKEN_UNKNOWN);
    gguf_key_u32(keys, "tokenizer.ggml.padding_token_id", 0);
    gguf_key_u32(keys, "tokenizer.ggml.mask_token_id", 4);
    gguf_key_bool(keys, "tokenizer.ggml.add_bos_token", true);
    gguf_key_bool(keys, "tokenizer.ggml.add_space_prefix", false);
    app_text_free(&v.tokens);
    app_text_free(&v.types);
    app_text_free(&v.merges);
    free(v.known);
}
