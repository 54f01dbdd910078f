// text/grammar_nodes.h -- the automaton, and building it. Private to grammar*.c.
//
// An automaton is a graph of nodes that is built from its end: each function below adds what matches something and then
// goes on to the node `next`, and returns where that begins. A rule is a part that ends in NODE_RETURN and is entered
// by a call; a stack of the nodes to come back to belongs to the matcher.
#ifndef TEXT_GRAMMAR_NODES_H
#define TEXT_GRAMMAR_NODES_H

#include "text/grammar.h"
#include "text/parse.h"

enum node_kind {
    NODE_KIND_STEP,   // one byte: ranges[first .. first + n), which may overlap
    NODE_KIND_TOKEN,  // the control token `first` (enum parse_control), then next
    NODE_KIND_SPLIT,  // any of targets[first .. first + n)
    NODE_KIND_CALL,   // the rule at `first`, then next
    NODE_KIND_REPEAT, // the rule at `first`, min to max times, then next
    NODE_KIND_RETURN,
    NODE_KIND_END, // the answer is complete
};

// Nodes that every automaton has.
enum { NODE_DEAD, NODE_RETURN, NODE_END };

// A step that begins one character, accepts at least every character of the class and then returns.
enum char_class {
    CHARS_NONE,
    CHARS_PLAIN, // what stands for itself in a JSON string and in a line: not " \ U+007F U+2028 U+2029 or below a space
    CHARS_ANY,   // all of Unicode
    CHARS_COUNT,
};

#define REPEAT_FOREVER UINT32_MAX

struct node {
    uint8_t kind;
    uint8_t chars;        // of a step: enum char_class
    bool follow_is_apart; // of a repetition: no character of CHARS_PLAIN or CHARS_ANY can follow it
    uint32_t first, n, next;
    uint32_t min, max;
};

struct byte_range {
    uint8_t low, high;
    uint32_t next;
};

struct grammar {
    struct node *nodes;
    struct byte_range *ranges;
    uint32_t *targets;
    uint32_t n_nodes, n_ranges, n_targets, root;
    uint8_t class_of[256]; // bytes that no node tells apart share a class
    uint8_t byte_of[256];  // one of each class
    uint32_t n_classes;
};

// Hostile input runs into these; real schemas have some thousand nodes.
#define GRAMMAR_NODES_MAX 300000u
#define GRAMMAR_RANGES_MAX 1000000u

// Zeroed, then grammar_builder_begin(). What fails is sticky and seen by grammar_builder_finish().
struct grammar_builder {
    struct grammar *grammar;
    uint32_t node_capacity, range_capacity, target_capacity;
    bool no_memory, too_large;
};

enum karat_status grammar_builder_begin(struct grammar_builder *b, struct karat_error *err);
void grammar_builder_free(struct grammar_builder *b);

// What finishing found wrong.
enum grammar_fault {
    GRAMMAR_FAULT_NONE,
    GRAMMAR_FAULT_LEFT_RECURSION, // the rule that `node` calls comes back to it without a byte
    GRAMMAR_FAULT_NOTHING,        // no text is complete
    GRAMMAR_FAULT_EMPTY_REPEAT,   // a bounded repetition of something that may be empty, too often
};

// Removes what leads nowhere and moves the grammar to *out. A fault is no error: *out is NULL then.
// Errors  KARAT_ERR_MEMORY, KARAT_ERR_UNSUPPORTED   "`what` is too large: ..."
enum karat_status grammar_builder_finish(struct grammar_builder *b, uint32_t root, const char *what,
                                         struct grammar **out, enum grammar_fault *fault, uint32_t *node,
                                         struct karat_error *err);

uint32_t grammar_add_step(struct grammar_builder *b, const struct byte_range *ranges, uint32_t n);
uint32_t grammar_add_byte(struct grammar_builder *b, uint8_t byte, uint32_t next);
uint32_t grammar_add_text(struct grammar_builder *b, struct span text, uint32_t next);
uint32_t grammar_add_token(struct grammar_builder *b, enum parse_control control, uint32_t next);
uint32_t grammar_add_split(struct grammar_builder *b, const uint32_t *targets, uint32_t n); // any n; 0: dead
uint32_t grammar_add_either(struct grammar_builder *b, uint32_t one, uint32_t other);
uint32_t grammar_add_call(struct grammar_builder *b, uint32_t rule, uint32_t next);
uint32_t grammar_add_repeat(struct grammar_builder *b, uint32_t rule, uint32_t min, uint32_t max, uint32_t next);

// A rule that is called before it is known.
uint32_t grammar_reserve(struct grammar_builder *b);
void grammar_define(struct grammar_builder *b, uint32_t reserved, uint32_t target);

// ---------------------------------------------------------------------------------------------------- characters

// Sorted, disjoint, not touching. Zeroed is empty.
struct char_set {
    struct char_range {
        uint32_t low, high;
    } * ranges;
    size_t n, capacity;
    bool failed;
};
void char_set_add(struct char_set *set, uint32_t low, uint32_t high);
void char_set_negate(struct char_set *set);                                 // within Unicode, without surrogates
bool char_set_has(const struct char_set *set, uint32_t low, uint32_t high); // all of them
void char_set_free(struct char_set *set);

// How characters are written.
enum grammar_spelling {
    SPELL_RAW,  // as they are
    SPELL_JSON, // inside a JSON string: as they are or, where that is not allowed, escaped
};

uint32_t grammar_add_chars(struct grammar_builder *b, const struct char_set *set, enum grammar_spelling spelling,
                           uint32_t next);
// Any character; in JSON also by its escape.
uint32_t grammar_add_any_char(struct grammar_builder *b, enum grammar_spelling spelling, uint32_t next);
// The text's characters as the spelling has them.
uint32_t grammar_add_spelled(struct grammar_builder *b, struct span text, enum grammar_spelling spelling,
                             uint32_t next);

// ---------------------------------------------------------------------------------------------------- parts

// The decimal numbers from low to high, without exponent. NULL: no bound. Bounds are JSON numbers as written.
struct number_bounds {
    const struct json *low, *high;
    bool low_is_out, high_is_out; // exclusive
    bool integer;
};
bool grammar_carries_bound(const struct json *bound, bool is_out);
uint32_t grammar_add_number(struct grammar_builder *b, const struct number_bounds *bounds, uint32_t next); // carried

// A regular expression as JSON Schema's `pattern` has it, which may match anywhere unless anchored, of a text of min to
// max characters. Returns false and a reason when it is not carried; *malformed tells a mistake from something unknown.
bool grammar_add_pattern(struct grammar_builder *b, struct span pattern, enum grammar_spelling spelling, uint32_t min,
                         uint32_t max, uint32_t next, uint32_t *start, const char **reason, bool *malformed);

// How values are written.
enum grammar_dialect {
    DIALECT_JSON,
    DIALECT_CALL, // the arguments of a call: bare keys, sorted, strings between <|"|>
};

// The value that the schema describes; NULL: any. `what` names the schema in sentences.
enum karat_status grammar_add_schema(struct grammar_builder *b, const struct json *schema, enum grammar_dialect dialect,
                                     const char *what, uint32_t next, uint32_t *start, struct karat_error *err);
// An object of any members.
uint32_t grammar_add_any_object(struct grammar_builder *b, enum grammar_dialect dialect, uint32_t next);

enum karat_status grammar_add_gbnf(struct grammar_builder *b, struct span text, uint32_t next, uint32_t *start,
                                   struct karat_error *err);
#endif
