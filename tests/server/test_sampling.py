#!/usr/bin/env python3
"""test_sampling.py PROGRAM [NAME...] : how karat serve draws tokens and what it tells of them: log probabilities, biases,
budgets of thought, calls and responses that are kept. Rows and stories are as in test_http.py.
"""
import json
import math
import re
import sys

from served import Server, program_of
from test_http import ANSWER, ASK_WEATHER, HELLO, R, WEATHER, chat, check_row, messages, tell, wrong

INVALID = "invalid_request_error"
TOKENS = ["Hello", "!", " ", "How", " can", " I", " help", " you", "?"]

GONE = "there is no response resp_1; those that are not stored, and the oldest of many, are forgotten"
HELLO_ID = 1093  # the token "Hello"

ROWS = [
    # log probabilities
    ("log probabilities of a chat", "POST", "/v1/chat/completions", chat(logprobs=True, top_logprobs=2), {}, 200,
     {"choices.0.logprobs.content.0.token": "Hello", "choices.0.logprobs.content.0.bytes": [72, 101, 108, 108, 111],
      "choices.0.logprobs.content.0.top_logprobs.0.token": "Hello", "choices.0.logprobs.refusal": None}),
    ("none where nobody asked", "POST", "/v1/chat/completions", chat(max_tokens=1, logprobs=False, top_logprobs=0), {}, 200,
     {"choices.0.logprobs": None}),
    ("log probabilities of a completion", "POST", "/v1/completions", {"prompt": "The", "max_tokens": 3, "temperature": 0, "logprobs": 2},
     {}, 200, {"choices.0.logprobs.text_offset.0": 0, "choices.0.logprobs.token_logprobs": R(r"^\[-?[\d.e-]+(, -?[\d.e-]+){2}\]$"),
               "choices.0.logprobs.top_logprobs.2": R(r'^\{"[^:]*": -?[\d.e-]+, "[^:]*": -?[\d.e-]+\}$')}),
    ("log probabilities of a response", "POST", "/v1/responses", {"input": "Hello!", "temperature": 0, "top_logprobs": 1,
        "include": ["message.output_text.logprobs"]}, {}, 200,
     {"output.0.content.0.logprobs.0.token": "Hello", "output.0.content.0.logprobs.0.top_logprobs.0.token": "Hello"}),
    ("a response without them", "POST", "/v1/responses", {"input": "Hello!", "max_output_tokens": 2}, {}, 200,
     {"output.0.content.0.logprobs": []}),
    ("messages have none and say nothing", "POST", "/v1/messages", messages(logprobs=True), {}, 200, {"content.0.text": ANSWER}),
    ("logprobs is a switch", "POST", "/v1/chat/completions", chat(logprobs=2), {}, 400,
     wrong(INVALID, "logprobs is 2, expected true or false", "logprobs")),
    ("top_logprobs without logprobs", "POST", "/v1/chat/completions", chat(top_logprobs=2), {}, 400,
     wrong(INVALID, "top_logprobs is given, but logprobs is not true", "top_logprobs")),
    ("too many top_logprobs", "POST", "/v1/chat/completions", chat(logprobs=True, top_logprobs=21), {}, 400,
     wrong(INVALID, "top_logprobs is 21, expected a whole number from 0 to 20", "top_logprobs")),
    ("too many of a completion", "POST", "/v1/completions", {"prompt": "a", "logprobs": 21}, {}, 400,
     wrong(INVALID, "logprobs is 21, expected a whole number from 0 to 20", "logprobs")),
    ("half a log probability", "POST", "/v1/responses", {"input": "a", "top_logprobs": 0.5}, {}, 400,
     wrong(INVALID, "top_logprobs is 0.5, expected a whole number from 0 to 20", "top_logprobs")),
    ("an include that is no list", "POST", "/v1/responses", {"input": "a", "include": "all"}, {}, 400,
     wrong(INVALID, "include is a string, expected a list of names", "include")),
    # budgets of thought
    ("Anthropic's budget", "POST", "/v1/messages", messages(thinking={"type": "enabled", "budget_tokens": 2}, max_tokens=90), {}, 200,
     {"content.0.type": "thinking", "content.1.type": "text"}),
    ("a thought without a budget", "POST", "/v1/messages", messages(thinking={"type": "adaptive"}, max_tokens=90), {}, 200,
     {"content.0.type": "thinking", "content.1.type": "text"}),
    ("a budget of nothing", "POST", "/v1/chat/completions", chat(reasoning_effort="high", thinking_budget_tokens=0), {}, 200,
     {"choices.0.message.reasoning_content": None, "usage.completion_tokens_details.reasoning_tokens": 0}),
    ("no budget", "POST", "/v1/chat/completions", chat(reasoning_effort="low", reasoning_budget=-1), {}, 200,
     {"choices.0.message.reasoning_content": R("."), "usage.completion_tokens_details.reasoning_tokens": R(r"^\d+$")}),
    ("the least effort", "POST", "/v1/responses", {"input": "Hello!", "temperature": 0, "reasoning": {"effort": "minimal"}}, {}, 200,
     {"output.0.type": "message", "usage.output_tokens_details.reasoning_tokens": 0}),
    ("an effort and a budget", "POST", "/v1/responses", {"input": "Hello!", "temperature": 0, "thinking_budget": 2,
        "reasoning": {"effort": "low"}}, {}, 200,
     {"output.0.type": "reasoning", "output.1.type": "message", "usage.output_tokens_details.reasoning_tokens": 2}),
    ("an effort nobody knows", "POST", "/v1/responses", {"input": "a", "reasoning": {"effort": "huge"}}, {}, 400,
     {"error.param": "reasoning.effort", "error.message": R("^reasoning.effort is a string, expected \"none\", ")}),
    ("half a budget", "POST", "/v1/messages", messages(thinking={"type": "enabled", "budget_tokens": 0.5}), {}, 400,
     {"error.message": "thinking.budget_tokens is 0.5, expected a whole number from 1 to 1048576"}),
    ("a budget in words", "POST", "/v1/chat/completions", chat(thinking_budget_tokens="much"), {}, 400,
     wrong(INVALID, "thinking_budget_tokens is a string, expected a whole number from -1 to 1048576", "thinking_budget_tokens")),
    # responses that are kept
    ("a response that is not there", "GET", "/v1/responses/resp_1", None, {}, 404, wrong("not_found_error", GONE)),
    ("nor to be removed", "DELETE", "/v1/responses/resp_1", None, {}, 404, wrong("not_found_error", GONE)),
    ("nor to go on from", "POST", "/v1/responses", {"input": "a", "previous_response_id": "resp_1"}, {}, 404,
     wrong("not_found_error", GONE, "previous_response_id")),
    ("nor to count from", "POST", "/v1/responses/input_tokens", {"input": "a", "previous_response_id": "resp_1"}, {}, 404, {}),
    ("a previous response that is no id", "POST", "/v1/responses", {"input": "a", "previous_response_id": 1}, {}, 400,
     wrong(INVALID, "previous_response_id is 1, expected the id of a response", "previous_response_id")),
    ("store is a switch", "POST", "/v1/responses", {"input": "a", "store": "no"}, {}, 400,
     wrong(INVALID, "store is a string, expected true or false", "store")),
    # biases
    ("a ban by id", "POST", "/v1/chat/completions", chat(logit_bias={str(HELLO_ID): -100}), {}, 200,
     {"choices.0.message.content": R("^(?!Hello).")}),
    ("a wish", "POST", "/v1/chat/completions", chat(logit_bias={str(HELLO_ID): 100}, max_tokens=2), {}, 200,
     {"choices.0.message.content": "HelloHello"}),
    ("a bias of nothing", "POST", "/v1/chat/completions", chat(logit_bias={}), {}, 200, {"choices.0.message.content": ANSWER}),
    ("pairs, a text and a ban", "POST", "/v1/completions",
     {"prompt": "The", "max_tokens": 3, "temperature": 0, "logit_bias": [[HELLO_ID, False], ["!?", 100]]}, {}, 200,
     {"choices.0.text": R("^[!?]{3}$")}),
    ("a response with a bias", "POST", "/v1/responses", {"input": "Hello!", "temperature": 0, "logit_bias": [["Hello", False]]}, {}, 200,
     {"output.0.content.0.text": R("^(?!Hello).")}),
    ("a message with a bias", "POST", "/v1/messages", messages(logit_bias=[["Hello", False]]), {}, 200, {"content.0.text": R("^(?!Hello).")}),
    ("what the answer must keep to wins", "POST", "/v1/chat/completions", chat(grammar='root ::= "Hello"', logit_bias=[["Hello", False]] + [
        [i, False] for i in range(2048) if i != 1]), {}, 200, {"choices.0.message.content": "Hello"}),
    ("a bias that is no object", "POST", "/v1/chat/completions", chat(logit_bias=5), {}, 400,
     wrong(INVALID, "logit_bias is 5, expected an object, or a list of pairs of a token and its bias", "logit_bias")),
    ("a bias of no pairs", "POST", "/v1/chat/completions", chat(logit_bias=[[1, 2, 3]]), {}, 400,
     wrong(INVALID, "logit_bias is an array, expected an object, or a list of pairs of a token and its bias", "logit_bias")),
    ("a bias of a word", "POST", "/v1/chat/completions", chat(logit_bias={"Hello": 1}), {}, 400,
     wrong(INVALID, "logit_bias has a member Hello, expected token ids", "logit_bias")),
    ("a bias beyond the vocabulary", "POST", "/v1/chat/completions", chat(logit_bias={"2048": 1}), {}, 400,
     wrong(INVALID, "logit_bias is for token 2048, expected token ids from 0 to 2047", "logit_bias")),
    ("a bias of half a token", "POST", "/v1/chat/completions", chat(logit_bias=[[1.5, 1]]), {}, 400,
     wrong(INVALID, "logit_bias is for token 1.5, expected token ids from 0 to 2047", "logit_bias")),
    ("a bias of a list", "POST", "/v1/chat/completions", chat(logit_bias=[[[], 1]]), {}, 400,
     wrong(INVALID, "logit_bias is an array, expected pairs of a token id or a text and its bias", "logit_bias")),
    ("a bias too strong", "POST", "/v1/chat/completions", chat(logit_bias={"1": -101}), {}, 400,
     wrong(INVALID, "logit_bias is -101, expected biases from -100 to 100, or false", "logit_bias")),
    ("a bias that is true", "POST", "/v1/chat/completions", chat(logit_bias={"1": True}), {}, 400,
     wrong(INVALID, "logit_bias is true, expected biases from -100 to 100, or false", "logit_bias")),
    ("too many biases", "POST", "/v1/chat/completions", chat(logit_bias=[[1, 1]] * 4097), {}, 400,
     wrong(INVALID, "logit_bias is for more than 4096 tokens", "logit_bias")),
]

