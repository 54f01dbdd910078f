#!/usr/bin/env python3
"""test_http.py PROGRAM [NAME...] : what karat serve answers to single requests, good and bad, on the demo model.

Requests are rows: what is claimed, the request, the status, and what the reply holds. A path such as "error.type" leads
into the reply; the value is compared, or, for a compiled expression, searched in it. What takes more than one request is
a function below the tables.
"""
import json
import re
import socket
import subprocess
import sys
import threading
import time

from served import PATIENCE, Server, program_of

HELLO = {"messages": [{"role": "user", "content": "Hello!"}], "temperature": 0}
ANSWER = "Hello! How can I help you?"
CHOICE = {"type": "object", "properties": {"a": {"enum": ["x", "yy"]}}, "required": ["a"], "additionalProperties": False}
WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "Get the weather of a city.",
           "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
ASK_WEATHER = {"messages": [{"role": "user", "content": "What is the weather in Paris?"}], "tools": [WEATHER], "temperature": 0}
KEY = "a key with spaces"


def chat(**fields):
    return {**HELLO, **fields}


def messages(**fields):
    return {**HELLO, "max_tokens": 30, **fields}


def wrong(kind, sentence, param=None):
    return {"error.type": kind, "error.message": sentence, "error.param": param}


R = re.compile

