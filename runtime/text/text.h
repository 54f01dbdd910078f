// text/text.h -- the door of the room: everything about characters and tokens. No GPU, no files.
#ifndef TEXT_TEXT_H
#define TEXT_TEXT_H

#include "text/chat.h"
#include "text/grammar.h"
#include "text/json.h"
#include "text/logprob.h"
#include "text/parse.h"
#include "text/sampler.h"
#include "text/stream.h"
#include "text/tokenizer.h"

#endif