# --------------------------------------------------------------------------------------------------------------------


def check_tokens(tokens, text, n_top):
    assert "".join(bytes(t["bytes"]).decode("utf-8", "surrogateescape") for t in tokens).encode("utf-8", "surrogateescape") == text.encode()
    for t in tokens:
        tops = t["top_logprobs"]
        assert math.isfinite(t["logprob"]) and t["logprob"] <= 0 and len(tops) == n_top, t
        assert all(a["logprob"] >= b["logprob"] for a, b in zip(tops, tops[1:])) and tops[0]["logprob"] >= t["logprob"], t


def log_probabilities_of_a_stream_come_with_their_text(server):
    body = chat(logprobs=True, top_logprobs=3)
    whole = server.ask("POST", "/v1/chat/completions", body)[2]["choices"][0]
    chunks = [data["choices"][0] for _, data in server.events("/v1/chat/completions", {**body, "stream": True})[:-1]]
    tokens, text = [], ""
    for chunk in chunks:
        text += chunk["delta"].get("content") or ""
        if "content" in chunk["delta"] and chunk["delta"]["content"]:
            tokens += chunk["logprobs"]["content"]
            check_tokens(tokens, text, 3)
        else:
            assert chunk["logprobs"] is None, chunk
    assert [t["token"] for t in tokens] == [t["token"] for t in whole["logprobs"]["content"]] == TOKENS, tokens
    assert all(abs(a["logprob"] - b["logprob"]) < 1e-2 for a, b in zip(tokens, whole["logprobs"]["content"]))


