// engine/constraint.c -- see constraint.h.
#include "engine/constraint.h"

#include "engine/engine.h"

static bool wants_strict_call(const struct json *tools)
{
    for (const struct json *tool = tools ? tools->first_child : NULL; tool; tool = tool->next) {
        const struct json *function = json_find(tool, "function");
        if (json_truthy(json_find(function ? function : tool, "strict")))
            return true;
    }
    return false;
}

static bool is_wanted(const struct karat_generate_options *options, const struct constraint_prompt *prompt)
{
    return options->schema || options->grammar || options->tool_choice == KARAT_TOOLS_REQUIRED ||
           options->tool_choice == KARAT_TOOLS_NONE ||
           (prompt->tools && (options->tools_strict || options->one_call || wants_strict_call(prompt->tools)));
}

void constraint_free(struct constraint *constraint)
{
    grammar_cache_return(constraint->cache, constraint->grammar, constraint->matcher);
    *constraint = (struct constraint){ 0 };
}

enum karat_status constraint_open(struct constraint *out, const struct karat_model *model,
                                  const struct karat_generate_options *options, const struct constraint_prompt *prompt,
                                  struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const struct token_index *index = NULL;
    const struct grammar_reply reply = {
        .may_think = prompt->may_think,
        .starts_in_thought = prompt->starts_in_thought,
        .schema = span_text(options->schema ? options->schema : ""),
        .gbnf = span_text(options->grammar ? options->grammar : ""),
        .tools = prompt->tools,
        .calls = options->tool_choice == KARAT_TOOLS_REQUIRED ? GRAMMAR_CALLS_REQUIRED
                 : options->tool_choice == KARAT_TOOLS_NONE   ? GRAMMAR_CALLS_NONE
                                                              : GRAMMAR_CALLS_AUTO,
        .tool = span_text(options->tool ? options->tool : ""),
        .one_call = options->one_call,
        .strict = options->tools_strict,
    };
    *out = (struct constraint){ 0 };
    if (!is_wanted(options, prompt))
        return KARAT_OK;
    TRY(model_token_index(model, &index, err));
    out->cache = &((struct karat_model *)model)->grammars; // only what its lock guards is written
    TRY(grammar_cache_take(out->cache, &reply, index, &out->grammar, &out->matcher, err));
    if (!matcher_text(out->matcher, prompt->begun))
        TRY(status_fail(err, KARAT_ERR_ARGUMENT, "the begun answer does not fit what the answer must keep to"));
cleanup:
    return status;
}

void constraint_prepare(struct constraint *constraint)
{
    const uint32_t *mask = NULL;
    // What goes wrong here goes wrong again when the token is drawn.
    if (constraint->matcher)
        constraint->is_prepared = matcher_mask(constraint->matcher, &mask, NULL) == KARAT_OK;
}

enum karat_status constraint_sample(struct constraint *constraint, struct karat_session *session, uint32_t *id,
                                    struct karat_error *err)
{
    enum karat_status status = KARAT_OK;
    const uint32_t *mask = NULL;
    ++*(constraint->is_prepared ? &session->masks.n_prepared : &session->masks.n_late);
    constraint->is_prepared = false;
    TRY(matcher_mask(constraint->matcher, &mask, err));
    TRY(sampler_sample_among(session->sampler, karat_session_logits(session), mask, id, err));
    TRY(matcher_accept(constraint->matcher, *id, err));
cleanup:
    return status;
}