# claim, method, path, body, headers, status, {path: value}
OPEN = [
    ("health", "GET", "/health", None, {}, 200, {"status": "ok"}),
    ("health with the prefix", "GET", "/v1/health", None, {}, 200, {"status": "ok"}),
    ("models", "GET", "/v1/models", None, {}, 200, {"object": "list", "data.0.id": "demo", "data.0.meta.n_ctx": 512}),
    ("models without the prefix", "GET", "/models", None, {}, 200, {"data.0.id": "demo"}),
    ("one model", "GET", "/v1/models/demo", None, {}, 200, {"id": "demo", "object": "model"}),
    ("a model that is not here", "GET", "/v1/models/gpt%2d5", None, {}, 404,
     wrong("not_found_error", "there is no model gpt-5; this server has demo", "model")),
    ("props", "GET", "/props", None, {}, 200, {"total_slots": 2, "model_alias": "demo", "bos_token": "<bos>"}),
    ("metrics", "GET", "/metrics", None, {}, 200, {"": R(r"\nllamacpp:requests_processing \d+\n")}),
    ("nothing there", "GET", "/v1/nothing", None, {}, 404, wrong("not_found_error", "there is nothing at /v1/nothing")),
    ("the wrong method", "GET", "/v1/chat/completions", None, {}, 405,
     wrong("invalid_request_error", "/v1/chat/completions does not take this method")),
    ("a method nobody knows", "BREW", "/v1/models", None, {}, 501, {"error.type": "not_supported_error"}),
    ("an oversized header", "GET", "/health", None, {"X-Long": "x" * 70000}, 400,
     {"error.message": R("not a well-formed HTTP request")}),
    # who asks
    ("another Host", "GET", "/health", None, {"Host": "evil.example"}, 403,
     wrong("permission_error", "the Host header is evil.example, but this server answers to names of this machine only")),
    ("a Host that begins like ours", "GET", "/health", None, {"Host": "127.0.0.1.evil.example"}, 403,
     {"error.type": "permission_error"}),
    ("localhost", "GET", "/health", None, {"Host": "localhost:1234"}, 200, {}),
    ("IPv6 loopback", "GET", "/health", None, {"Host": "[::1]:80"}, 200, {}),
    ("a page from elsewhere", "POST", "/v1/chat/completions", HELLO, {"Origin": "https://evil.example"}, 403,
     wrong("permission_error", "pages of https://evil.example may not use this server")),
    ("a page without origin", "GET", "/health", None, {"Origin": "null"}, 403, {"error.type": "permission_error"}),
    ("a page of this machine", "GET", "/health", None, {"Origin": "http://localhost:3000"}, 200, {}),
    # text
    ("tokenize", "POST", "/tokenize", {"content": "Hello"}, {}, 200, {"tokens": R(r"^\[\d+\]$")}),
    ("tokenize with the start token", "POST", "/tokenize", {"content": "", "add_special": True}, {}, 200, {"tokens": [2]}),
    ("tokenize with pieces", "POST", "/tokenize", {"content": "Hello", "with_pieces": True}, {}, 200,
     {"tokens.0.piece": "Hello"}),
    ("controls are not made of plain text when that is asked", "POST", "/tokenize",
     {"content": "<|turn>", "parse_special": False, "with_pieces": True}, {}, 200, {"tokens.0.piece": "<"}),
    ("tokenize without content", "POST", "/tokenize", {}, {}, 400,
     wrong("invalid_request_error", "content is missing, expected a string", "content")),
    ("detokenize", "POST", "/detokenize", {"tokens": [2]}, {}, 200, {"content": "<bos>"}),
    ("detokenize nothing", "POST", "/detokenize", {"tokens": []}, {}, 200, {"content": ""}),
    ("detokenize beyond the vocabulary", "POST", "/detokenize", {"tokens": [2048]}, {}, 400,
     wrong("invalid_request_error", "tokens is 2048, expected token ids from 0 to 2047", "tokens")),
    ("the rendered prompt", "POST", "/apply-template", HELLO, {}, 200,
     {"prompt": R(r"^<bos><\|turn>user\nHello!<turn\|>\n<\|turn>model\n")}),
    ("input tokens of a chat", "POST", "/v1/chat/completions/input_tokens", HELLO, {}, 200, {"input_tokens": 15}),
    ("input tokens of a response", "POST", "/v1/responses/input_tokens", {"input": "Hello!"}, {}, 200, {"input_tokens": 15}),
    ("input tokens of messages", "POST", "/v1/messages/count_tokens", HELLO, {}, 200, {"": R(r'^\{"input_tokens": 15\}$')}),
    # bad requests
    ("no body", "POST", "/v1/chat/completions", b"", {}, 400,
     wrong("invalid_request_error", "the request has no body, expected a JSON object")),
    ("no JSON", "POST", "/v1/chat/completions", b"{]", {}, 400, {"error.message": R("^the body is not JSON: .* at byte 1$")}),
    ("no object", "POST", "/v1/chat/completions", b"[1]", {}, 400, {"error.message": "the body is JSON but no object"}),
    ("broken UTF-8", "POST", "/v1/chat/completions", b'{"a": "\xff"}', {}, 400, {"error.message": R("a byte that is not UTF-8")}),
    ("too deep", "POST", "/v1/chat/completions", b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", {}, 400,
     {"error.message": R("nested too deeply")}),
    ("no messages", "POST", "/v1/chat/completions", {}, {}, 400,
     wrong("invalid_request_error", "messages is missing, expected a list of messages", "messages")),
    ("empty messages", "POST", "/v1/chat/completions", {"messages": []}, {}, 400,
     wrong("invalid_request_error", "messages is empty, expected at least one message", "messages")),
    ("a role that is no text", "POST", "/v1/chat/completions", {"messages": [{"role": 1, "content": ""}]}, {}, 400,
     {"error.type": "invalid_request_error", "error.message": R(r"messages\[0\]: the role is a number, expected text")}),
    ("a temperature in words", "POST", "/v1/chat/completions", chat(temperature="hot"), {}, 400,
     wrong("invalid_request_error", "temperature is a string, expected a number from 0 to 100", "temperature")),
    ("a temperature too high", "POST", "/v1/chat/completions", chat(temperature=101), {}, 400,
     wrong("invalid_request_error", "temperature is 101, expected a number from 0 to 100", "temperature")),
    ("half a token", "POST", "/v1/chat/completions", chat(max_tokens=1.5), {}, 400,
     wrong("invalid_request_error", "max_tokens is 1.5, expected a whole number from -1 to 1048576", "max_tokens")),
    ("too many choices", "POST", "/v1/chat/completions", chat(n=17), {}, 400,
     wrong("invalid_request_error", "n is 17, expected a whole number from 1 to 16", "n")),
    ("stream is no switch", "POST", "/v1/chat/completions", chat(stream="yes"), {}, 400,
     wrong("invalid_request_error", "stream is a string, expected true or false", "stream")),
    ("an empty stop text", "POST", "/v1/chat/completions", chat(stop=["a", ""]), {}, 400,
     wrong("invalid_request_error", "a text of stop is empty", "stop")),
    ("a stop text with a zero", "POST", "/v1/chat/completions", chat(stop="a\0b"), {}, 400,
     wrong("invalid_request_error", "a text of stop holds the character U+0000", "stop")),
    ("too many stop texts", "POST", "/v1/chat/completions", chat(stop=["a"] * 17), {}, 400,
     wrong("invalid_request_error", "stop has more than 16 texts", "stop")),
    ("a stop that is no text", "POST", "/v1/chat/completions", chat(stop=[7]), {}, 400,
     wrong("invalid_request_error", "stop is 7, expected a string or a list of strings", "stop")),
    ("thinking in words", "POST", "/v1/chat/completions", chat(chat_template_kwargs={"enable_thinking": "true"}), {}, 400,
     wrong("invalid_request_error", "chat_template_kwargs.enable_thinking is a string, expected true or false",
           "chat_template_kwargs.enable_thinking")),
    ("an unknown effort", "POST", "/v1/chat/completions", chat(reasoning_effort="huge"), {}, 400,
     {"error.param": "reasoning_effort"}),
    ("an unknown reasoning format", "POST", "/v1/chat/completions", chat(reasoning_format="x"), {}, 400,
     {"error.param": "reasoning_format"}),
    ("stream options that are none", "POST", "/v1/chat/completions", chat(stream_options=1), {}, 400,
     {"error.param": "stream_options"}),
    ("tools that are no list", "POST", "/v1/chat/completions", chat(tools={}), {}, 400,
     wrong("invalid_request_error", "tools is an object, expected a list of tools", "tools")),
    ("a tool choice nobody knows", "POST", "/v1/chat/completions", chat(tool_choice="perhaps"), {}, 400,
     {"error.param": "tool_choice"}),
    ("an image", "POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]}, {}, 400,
     {"error.message": R("only text is read so far")}),
    ("a prompt that is too long", "POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "word " * 2000}]},
     {}, 400, {"error.type": "exceed_context_size_error", "error.n_ctx": 512, "error.n_prompt_tokens": R(r"^\d{4,}$"),
               "error.message": R("exceeds the available context size")}),
    # what is not there yet is said, not dropped
    ("a format that is text", "POST", "/v1/chat/completions", chat(response_format={"type": "text"}, max_tokens=1), {}, 200, {}),
    ("speech", "POST", "/v1/chat/completions", chat(audio={"voice": "x"}), {}, 501, {"error.param": "audio"}),
    # what an answer must keep to
    ("a schema", "POST", "/v1/chat/completions", chat(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": CHOICE}}),
     {}, 200, {"choices.0.message.content": R(r'^\{"a": ?"(x|yy)"\}$'), "choices.0.finish_reason": "stop"}),
    ("a schema where llama.cpp has it", "POST", "/v1/chat/completions", chat(json_schema=CHOICE), {}, 200,
     {"choices.0.message.content": R(r'^\{"a": ?"(x|yy)"\}$')}),
    ("an object of any kind", "POST", "/v1/chat/completions", chat(response_format={"type": "json_object"}, max_tokens=40), {}, 200,
     {"choices.0.message.content": R(r"^\{")}),
    ("a grammar", "POST", "/v1/chat/completions", chat(grammar='root ::= "yes" | "no"'), {}, 200,
     {"choices.0.message.content": R("^(yes|no)$")}),
    ("a grammar without a chat", "POST", "/v1/completions", {"prompt": "It is", "grammar": 'root ::= " a" [bc]'}, {}, 200,
     {"choices.0.text": R("^ a[bc]$")}),
    ("a keyword that no automaton carries", "POST", "/v1/chat/completions", chat(json_schema={"type": "array", "uniqueItems": True}),
     {}, 400, {"error.message": R("uniqueItems")}),
    ("a schema that is none", "POST", "/v1/chat/completions", chat(json_schema=7), {}, 400,
     wrong("invalid_request_error", "json_schema is 7, expected a JSON Schema", "json_schema")),
    ("a format nobody knows", "POST", "/v1/chat/completions", chat(response_format={"type": "xml"}), {}, 400,
     wrong("invalid_request_error", "response_format is an object, expected an object of type text, json_object or json_schema",
           "response_format")),
    ("a grammar that is none", "POST", "/v1/chat/completions", chat(grammar=7), {}, 400,
     wrong("invalid_request_error", "grammar is 7, expected a string", "grammar")),
    ("a grammar with tools", "POST", "/v1/chat/completions", chat(grammar='root ::= "a"', tools=[WEATHER]), {}, 400,
     wrong("invalid_request_error", "a grammar does not go together with tools", "grammar")),
    ("a grammar with a schema", "POST", "/v1/chat/completions", chat(grammar='root ::= "a"', json_schema=CHOICE), {}, 400,
     wrong("invalid_request_error", "a schema and a grammar were asked for, expected one of them", "grammar")),
    ("a schema for the rest of an answer", "POST", "/v1/chat/completions", {"json_schema": CHOICE, "temperature": 0, "messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "{\"a\":"}]}, {}, 200,
     {"choices.0.message.content": R(r'^ ?"(x|yy)"\}$'), "choices.0.finish_reason": "stop"}),
    ("a begun answer that no schema allows", "POST", "/v1/chat/completions", {"json_schema": CHOICE, "messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "Well"}]}, {}, 400,
     {"error.type": "invalid_request_error", "error.message": "the begun answer does not fit what the answer must keep to"}),
    ("a begun answer and a forced call", "POST", "/v1/chat/completions", {"tools": [WEATHER], "tool_choice": "required", "messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "Well"}]}, {}, 400,
     wrong("invalid_request_error", "a final message of the assistant is gone on from without forced calls only", "messages")),
    ("a forced call", "POST", "/v1/chat/completions", chat(tools=[WEATHER], tool_choice="required", max_tokens=200), {}, 200,
     {"choices.0.finish_reason": "tool_calls", "choices.0.message.tool_calls.0.function.name": "get_weather"}),
    ("a call that is forced by name", "POST", "/v1/chat/completions", chat(tools=[WEATHER], max_tokens=200, tool_choice={
        "type": "function", "function": {"name": "get_weather"}}), {}, 200,
     {"choices.0.message.tool_calls.0.function.name": "get_weather"}),
    ("a forced call of nothing", "POST", "/v1/chat/completions", chat(tool_choice="required"), {}, 400,
     wrong("invalid_request_error", "tool_choice forces a call, but there are no tools", "tool_choice")),
    ("a tool that is not there", "POST", "/v1/chat/completions", chat(tools=[WEATHER], tool_choice={
        "type": "function", "function": {"name": "rm"}}), {}, 400, {"error.message": R("rm")}),
    ("no call", "POST", "/v1/chat/completions", chat(tools=[WEATHER], tool_choice="none", messages=[
        {"role": "user", "content": "What is the weather in Paris?"}], max_tokens=30), {}, 200,
     {"choices.0.message.content": R(".")}),
    # whole replies
    ("a chat", "POST", "/v1/chat/completions", HELLO, {}, 200,
     {"object": "chat.completion", "model": "demo", "id": R("^chatcmpl-[0-9A-Za-z]{32}$"), "system_fingerprint": R("^b"),
      "choices.0.message.role": "assistant", "choices.0.message.content": ANSWER, "choices.0.finish_reason": "stop",
      "usage.prompt_tokens": 15, "usage.completion_tokens": 10, "usage.total_tokens": 25}),
    ("fields nobody knows are ignored", "POST", "/chat/completions", chat(model="gpt-5", store=True, metadata={}, user="u"), {},
     200, {"choices.0.message.content": ANSWER}),
    ("a limit", "POST", "/v1/chat/completions", chat(max_completion_tokens=3), {}, 200,
     {"choices.0.finish_reason": "length", "usage.completion_tokens": 3}),
    ("a stop text", "POST", "/v1/chat/completions", chat(stop="help"), {}, 200,
     {"choices.0.message.content": "Hello! How can I ", "choices.0.finish_reason": "stop"}),
    ("a system message and parts", "POST", "/v1/chat/completions", chat(messages=[
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hello!"}]}]), {}, 200, {"choices.0.finish_reason": "stop"}),
    ("a begun answer is gone on from", "POST", "/v1/chat/completions", chat(messages=HELLO["messages"] + [
        {"role": "assistant", "content": "Hello! How can"}]), {}, 200, {"choices.0.message.content": " I help you?"}),
    ("a begun answer in parts, in a prompt", "POST", "/apply-template", chat(messages=HELLO["messages"] + [
        {"role": "assistant", "content": [{"type": "text", "text": "Hello! "}, {"type": "text", "text": "How"}]}]), {}, 200,
     {"prompt": R(r"<channel\|>Hello! How$")}),
    ("a begun answer and a thought", "POST", "/v1/chat/completions", chat(reasoning_effort="low", messages=HELLO["messages"] + [
        {"role": "assistant", "content": "Hello!"}]), {}, 400,
     wrong("invalid_request_error", "a final message of the assistant is gone on from without thinking only", "messages")),
    ("two begun answers", "POST", "/v1/chat/completions", chat(messages=HELLO["messages"] + [
        {"role": "assistant", "content": "a"}] * 2), {}, 400,
     wrong("invalid_request_error", "messages ends with two messages of the assistant, expected at most one", "messages")),
    ("a begun answer that is no text", "POST", "/v1/chat/completions", chat(messages=HELLO["messages"] + [
        {"role": "assistant", "content": [{"type": "image"}]}]), {}, 400,
     wrong("invalid_request_error", "a final message of the assistant may hold text only", "messages")),
    ("Anthropic's begun answer", "POST", "/v1/messages", messages(messages=HELLO["messages"] + [
        {"role": "assistant", "content": "Hello! How can"}]), {}, 200, {"content.0.text": " I help you?"}),
    ("two choices", "POST", "/v1/chat/completions", chat(n=2), {}, 200,
     {"choices.0.message.content": ANSWER, "choices.1.message.content": ANSWER, "choices.1.index": 1,
      "usage.prompt_tokens": 15, "usage.completion_tokens": 20}),
    ("a thought", "POST", "/v1/chat/completions", chat(reasoning_effort="high"), {}, 200,
     {"choices.0.message.reasoning_content": R("."), "choices.0.message.content": R("^Hello")}),
    ("a thought that is not wanted", "POST", "/v1/chat/completions",
     chat(chat_template_kwargs={"enable_thinking": True}, reasoning_format="none"), {}, 200,
     {"choices.0.message.reasoning_content": None, "choices.0.message.content": R("^Hello")}),
    ("a call", "POST", "/v1/chat/completions", ASK_WEATHER, {}, 200,
     {"choices.0.finish_reason": "tool_calls", "choices.0.message.content": None,
      "choices.0.message.tool_calls.0.type": "function", "choices.0.message.tool_calls.0.id": R("^call_"),
      "choices.0.message.tool_calls.0.function.name": "get_weather",
      "choices.0.message.tool_calls.0.function.arguments": '{"city":"Paris"}'}),
    ("tools that may not be called are not shown", "POST", "/apply-template", {**ASK_WEATHER, "tool_choice": "none"}, {}, 200,
     {"prompt": R(r"(?s)^(?!.*get_weather)")}),
    ("tools that may be called are shown", "POST", "/apply-template", ASK_WEATHER, {}, 200, {"prompt": R("get_weather")}),
    ("a completion", "POST", "/v1/completions", {"prompt": "The", "max_tokens": 4, "temperature": 0}, {}, 200,
     {"object": "text_completion", "id": R("^cmpl-"), "choices.0.text": R("."), "choices.0.finish_reason": "length"}),
    ("completions of several prompts", "POST", "/v1/completions",
     {"prompt": ["The", [2, 9]], "max_tokens": 2, "temperature": 0}, {}, 200,
     {"choices.1.index": 1, "usage.completion_tokens": 4}),
    ("a completion of nothing", "POST", "/v1/completions", {"prompt": []}, {}, 400,
     wrong("invalid_request_error", "prompt is an array, expected a string, a list of token ids, or a list of those", "prompt")),
    ("a completion of an id too high", "POST", "/v1/completions", {"prompt": [2048]}, {}, 400, {"error.param": "prompt"}),
    ("more prompts than are taken", "POST", "/v1/completions", {"prompt": ["a"] * 65}, {}, 400,
     wrong("invalid_request_error", "prompt has 65 prompts, expected at most 64", "prompt")),
    # Anthropic
    ("a message", "POST", "/v1/messages", messages(), {"anthropic-version": "2023-06-01"}, 200,
     {"type": "message", "role": "assistant", "id": R("^msg_"), "content.0.type": "text", "content.0.text": ANSWER,
      "stop_reason": "end_turn", "stop_sequence": None, "usage.output_tokens": 10}),
    ("a message with blocks and a billing header", "POST", "/v1/messages", messages(
        system=[{"type": "text", "text": "x-anthropic-billing-header: abc"}],
        messages=[{"role": "user", "content": [{"type": "text", "text": "Hello!"}]}]), {}, 200,
     {"content.0.text": ANSWER}),
    ("a message cut short", "POST", "/v1/messages", messages(max_tokens=2), {}, 200, {"stop_reason": "max_tokens"}),
    ("a message with a stop text", "POST", "/v1/messages", messages(stop_sequences=["help"]), {}, 200,
     {"stop_reason": "stop_sequence", "stop_sequence": "help"}),
    ("a thought and a message", "POST", "/v1/messages", messages(thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=90),
     {}, 200, {"content.0.type": "thinking", "content.1.type": "text"}),
    ("a message that calls", "POST", "/v1/messages", messages(messages=ASK_WEATHER["messages"], tools=[
        {"name": "get_weather", "description": WEATHER["function"]["description"],
         "input_schema": WEATHER["function"]["parameters"]}]), {}, 200,
     {"stop_reason": "tool_use", "content.0.type": "tool_use", "content.0.id": R("^toolu_"), "content.0.input.city": "Paris"}),
    ("a result after a call", "POST", "/v1/messages", messages(messages=[
        {"role": "user", "content": "What is the weather in Paris?"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""},
                                          {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}]}]), {}, 200,
     {"stop_reason": R("end_turn|max_tokens")}),
    ("a message without a limit", "POST", "/v1/messages", HELLO, {}, 400,
     {"type": "error", "error.type": "invalid_request_error", "request_id": R("^req_"),
      "error.message": "max_tokens is missing, expected a whole number from 1 to 1048576"}),
    ("a role of Anthropic's that is none", "POST", "/v1/messages", messages(messages=[{"role": "tool", "content": ""}]), {}, 400,
     {"error.message": 'role is a string, expected "user" or "assistant"'}),
    ("a block of an unknown type", "POST", "/v1/messages", messages(messages=[
        {"role": "user", "content": "a"}, {"role": "assistant", "content": [{"type": "x"}]}, {"role": "user", "content": "b"}]),
     {}, 400, {"error.message": "messages holds an assistant's block of an unknown type"}),
    ("a system block that is no text", "POST", "/v1/messages", messages(system=[{"type": "image"}]), {}, 400,
     {"error.message": "system holds a block that is no text"}),
    ("a result without an id", "POST", "/v1/messages", messages(messages=[
        {"role": "user", "content": [{"type": "tool_result", "content": "x"}]}]), {}, 400,
     {"error.message": "tool_use_id is missing, expected a string"}),
    ("a tool of the server's", "POST", "/v1/messages", messages(tools=[{"type": "web_search", "name": "w"}]), {}, 400,
     {"error.message": R("has no input_schema")}),
    ("Anthropic's forced call", "POST", "/v1/messages", messages(tool_choice={"type": "any"}, tools=[
        {"name": "get_weather", "input_schema": WEATHER["function"]["parameters"]}], max_tokens=200), {}, 200,
     {"stop_reason": "tool_use"}),
    ("Anthropic's not found", "GET", "/v1/messages/nothing", None, {}, 404, {"type": "error", "error.type": "not_found_error"}),
    # Responses
    ("a response", "POST", "/v1/responses", {"input": "Hello!", "temperature": 0}, {}, 200,
     {"object": "response", "id": R("^resp_"), "status": "completed", "output.0.type": "message",
      "output.0.content.0.text": ANSWER, "usage.input_tokens": 15, "usage.output_tokens": 10}),
    ("a response cut short", "POST", "/v1/responses", {"input": "Hello!", "max_output_tokens": 2}, {}, 200,
     {"status": "incomplete", "incomplete_details.reason": "max_output_tokens"}),
    ("a response that calls", "POST", "/v1/responses", {"input": "What is the weather in Paris?", "temperature": 0, "tools": [
        {"type": "function", **WEATHER["function"]}]}, {}, 200,
     {"output.0.type": "function_call", "output.0.name": "get_weather", "output.0.arguments": '{"city":"Paris"}'}),
    ("a response after a call", "POST", "/v1/responses", {"temperature": 0, "max_output_tokens": 30, "instructions": "Be kind.", "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "What is the weather in Paris?"}]},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": '{"city":"Paris"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"}]}, {}, 200, {"output.0.type": "message"}),
    ("a response of nothing", "POST", "/v1/responses", {}, {}, 400,
     wrong("invalid_request_error", "input is missing, expected a string or a list of items", "input")),
    ("an item nobody knows", "POST", "/v1/responses", {"input": [{"type": "x"}]}, {}, 400, {"error.param": "input"}),
    ("a part that is no text", "POST", "/v1/responses", {"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, {}, 400,
     {"error.message": "content holds a part that is no text; only text is read so far"}),
    ("a tool that is no function", "POST", "/v1/responses", {"input": "a", "tools": [{"type": "web_search"}]}, {}, 400,
     {"error.param": "tools"}),
    ("a response's schema", "POST", "/v1/responses", {"input": "a", "text": {"format": {"type": "json_schema", "name": "n", "schema": CHOICE}}},
     {}, 200, {"output.0.content.0.text": R(r'^\{"a": ?"(x|yy)"\}$')}),
    ("a response's schema that is missing", "POST", "/v1/responses", {"input": "a", "text": {"format": {"type": "json_schema"}}}, {}, 400,
     wrong("invalid_request_error", "schema is missing, expected a JSON Schema", "schema")),
    ("a conversation that is not kept", "POST", "/v1/responses", {"input": "a", "conversation": "conv_1"}, {}, 501,
     {"error.param": "conversation"}),
]

WITH_KEY = [
    ("health needs no key", "GET", "/health", None, {}, 200, {"status": "ok"}),
    ("models need no key", "GET", "/v1/models", None, {}, 200, {"data.0.id": "pebble"}),
    ("no key", "POST", "/v1/chat/completions", HELLO, {}, 401, wrong(
        "authentication_error", "this server wants an API key: Authorization: Bearer KEY, or X-Api-Key: KEY")),
    ("a wrong key", "POST", "/v1/chat/completions", HELLO, {"Authorization": "Bearer " + KEY[:-1]}, 401,
     wrong("authentication_error", "the API key is not the one this server was given")),
    ("a longer key", "GET", "/props", None, {"X-Api-Key": KEY + KEY}, 401, {"error.type": "authentication_error"}),
    ("a bearer", "POST", "/tokenize", {"content": "a"}, {"Authorization": "bearer " + KEY}, 200, {}),
    ("an X-Api-Key", "POST", "/tokenize", {"content": "a"}, {"X-Api-Key": KEY}, 200, {}),
    ("Anthropic's way to say it", "POST", "/v1/messages", messages(), {"X-Api-Key": "x"}, 401,
     {"type": "error", "error.type": "authentication_error"}),
    ("metrics are off", "GET", "/metrics", None, {"X-Api-Key": KEY}, 501,
     wrong("not_supported_error", "metrics are off; start the server with --metrics")),
]


def look(reply, path):
    for step in path.split(".") if path else []:
        if isinstance(reply, list):
            reply = reply[int(step)]
        else:
            reply = (reply or {}).get(step)
    return reply


def fits(found, wanted):
    if isinstance(wanted, re.Pattern):
        return wanted.search(found if isinstance(found, str) else json.dumps(found)) is not None
    return found == wanted


def check_row(server, row):
    claim, method, path, body, headers, status, wanted = row
    got, _, reply = server.ask(method, path, body, headers)
    faults = [] if got == status else [f"status {got}, expected {status}"]
    faults += [f"{p or 'the reply'} is {look(reply, p)!r}, expected {w!r}" for p, w in wanted.items() if not fits(look(reply, p), w)]
    return [f"{claim}: {'; '.join(faults)}\n    {json.dumps(reply)[:600]}"] if faults else []


# --------------------------------------------------------------------------------------------------------------------


def a_chat_streams_what_the_whole_reply_says(server):
    events = [data for _, data in server.events("/v1/chat/completions", chat(stream=True, stream_options={"include_usage": True}))]
    assert events[-1] == "[DONE]"
    chunks = events[:-1]
    assert len({c["id"] for c in chunks}) == 1 and all(c["object"] == "chat.completion.chunk" for c in chunks)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": None} and "timings" not in chunks[0]
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["total_tokens"] == 25
    last = chunks[-2]
    assert last["choices"][0]["delta"] == {} and last["choices"][0]["finish_reason"] == "stop"
    assert last["timings"]["cache_n"] + last["timings"]["prompt_n"] + last["timings"]["predicted_n"] == 25
    assert all(list(c["choices"][0]["delta"]) == ["content"] for c in chunks[1:-2])
    assert "".join(c["choices"][0]["delta"]["content"] for c in chunks[1:-2]) == ANSWER


def a_call_streams_its_head_once_and_then_its_arguments(server):
    events = [data for _, data in server.events("/v1/chat/completions", {**ASK_WEATHER, "stream": True})]
    deltas = [c["choices"][0]["delta"]["tool_calls"][0] for c in events[:-1] if "tool_calls" in c["choices"][0]["delta"]]
    assert deltas[0]["function"] == {"name": "get_weather", "arguments": ""} and deltas[0]["id"].startswith("call_")
    assert all(set(d) == {"index", "function"} and set(d["function"]) == {"arguments"} for d in deltas[1:])
    assert json.loads("".join(d["function"]["arguments"] for d in deltas)) == {"city": "Paris"}
    assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"


def a_completion_streams(server):
    body = {"prompt": "The", "max_tokens": 4, "temperature": 0}
    _, _, whole = server.ask("POST", "/v1/completions", body)
    events = [data for _, data in server.events("/v1/completions", {**body, "stream": True})]
    assert events[-1] == "[DONE]"
    assert "".join(e["choices"][0]["text"] for e in events[:-1]) == whole["choices"][0]["text"]


def messages_stream_as_blocks(server):
    events = server.events("/v1/messages", messages(stream=True, thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=90))
    assert all(name == data["type"] for name, data in events)
    names = [name for name, _ in events if name not in ("ping", "content_block_delta")]
    assert names == ["message_start"] + ["content_block_start", "content_block_stop"] * 2 + ["message_delta", "message_stop"], names
    start = events[0][1]["message"]
    assert start["content"] == [] and start["usage"]["input_tokens"] + start["usage"]["cache_read_input_tokens"] > 0
    kinds = [d["content_block"]["type"] for n, d in events if n == "content_block_start"]
    assert kinds == ["thinking", "text"]
    text = "".join(d["delta"]["text"] for n, d in events if n == "content_block_delta" and d["delta"]["type"] == "text_delta")
    assert text.startswith("Hello")


def a_response_streams_items_whose_deltas_make_the_text(server):
    events = server.events("/v1/responses", {"input": "Hello!", "temperature": 0, "stream": True, "reasoning": {"effort": "low"}})
    assert all(name == data["type"] for name, data in events)
    assert [d["sequence_number"] for _, d in events] == list(range(len(events)))
    assert events[0][0] == "response.created" and events[-1][0] == "response.completed"
    final = events[-1][1]["response"]
    text = "".join(d["delta"] for n, d in events if n == "response.output_text.delta")
    thought = "".join(d["delta"] for n, d in events if n == "response.reasoning_text.delta")
    assert [item["type"] for item in final["output"]] == ["reasoning", "message"]
    assert final["output"][0]["content"][0]["text"] == thought and final["output"][1]["content"][0]["text"] == text
    done = [d["item"] for n, d in events if n == "response.output_item.done"]
    assert done == final["output"]


def a_seed_repeats_and_another_does_not(server):
    ask = lambda seed: server.ask("POST", "/v1/completions", {"prompt": "The", "max_tokens": 24, "temperature": 3, "top_k": 0,
                                                              "top_p": 1, "seed": seed})[2]["choices"][0]["text"]
    first = ask(5)
    assert ask(5) == first and ask(6) != first and ask(-5) != first


def a_connection_serves_one_request_after_another(server):
    connection = server.connect()
    for _ in range(3):
        connection.request("POST", "/v1/chat/completions", json.dumps(chat(max_tokens=1)))
        reply = connection.getresponse()
        assert reply.status == 200 and json.loads(reply.read())["usage"]["completion_tokens"] == 1
    connection.close()


def raw(server, data):
    host, port = server.address.split(":")
    plug = socket.create_connection((host, int(port)), 30 * PATIENCE)
    plug.sendall(data)
    return plug


def connections_that_ended_are_forgotten(server):
    for _ in range(1000):  # more than there may be at once
        assert server.ask("GET", "/health")[0] == 200


def requests_that_are_sent_ahead_are_answered_in_turn(server):
    body = json.dumps(chat(max_tokens=2)).encode()
    one = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    plug = raw(server, one + one + b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    said = b""
    while part := plug.recv(65536):
        said += part
    assert said.count(b"HTTP/1.1 200") == 3 and said.endswith(b'{"status":"ok"}'), said


def what_evhttp_refuses_is_refused_in_json(server):
    rows = [(b"GARBAGE\r\n\r\n", b"400"), (b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", b"400"),
            (b"GET /health HTTP/1.1\r\n\r\n", b"403")]
    for data, status in rows:
        plug = raw(server, data)
        said = b""
        while not (b"\r\n\r\n" in said and said.endswith(b"}")):
            part = plug.recv(65536)
            assert part, said
            said += part
        assert said.split()[1] == status and b"application/json" in said and b'"error":{' in said, said
        plug.close()


def a_body_beyond_the_limit_is_refused(server):
    size = (32 << 20) + 1
    plug = raw(server, b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size)
    for _ in range(size // (1 << 20)):
        plug.sendall(b" " * (1 << 20))
    plug.sendall(b" " * (size % (1 << 20)))
    said = plug.recv(65536)
    assert said.startswith(b"HTTP/1.1 413") and b"the request's body is larger than the server takes" in said, said


def running(server):
    return int(re.search(r"\nllamacpp:requests_processing (\d+)\n", server.ask("GET", "/metrics")[2]).group(1))


def wait_until(condition, seconds):
    end = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


LONG = {"prompt": "Hello", "max_tokens": 480, "temperature": 0, "stream": True}  # which it repeats without end


def a_client_that_leaves_ends_its_work(server):
    for whole in (False, True):
        body = json.dumps({**LONG, "stream": not whole}).encode()
        plug = raw(server, b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        assert wait_until(lambda: running(server) == 1, 10)
        plug.close()
        assert wait_until(lambda: running(server) == 0, 1), "the work goes on without its client"


def a_full_queue_sends_clients_away_for_a_while(server):
    body = json.dumps({**LONG, "n": 3}).encode()  # two slots and one that waits
    plug = raw(server, b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    assert wait_until(lambda: running(server) == 2, 10)
    status, headers, reply = server.ask("POST", "/v1/chat/completions", HELLO)
    assert status == 503 and int(headers["Retry-After"]) > 0 and reply["error"]["type"] == "unavailable_error", reply
    status, headers, reply = server.ask("POST", "/v1/messages", messages())
    assert status == 503 and reply["error"]["type"] == "overloaded_error", reply
    plug.close()
    assert wait_until(lambda: running(server) == 0, 1)
    assert server.ask("POST", "/v1/chat/completions", chat(max_tokens=1))[0] == 200


def many_at_once_are_answered_as_alone(server):
    answers = [None] * 3

    def one(i):
        answers[i] = server.ask("POST", "/v1/chat/completions", HELLO)[2]["choices"][0]["message"]["content"]

    threads = [threading.Thread(target=one, args=(i,)) for i in range(3)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert answers == [ANSWER] * 3, answers


def a_page_of_this_machine_may_ask_first(server):
    status, headers, _ = server.ask("OPTIONS", "/v1/chat/completions", None, {"Origin": "http://localhost:3000"})
    assert status == 204 and headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    rows = [("/v1/chat/completions", "POST, OPTIONS"), ("/v1/responses/resp_1", "GET, HEAD, DELETE, OPTIONS"),
            ("/chats", "GET, HEAD, POST, OPTIONS"), ("/chats/1", "GET, HEAD, POST, PATCH, DELETE, OPTIONS"), ("/nothing", "OPTIONS")]
    for path, methods in rows:
        headers = server.ask("OPTIONS", path, None, {"Origin": "http://localhost:3000"})[1]
        assert headers["Access-Control-Allow-Methods"] == methods, (path, headers.items())
    status, headers, _ = server.ask("DELETE", "/v1/chat/completions")
    assert status == 405 and headers["Allow"] == "POST, OPTIONS", headers.items()
    status, headers, _ = server.ask("OPTIONS", "/v1/chat/completions", None, {"Origin": "https://evil.example"})
    assert status == 403 and headers["Access-Control-Allow-Origin"] is None


def a_port_is_one_server_s(server):
    host, port = server.address.split(":")
    second = subprocess.run([*server.program, "serve", "--port", port, "--chats", ":memory:"], capture_output=True, text=True)
    wanted = f"karat: cannot listen on {host} port {port}: Address already in use\n"
    assert second.returncode == 1 and second.stderr == wanted, second
    nowhere = subprocess.run([*server.program, "serve", "--host", "no.such.host.invalid", "--api-key", KEY, "--port", "1",
                              "--chats", ":memory:"], capture_output=True, text=True)
    wanted = "karat: cannot listen on no.such.host.invalid port 1: no such address\n"
    assert nowhere.returncode == 1 and nowhere.stderr == wanted, nowhere


STORIES = [a_chat_streams_what_the_whole_reply_says, a_call_streams_its_head_once_and_then_its_arguments, a_completion_streams,
           messages_stream_as_blocks, a_response_streams_items_whose_deltas_make_the_text, a_seed_repeats_and_another_does_not,
           a_connection_serves_one_request_after_another,
           connections_that_ended_are_forgotten, requests_that_are_sent_ahead_are_answered_in_turn,
           what_evhttp_refuses_is_refused_in_json, a_body_beyond_the_limit_is_refused, a_client_that_leaves_ends_its_work,
           a_full_queue_sends_clients_away_for_a_while, many_at_once_are_answered_as_alone, a_page_of_this_machine_may_ask_first,
           a_port_is_one_server_s]


def tell(server, story, name):
    try:
        return story(server) or []
    except Exception as fault:  # whatever it is, the other tests go on
        return [f"{name}: {type(fault).__name__}: {fault}"]


def main():
    program, names = program_of(sys.argv[1]), sys.argv[2:]
    chosen = lambda name: not names or any(n in name for n in names)
    n, faults = 0, []
    with Server(program, "--alias", "demo", "--ctx", "512", "--parallel", "2", "--queue", "1", "--metrics") as server:
        for row in filter(lambda row: chosen(row[0]), OPEN):
            n, faults = n + 1, faults + tell(server, lambda s, row=row: check_row(s, row), row[0])
        for story in filter(lambda story: chosen(story.__name__), STORIES):
            n, faults = n + 1, faults + tell(server, story, story.__name__)
        if not names or "end" in names:
            body = json.dumps(LONG).encode()  # the server is stopped while it answers this
            plug = raw(server, b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            assert wait_until(lambda: running(server) == 1, 10)
    if not names or "end" in names:
        plug.close()
    with Server(program, "--api-key", KEY, "--host", "localhost") as server:
        for row in filter(lambda row: chosen(row[0]), WITH_KEY):
            n, faults = n + 1, faults + tell(server, lambda s, row=row: check_row(s, row), row[0])
    print("\n".join(f"FAIL {f}" for f in faults))
    print(f"{n} cases, {len(faults)} failed")
    return 1 if faults or not n else 0


if __name__ == "__main__":
    sys.exit(main())