def what_a_stop_text_holds_back_is_in_no_token(server):
    for stop, want in ((" help", TOKENS[:6]), ("elp", TOKENS[:6]), ("ow can I he", TOKENS[:3])):
        choice = server.ask("POST", "/v1/chat/completions", chat(logprobs=True, stop=stop))[2]["choices"][0]
        assert [t["token"] for t in choice["logprobs"]["content"]] == want, (stop, choice)


def thoughts_and_calls_have_no_tokens(server):
    choice = server.ask("POST", "/v1/chat/completions", chat(logprobs=True, top_logprobs=1, reasoning_effort="high"))[2]["choices"][0]
    check_tokens(choice["logprobs"]["content"], choice["message"]["content"], 1)
    assert choice["message"]["reasoning_content"]
    choice = server.ask("POST", "/v1/chat/completions", {**ASK_WEATHER, "logprobs": True})[2]["choices"][0]
    assert choice["message"]["tool_calls"] and choice["logprobs"]["content"] == [], choice


def characters_of_several_tokens_are_spelled_by_bytes(server):
    body = {"messages": [{"role": "user", "content": "Show me some emoji."}], "temperature": 0, "logprobs": True, "top_logprobs": 20}
    choice = server.ask("POST", "/v1/chat/completions", body)[2]["choices"][0]
    check_tokens(choice["logprobs"]["content"], choice["message"]["content"], 20)
    assert any(t["token"].startswith("\\xf0") for t in choice["logprobs"]["content"]), choice


