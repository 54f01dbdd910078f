// text/chat_writer.h -- inside of the chat renderer: the list of items being written, and how values are printed.
// Private to chat*.c.
#ifndef TEXT_CHAT_WRITER_H
#define TEXT_CHAT_WRITER_H

#include "text/chat.h"

// A prompt longer than this is a mistake: the longest context is below 2^20 tokens.
#define CHAT_PROMPT_BYTES_MAX ((size_t)64 << 20)

struct chat_writer {
    struct chat_prompt *prompt;
    bool strict;
    struct text run; // plain text since the last control; `failed` is sticky and checked once, at the end
    size_t items_capacity;
    size_t size_bytes; // of all items
    struct karat_error *err;
};

// Printing. Without a result: a lack of memory makes writer_finish() fail.
void writer_text(struct chat_writer *writer, struct span text);
void writer_string(struct chat_writer *writer, const char *text);
void writer_control(struct chat_writer *writer, const char *name); // a literal
void writer_media(struct chat_writer *writer, const char *name, const struct json *part);
void writer_ids(struct chat_writer *writer, const struct tokenizer *tokenizer, const uint32_t *ids, size_t n_ids);
size_t writer_mark(struct chat_writer *writer);                   // items so far; a control has to come next
void writer_quoted(struct chat_writer *writer, struct span text); // between two <|"|>
enum karat_status writer_finish(struct chat_writer *writer);

// A rejected conversation: KARAT_ERR_ARGUMENT.
#define REJECT(writer, ...) status_fail((writer)->err, KARAT_ERR_ARGUMENT, __VA_ARGS__)

// Values (B5 of the format): keys bare, as in calls and results, or quoted, as in declarations.
enum chat_keys { CHAT_KEYS_BARE, CHAT_KEYS_QUOTED };
void chat_write_value(struct chat_writer *writer, const struct json *value, enum chat_keys keys);

// The members of an object as k:v,k:v without braces, keys bare.
void chat_write_members(struct chat_writer *writer, const struct json *object);

// The members sorted by lower-cased key, ties in order of appearance; an array of n_children pointers in the prompt's
// arena. NULL when memory is out (and the writer knows).
const struct json **chat_sorted_members(struct chat_writer *writer, const struct json *object);

// What the template language prints for a value that is expected to be text: the characters of a string, nothing for
// NULL, Python's spelling for the rest.
void chat_append_plain(struct text *out, const struct json *value);
void chat_write_plain(struct chat_writer *writer, const struct json *value);

// The same between two <|"|>, and the same in upper case.
void chat_write_quoted_plain(struct chat_writer *writer, const struct json *value);
void chat_write_quoted_upper(struct chat_writer *writer, const struct json *value);

// True for a string that says `upper` in any case.
bool chat_is_upper(const struct json *value, const char *upper);

struct span chat_trim(struct span text); // of Unicode whitespace, as the template language does
void chat_lower(struct text *out, struct span text);

// Tool declarations (B4 of the format), each in its pair of controls.
enum karat_status chat_write_tools(struct chat_writer *writer, const struct json *tools);

#endif
