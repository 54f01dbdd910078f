// text/chat_replay.h -- turns of the model that go back into a prompt as they were sampled. Private to chat*.c.
//
// A prompt that is rendered anew spells a call as the template does, which need not be how the model wrote it, and then
// nothing that was evaluated after it can be kept. So a caller may hand the tokens back, "sampled" in the request: for
// the ids of calls the tokens of the turn that made them. They are read again, and used only where they still say what
// the message says.
#ifndef TEXT_CHAT_REPLAY_H
#define TEXT_CHAT_REPLAY_H

#include "text/chat.h"

// A part of a turn.
struct sampled_part {
    const uint32_t *ids;
    size_t n_ids;
};

struct sampled_turn {
    struct sampled_part whole;  // from its thought to its last call; n_ids 0: it says something else by now
    struct sampled_part *calls; // one for each call of the message; n_ids 0: none that is the same
};

// What was sampled for the calls of a message. `request` as it came, with "sampled" and the tools as declared.
// tokenizer NULL: nothing. All memory is the arena's.
// Errors  KARAT_ERR_ARGUMENT   "sampled" is no list of calls and token ids, in one sentence;  KARAT_ERR_MEMORY
enum karat_status chat_find_sampled(struct sampled_turn *out, const struct json *request, const struct json *message,
                                    const struct tokenizer *tokenizer, struct arena *arena, struct karat_error *err);

#endif