def a_completion_streams_its_lists_one_after_the_other(server):
    body = {"prompt": "The", "max_tokens": 6, "temperature": 0, "logprobs": 1}
    whole = server.ask("POST", "/v1/completions", body)[2]["choices"][0]
    chunks = [data["choices"][0] for _, data in server.events("/v1/completions", {**body, "stream": True})[:-1]]
    joined = {name: sum((c["logprobs"][name] for c in chunks), []) for name in whole["logprobs"]}
    assert joined["tokens"] == whole["logprobs"]["tokens"] and joined["text_offset"] == whole["logprobs"]["text_offset"]
    assert all(abs(a - b) < 1e-2 for a, b in zip(joined["token_logprobs"], whole["logprobs"]["token_logprobs"]))
    assert all(list(top) == [token] for top, token in zip(joined["top_logprobs"], joined["tokens"])), joined
    assert "".join(whole["logprobs"]["tokens"]) == whole["text"]
    assert all(whole["text"][at:].startswith(token) for at, token in zip(whole["logprobs"]["text_offset"], whole["logprobs"]["tokens"]))


def a_response_streams_log_probabilities_with_its_deltas(server):
    events = server.events("/v1/responses", {"input": "Hello!", "temperature": 0, "stream": True, "top_logprobs": 2,
                                             "include": ["message.output_text.logprobs"]})
    tokens = sum((d["logprobs"] for n, d in events if n == "response.output_text.delta"), [])
    check_tokens(tokens, ANSWER, 2)
    part = events[-1][1]["response"]["output"][0]["content"][0]
    done = next(d for n, d in events if n == "response.output_text.done")
    added = next(d for n, d in events if n == "response.content_part.added")
    assert part["logprobs"] == tokens == done["logprobs"] and added["part"]["logprobs"] == []


