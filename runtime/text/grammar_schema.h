// text/grammar_schema.h -- reading schemas: what grammar_schema.c, _object.c, _values.c and _merge.c share. Private to
// them.
#ifndef TEXT_GRAMMAR_SCHEMA_H
#define TEXT_GRAMMAR_SCHEMA_H

#include "base/arena.h"
#include "text/grammar_nodes.h"

#define SCHEMA_BYTES_MAX ((size_t)1 << 20)   // of the document
#define SCHEMA_MEMORY_MAX ((size_t)64 << 20) // of joined copies
#define SCHEMA_ENTRIES_MAX 2000u             // of lists in which names or values are looked for one by one
#define SCHEMA_STEPS_MAX 10000u              // schemas looked at, again wherever they are joined with others
#define SCHEMA_DEPTH_MAX 160u

// A schema that others refer to, compiled once.
struct schema_rule {
    const struct json *schema;
    uint32_t node; // reserved
    const char *path;
    struct schema_rule *next;
};

struct schema_compiler {
    struct grammar_builder *b;
    struct arena arena;
    const struct json *root;
    enum grammar_dialect dialect;
    const char *what; // names the schema in sentences
    struct text path; // JSON pointer of the schema at hand
    struct karat_error *err;
    enum karat_status status; // the first failure
    unsigned steps, depth;
    struct schema_rule *rules, *open;                  // all, and from where on they are not compiled yet
    uint32_t any_char, any[GRAMMAR_ANY_DEPTH_MAX + 1]; // rules, 0: not made
    char impossible[256];                              // why the first schema without a value has none; "" without one
};

// Each names the schema at hand by its pointer and returns NODE_DEAD.
uint32_t schema_unsupported(struct schema_compiler *c, const char *keyword, const char *why);
uint32_t schema_malformed(struct schema_compiler *c, const char *keyword, const struct json *found, const char *wanted);
uint32_t schema_no_memory(struct schema_compiler *c);
uint32_t schema_impossible(struct schema_compiler *c, const char *why); // no failure: another choice may have a value

size_t schema_enter(struct schema_compiler *c, const char *keyword, struct span name); // name may be empty
void schema_leave(struct schema_compiler *c, size_t mark);

// The value that the schema describes; NULL: any.
uint32_t schema_value(struct schema_compiler *c, const struct json *schema, uint32_t next);

// What "$ref" of the schema points to, NULL after a failure.
const struct json *schema_resolve(struct schema_compiler *c, const struct json *ref);

bool schema_is_annotation(struct span keyword);

// ---- grammar_merge.c

// A schema whose values satisfy both; NULL after a failure.
const struct json *schema_merge(struct schema_compiler *c, const struct json *a, const struct json *b);
// A copy without one member.
struct json *schema_without(struct schema_compiler *c, const struct json *schema, const char *keyword);
// Whether nothing can satisfy both, as far as that is plain to see.
bool schema_are_apart(struct schema_compiler *c, const struct json *a, const struct json *b);

// ---- grammar_object.c

uint32_t schema_object(struct schema_compiler *c, const struct json *schema, uint32_t next);

// ---- grammar_values.c

uint32_t schema_any(struct schema_compiler *c, unsigned depth, uint32_t next);
uint32_t schema_literal(struct schema_compiler *c, const struct json *value, uint32_t next);
uint32_t schema_any_string(struct schema_compiler *c, uint32_t min, uint32_t max, uint32_t next);
uint32_t schema_quoted(struct schema_compiler *c, struct span text, uint32_t next);
uint32_t schema_quote(struct schema_compiler *c, uint32_t next);                // one delimiter of a string
uint32_t schema_key(struct schema_compiler *c, struct span key, uint32_t next); // with the colon
// A key that is none of the n names.
uint32_t schema_other_key(struct schema_compiler *c, const struct span *names, size_t n, uint32_t next);
uint32_t schema_colon(struct schema_compiler *c, uint32_t next);
uint32_t schema_comma(struct schema_compiler *c, uint32_t next);
// The members in the order in which they are written; n_children pointers in the arena.
const struct json **schema_members(struct schema_compiler *c, const struct json *object);
enum grammar_spelling schema_spelling(const struct schema_compiler *c);

#endif
