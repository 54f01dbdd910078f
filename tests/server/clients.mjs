// clients.mjs -- real clients talk to a running server and do not know the difference.
//
//   node clients.mjs MODULES URL KEY
//
// MODULES is the folder that holds node_modules; URL such as http://127.0.0.1:8080. Prints a line per failed claim and how
// many there were; the exit status is 0 when none failed.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, url, key] = process.argv.slice(2);
const require = createRequire(pathToFileURL(join(modules, "package.json")));
const { default: OpenAI } = require("openai");
const { default: Anthropic } = require("@anthropic-ai/sdk");
const { createOpenAICompatible } = require("@ai-sdk/openai-compatible");
const { generateText, streamText, tool, stepCountIs, jsonSchema } = require("ai");

const answer = "Hello! How can I help you?";
const hello = [{ role: "user", content: "Hello!" }];
const weather = [{ role: "user", content: "What is the weather in Paris?" }];
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const description = "Get the weather of a city.";
const tools = [{ type: "function", function: { name: "get_weather", description, parameters: schema } }];
const long = { model: "pebble", max_tokens: 480, temperature: 2, messages: [{ role: "user", content: "Count." }] };

const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
const compatible = createOpenAICompatible({ name: "karat", baseURL: `${url}/v1`, apiKey: key, includeUsage: true });
const pebble = compatible("pebble");

async function running() {
    const reply = await fetch(`${url}/metrics`, { headers: { "x-api-key": key } });
    return Number(/\nllamacpp:requests_processing (\d+)/.exec(await reply.text())[1]);
}