def a_seed_repeats_with_biases_too(server):
    body = {"prompt": "The", "max_tokens": 16, "temperature": 2, "logit_bias": {str(HELLO_ID): 2, "318": -3}}
    ask = lambda seed: server.ask("POST", "/v1/completions", {**body, "seed": seed})[2]["choices"][0]["text"]
    first = ask(5)
    assert ask(5) == first and ask(6) != first


def a_thought_keeps_to_its_budget(server):
    for budget in (1, 2, 5):
        reply = server.ask("POST", "/v1/chat/completions", chat(reasoning_effort="high", thinking_budget_tokens=budget))[2]
        message = reply["choices"][0]["message"]
        assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] == budget, reply
        assert message["reasoning_content"] and message["content"] and reply["choices"][0]["finish_reason"] == "stop", reply
    body = chat(reasoning_effort="high", thinking_budget_tokens=3, grammar='root ::= "yes" | "no"')
    reply = server.ask("POST", "/v1/chat/completions", body)[2]
    assert reply["choices"][0]["message"]["content"] in ("yes", "no"), reply
    assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] <= 3, reply


def weather_loop(server, change=None):
    """Asks, answers the call, asks again; the usage of the second reply and how many tokens the first timeline had."""
    ask, path = {**ASK_WEATHER, "max_tokens": 60}, "/v1/chat/completions"
    first = server.ask("POST", path, ask)[2]
    message = first["choices"][0]["message"]
    assert message["tool_calls"], first
    if change:
        change(message)
    ask["messages"] = ask["messages"] + [message, {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "sunny"}]
    second = server.ask("POST", path, {**ask, "max_tokens": 1})[2]
    # The token that ended the reply was sampled, not evaluated.
    return second["usage"]["prompt_tokens_details"]["cached_tokens"], first["usage"]["total_tokens"] - 1


def a_tool_loop_evaluates_nothing_twice(server):
    cached, evaluated = weather_loop(server)
    assert cached == evaluated, (cached, evaluated)

    def spelled_otherwise(message):
        function = message["tool_calls"][0]["function"]
        function["arguments"] = json.dumps(json.loads(function["arguments"]), indent=2)

    cached, evaluated = weather_loop(server, spelled_otherwise)
    assert cached == evaluated, (cached, evaluated)


def a_call_that_was_changed_is_not_replayed(server):
    def other_city(message):
        message["tool_calls"][0]["function"]["arguments"] = '{"city": "Rome"}'

    def other_id(message):
        message["tool_calls"][0]["id"] = "call_" + "0" * 24

    for change in (other_city, other_id):
        cached, evaluated = weather_loop(server, change)
        assert cached + 8 < evaluated, (change, cached, evaluated)