async function settles(n) {
    const patience = Number(process.env.KARAT_TEST_PATIENCE ?? 1);
    for (let i = 0; i < 500 * patience; ++i) {
        if (await running() === n) return;
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.fail(`requests_processing does not become ${n}`);
}

const claims = {
    async "openai lists models"() {
        const models = await openai.models.list();
        assert.equal(models.data[0].id, "pebble");
        assert.equal((await openai.models.retrieve("pebble")).id, "pebble");
    },
    async "openai chats"() {
        const reply = await openai.chat.completions.create({ model: "pebble", messages: hello, temperature: 0 });
        assert.equal(reply.choices[0].message.content, answer);
        assert.equal(reply.usage.total_tokens, 25);
    },
    async "openai streams, and its helper puts the same together"() {
        const stream = openai.chat.completions.stream({
            model: "pebble", messages: hello, temperature: 0, stream_options: { include_usage: true } });
        let text = "";
        stream.on("content", (delta) => { text += delta; });
        const reply = await stream.finalChatCompletion();
        assert.equal(text, answer);
        assert.equal(reply.choices[0].message.content, answer);
        assert.equal(reply.usage.completion_tokens, 10);
    },
    async "openai puts the log probabilities of a stream together"() {
        const ask = { model: "pebble", messages: hello, temperature: 0, logprobs: true, top_logprobs: 2 };
        const whole = (await openai.chat.completions.create(ask)).choices[0].logprobs.content;
        const streamed = (await openai.chat.completions.stream(ask).finalChatCompletion()).choices[0].logprobs.content;
        const text = (tokens) => Buffer.concat(tokens.map((token) => Buffer.from(token.bytes))).toString();
        assert.equal(text(whole), answer);
        assert.equal(text(streamed), answer);
        assert.ok(streamed.every((token) => token.top_logprobs.length === 2 && token.logprob <= 0));
        const response = await openai.responses.create({ model: "pebble", input: "Hello!", temperature: 0,
            include: ["message.output_text.logprobs"] });
        assert.equal(text(response.output[0].content[0].logprobs), answer);
    },
    async "openai runs a tool loop, streaming"() {
        const asked = [];
        const runner = openai.chat.completions.runTools({
            model: "pebble", messages: weather, temperature: 0, stream: true, max_tokens: 60,
            tools: [{ type: "function", function: { name: "get_weather", description, parameters: schema, parse: JSON.parse,
                function: ({ city }) => { asked.push(city); return "sunny"; } } }] }, { maxChatCompletions: 2 });
        await runner.done().catch(() => {});
        assert.deepEqual(asked.slice(0, 1), ["Paris"]);
        assert.ok(runner.messages.some((m) => m.role === "tool" && m.content === "sunny"));
    },
    async "openai's tool loop finds all that was evaluated"() {
        const ask = { model: "pebble", messages: weather, temperature: 0, max_tokens: 60, tools };
        const first = await openai.chat.completions.create(ask);
        const call = first.choices[0].message.tool_calls[0];
        const second = await openai.chat.completions.create({ ...ask, messages: [...weather, first.choices[0].message,
            { role: "tool", tool_call_id: call.id, content: "sunny" }] });
        assert.equal(second.usage.prompt_tokens_details.cached_tokens, first.usage.total_tokens - 1);
    },
    async "openai completes text"() {
        const reply = await openai.completions.create({ model: "pebble", prompt: "The", max_tokens: 4, temperature: 0 });
        assert.equal(reply.usage.completion_tokens, 4);
    },
    async "openai asks for responses"() {
        const reply = await openai.responses.create({ model: "pebble", input: "Hello!", temperature: 0 });
        assert.equal(reply.output_text, answer);
        assert.equal(reply.status, "completed");
    },
    async "openai goes on from a response, gets it again and removes it"() {
        const first = await openai.responses.create({ model: "pebble", input: weather, temperature: 0,
            tools: [{ type: "function", name: "get_weather", description, parameters: schema, strict: false }] });
        const { id, output } = await openai.responses.retrieve(first.id);
        const second = await openai.responses.create({ model: "pebble", temperature: 0, previous_response_id: id, max_output_tokens: 40,
            input: [{ type: "function_call_output", call_id: output[0].call_id, output: "sunny" }] });
        assert.equal(second.output[0].type, "message");
        const put = []; // page by page
        for await (const item of openai.responses.inputItems.list(second.id, { limit: 1, order: "asc" })) put.push(item);
        assert.deepEqual(put.map((item) => item.type), ["message", "function_call", "function_call_output"]);
        assert.deepEqual(put[0].content, [{ type: "input_text", text: weather[0].content }]);
        assert.equal(put[2].call_id, output[0].call_id);
        await openai.responses.delete(first.id);
        await assert.rejects(openai.responses.retrieve(first.id), OpenAI.NotFoundError);
    },
    async "openai streams responses, and its helper puts the same together"() {
        const stream = openai.responses.stream({ model: "pebble", input: weather, temperature: 0,
            tools: [{ type: "function", name: "get_weather", description, parameters: schema, strict: false }] });
        const reply = await stream.finalResponse();
        assert.equal(reply.output[0].type, "function_call");
        assert.deepEqual(JSON.parse(reply.output[0].arguments), { city: "Paris" });
    },
    async "openai's abort ends the work"() {
        const stream = await openai.chat.completions.create({ ...long, stream: true });
        await settles(1);
        stream.controller.abort();
        await settles(0);
    },
    async "openai's error classes"() {
        const wrong = new OpenAI({ baseURL: `${url}/v1`, apiKey: "wrong", maxRetries: 0 });
        const ask = { model: "pebble", messages: hello };
        await assert.rejects(wrong.chat.completions.create(ask), OpenAI.AuthenticationError);
        await assert.rejects(openai.chat.completions.create({ ...ask, temperature: -1 }), (fault) =>
            fault instanceof OpenAI.BadRequestError && fault.param === "temperature" && fault.type === "invalid_request_error");
        await assert.rejects(openai.models.retrieve("other"), OpenAI.NotFoundError);
    },
    async "anthropic chats"() {
        const reply = await anthropic.messages.create({ model: "pebble", max_tokens: 30, messages: hello, temperature: 0 });
        assert.deepEqual(reply.content, [{ type: "text", text: answer }]);
        assert.equal(reply.stop_reason, "end_turn");
    },
    async "anthropic counts tokens"() {
        assert.deepEqual({ ...await anthropic.messages.countTokens({ model: "pebble", messages: hello }) }, { input_tokens: 15 });
    },
    async "anthropic streams a thought and a text, and its helper puts the same together"() {
        const stream = anthropic.messages.stream({ model: "pebble", max_tokens: 1100, messages: hello, temperature: 0,
            thinking: { type: "enabled", budget_tokens: 1024 } });
        let text = "";
        stream.on("text", (delta) => { text += delta; });
        const reply = await stream.finalMessage();
        assert.deepEqual(reply.content.map((block) => block.type), ["thinking", "text"]);
        assert.equal(reply.content[1].text, text);
        assert.ok(reply.usage.output_tokens > 0);
    },
    async "anthropic's budget of thought is kept to"() {
        const ask = { model: "pebble", max_tokens: 1100, messages: hello, temperature: 0 };
        const long = await anthropic.messages.create({ ...ask, thinking: { type: "enabled", budget_tokens: 1024 } });
        const short = await anthropic.messages.create({ ...ask, thinking: { type: "enabled", budget_tokens: 2 } });
        assert.ok(long.content[0].thinking.startsWith(short.content[0].thinking));
        assert.ok(short.content[0].thinking.length < long.content[0].thinking.length);
        assert.equal(short.content[1].type, "text");
    },
    async "anthropic calls a tool and takes its result"() {
        const ask = { model: "pebble", max_tokens: 60, temperature: 0, tools: [{ name: "get_weather", description, input_schema: schema }] };
        const reply = await anthropic.messages.stream({ ...ask, messages: weather }).finalMessage();
        const call = reply.content.find((block) => block.type === "tool_use");
        assert.deepEqual(call.input, { city: "Paris" });
        assert.equal(reply.stop_reason, "tool_use");
        const after = await anthropic.messages.create({ ...ask, messages: [...weather, { role: "assistant", content: reply.content },
            { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "sunny" }] }] });
        assert.ok(after.usage.input_tokens > 0);
    },
    async "anthropic's error classes"() {
        const wrong = new Anthropic({ baseURL: url, apiKey: "wrong", maxRetries: 0 });
        const ask = { model: "pebble", max_tokens: 5, messages: hello };
        await assert.rejects(wrong.messages.create(ask), Anthropic.AuthenticationError);
        await assert.rejects(anthropic.messages.create({ ...ask, temperature: -1 }), Anthropic.BadRequestError);
    },
    async "anthropic's abort ends the work"() {
        const stream = await anthropic.messages.create({ ...long, stream: true });
        await settles(1);
        stream.controller.abort();
        await settles(0);
    },
    async "the ai package generates"() {
        const { text, finishReason, usage } = await generateText({ model: pebble, prompt: "Hello!", temperature: 0, maxRetries: 0 });
        assert.deepEqual([text, finishReason, usage.outputTokens], [answer, "stop", 10]);
    },
    async "the ai package streams thought and text"() {
        const result = streamText({ model: pebble, prompt: "Hello!", temperature: 0, maxRetries: 0,
            providerOptions: { karat: { reasoningEffort: "high" } } });
        const kinds = new Set();
        for await (const part of result.fullStream) kinds.add(part.type);
        assert.ok(kinds.has("reasoning-delta") && kinds.has("text-delta") && !kinds.has("error"), [...kinds].join());
        assert.ok((await result.usage).totalTokens > 0);
    },
    async "the ai package runs a tool loop"() {
        const asked = [];
        const { steps } = await generateText({ model: pebble, prompt: weather[0].content, temperature: 0, maxRetries: 0,
            maxOutputTokens: 60, stopWhen: stepCountIs(2),
            tools: { get_weather: tool({ description, inputSchema: jsonSchema(schema),
                execute: async ({ city }) => { asked.push(city); return "sunny"; } }) } });
        assert.equal(asked[0], "Paris");
        assert.equal(steps.length, 2);
    },
};

let failed = 0;
for (const [claim, check] of Object.entries(claims)) {
    try {
        await check();
    } catch (fault) {
        ++failed;
        console.log(`FAIL ${claim}: ${fault.stack}`);
    }
}
console.log(`${Object.keys(claims).length} claims, ${failed} failed`);
process.exit(failed ? 1 : 0);