def anthropic_and_responses_loops_are_replayed_too(server):
    tool = {"name": "get_weather", "description": WEATHER["function"]["description"], "input_schema": WEATHER["function"]["parameters"]}
    ask = {"messages": ASK_WEATHER["messages"], "tools": [tool], "max_tokens": 60, "temperature": 0}
    first = server.ask("POST", "/v1/messages", ask)[2]
    call = first["content"][-1]
    ask["messages"] = ask["messages"] + [{"role": "assistant", "content": first["content"]}, {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": call["id"], "content": "sunny"}]}]
    second = server.ask("POST", "/v1/messages", ask)[2]
    total = sum(first["usage"][name] for name in ("input_tokens", "cache_read_input_tokens", "output_tokens"))
    assert second["usage"]["cache_read_input_tokens"] == total - 1, (first, second)

    ask = {"input": [{"role": "user", "content": "What is the weather in Rome?"}], "tools": [{"type": "function", **WEATHER["function"]}],
           "temperature": 0, "max_output_tokens": 60}
    first = server.ask("POST", "/v1/responses", ask)[2]
    ask["input"] += first["output"] + [{"type": "function_call_output", "call_id": first["output"][-1]["call_id"], "output": "sunny"}]
    second = server.ask("POST", "/v1/responses", ask)[2]
    assert second["usage"]["input_tokens_details"]["cached_tokens"] == first["usage"]["total_tokens"] - 1, (first, second)


def a_response_goes_on_from_another(server):
    first = server.ask("POST", "/v1/responses", {"input": "Which day comes before Wednesday?", "temperature": 0, "instructions": "Be kind."})[2]
    assert first["store"] and first["previous_response_id"] is None
    assert server.ask("GET", f"/v1/responses/{first['id']}")[2] == first
    ask = {"input": "Capital of Poland?", "temperature": 0, "previous_response_id": first["id"]}
    second = server.ask("POST", "/v1/responses", ask)[2]
    assert second["previous_response_id"] == first["id"] and "Warsaw" in second["output"][0]["content"][0]["text"], second
    # The instructions are not carried over; all else is as if it had been sent.
    told = {"input": [{"role": "user", "content": "Which day comes before Wednesday?"}, *first["output"],
                      {"role": "user", "content": "Capital of Poland?"}]}
    count = lambda body: server.ask("POST", "/v1/responses/input_tokens", body)[2]["input_tokens"]
    assert second["usage"]["input_tokens"] == count(ask) == count(told), second
    third = {"input": "And?", "previous_response_id": second["id"], "instructions": "Be kind."}
    assert count(third) > count(ask)
    removed = server.ask("DELETE", f"/v1/responses/{second['id']}")
    assert removed[0] == 200 and removed[2] == {"id": second["id"], "object": "response", "deleted": True}
    assert server.ask("GET", f"/v1/responses/{second['id']}")[0] == server.ask("POST", "/v1/responses", third)[0] == 404


def input_items(server, id, query=""):
    status, _, reply = server.ask("GET", f"/v1/responses/{id}/input_items{query}")
    assert status == 200 and reply["object"] == "list", reply
    ids = [item["id"] for item in reply["data"]]
    assert (reply["first_id"], reply["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None)), reply
    return reply


def a_response_tells_what_it_answers(server):
    ask = {"temperature": 0, "max_output_tokens": 60, "tools": [{"type": "function", **WEATHER["function"]}]}
    first = server.ask("POST", "/v1/responses", {**ask, "input": "What is the weather in Madrid?", "instructions": "Be kind."})[2]
    [question] = input_items(server, first["id"])["data"]
    assert re.fullmatch("msg_[0-9A-Za-z]{32}", question.pop("id")), question
    assert question == {"type": "message", "status": "completed", "role": "user",
                        "content": [{"type": "input_text", "text": "What is the weather in Madrid?"}]}, question
    result = {"type": "function_call_output", "call_id": first["output"][-1]["call_id"], "output": "sunny"}
    said = {"role": "user", "content": [{"type": "input_text", "text": "And?"}], "id": "msg_mine"}
    thought, told = {"type": "reasoning", "content": "Hm."}, {"role": "assistant", "content": "Well."}
    second = server.ask("POST", "/v1/responses", {**ask, "previous_response_id": first["id"], "input": [result, thought, told, said]})[2]
    # All that came before it, the last first.
    latest = input_items(server, second["id"])
    items = input_items(server, second["id"], "?order=asc")["data"]
    assert latest["data"] == items[::-1] and latest["has_more"] is False, latest
    assert [item["type"] for item in items] == ["message", "function_call", "function_call_output", "reasoning", "message", "message"], items
    assert items[1:2] == first["output"] and items[2] == {**result, "id": items[2]["id"], "status": "completed"}, items
    assert items[3]["content"] == [{"type": "reasoning_text", "text": "Hm."}], items
    assert items[4]["content"] == [{"type": "output_text", "text": "Well.", "annotations": []}], items
    assert items[5] == {**said, "type": "message", "status": "completed"} and len({item["id"] for item in items}) == 6, items
    # In pages.
    ids = [item["id"] for item in items]
    rows = [("?limit=3", ids[:2:-1], True), (f"?limit=2&after={ids[3]}", ids[2:0:-1], True), (f"?after={ids[1]}&limit=1", ids[:1], False),
            (f"?order=asc&after={ids[3]}", ids[4:], False), (f"?after={ids[0]}", [], False), ("?limit=100&order=desc", ids[::-1], False)]
    for query, wanted, more in rows:
        page = input_items(server, second["id"], query)
        assert ([item["id"] for item in page["data"]], page["has_more"]) == (wanted, more), (query, page)
    wrong = [("?limit=0", "limit", "limit is no whole number from 1 to 100"), ("?limit=101", "limit", "limit is no whole number from 1 to 100"),
             ("?limit=-1", "limit", "limit is no whole number from 1 to 100"), ("?limit=", "limit", "limit is no whole number from 1 to 100"),
             ("?order=up", "order", 'order is neither "asc" nor "desc"'), ("?after=x", "after", "after is the id of no item of this response"),
             ("?limit", None, "what follows the question mark cannot be read")]
    for query, param, sentence in wrong:
        status, _, reply = server.ask("GET", f"/v1/responses/{second['id']}/input_items{query}")
        assert (status, reply["error"]["param"], reply["error"]["message"]) == (400, param, sentence), (query, reply)
    assert server.ask("GET", "/v1/responses/resp_1/input_items")[0] == 404
    assert server.ask("DELETE", f"/v1/responses/{second['id']}/input_items")[0] == 404
    assert server.ask("GET", f"/v1/responses/{second['id']}/output_items")[0] == 404


def a_response_that_is_not_to_be_kept_is_not(server):
    reply = server.ask("POST", "/v1/responses", {"input": "Hello!", "store": False, "max_output_tokens": 2})[2]
    assert reply["store"] is False and server.ask("GET", f"/v1/responses/{reply['id']}")[0] == 404


def a_streamed_call_goes_on_by_its_result_alone(server):
    ask = {"temperature": 0, "max_output_tokens": 60, "tools": [{"type": "function", **WEATHER["function"]}]}
    first = server.events("/v1/responses", {**ask, "input": "What is the weather in Paris?", "stream": True})[-1][1]["response"]
    assert server.ask("GET", f"/v1/responses/{first['id']}")[2] == first
    second = server.ask("POST", "/v1/responses", {**ask, "previous_response_id": first["id"], "input": [
        {"type": "function_call_output", "call_id": first["output"][-1]["call_id"], "output": "sunny"}]})[2]
    assert second["output"][0]["type"] == "message", second
    assert second["usage"]["input_tokens_details"]["cached_tokens"] == first["usage"]["total_tokens"] - 1, (first, second)


STORIES = [a_response_goes_on_from_another, a_response_tells_what_it_answers, a_response_that_is_not_to_be_kept_is_not, a_streamed_call_goes_on_by_its_result_alone,
           a_tool_loop_evaluates_nothing_twice, a_call_that_was_changed_is_not_replayed,
           anthropic_and_responses_loops_are_replayed_too, a_thought_keeps_to_its_budget, a_seed_repeats_with_biases_too, log_probabilities_of_a_stream_come_with_their_text, what_a_stop_text_holds_back_is_in_no_token,
           thoughts_and_calls_have_no_tokens, characters_of_several_tokens_are_spelled_by_bytes,
           a_completion_streams_its_lists_one_after_the_other, a_response_streams_log_probabilities_with_its_deltas]


def main():
    program, names = program_of(sys.argv[1]), sys.argv[2:]
    chosen = lambda name: not names or any(n in name for n in names)
    n, faults = 0, []
    with Server(program, "--alias", "demo", "--ctx", "1024", "--parallel", "2") as server:
        for row in filter(lambda row: chosen(row[0]), ROWS):
            n, faults = n + 1, faults + tell(server, lambda s, row=row: check_row(s, row), row[0])
        for story in filter(lambda story: chosen(story.__name__), STORIES):
            n, faults = n + 1, faults + tell(server, story, story.__name__)
    print("\n".join(f"FAIL {f}" for f in faults))
    print(f"{n} cases, {len(faults)} failed")
    return 1 if faults or not n else 0


if __name__ == "__main__":
    sys.exit(main())
