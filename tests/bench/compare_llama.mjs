// compare_llama.mjs -- llama.cpp's side of tests/bench/compare: one measurement round on demand, driven over stdin.
//
//   node compare_llama.mjs MODULES MODEL vulkan|cpu CONTEXT THREADS BATCH
//
// MODULES is the folder that holds node_modules/node-llama-cpp. The model is loaded once; then every line on stdin
// {"prefill": N, "depth": D}, {"decode": N, "depth": D} or {"decode": N, "prompts": [[ID, ...], ...]} is answered by one
// line on stdout, so that the caller can alternate between the two programs while both stay warm:
//
//   {"ready": "DEVICE NAME", "version": "..."}          once, after loading
//   {"tokens": N, "seconds": S}                         one per request
//
// With prompts there is a stream for each: one context with as many sequences, whose steps are one batch.
//
// ggml-vulkan skips CPU devices unless they are named, so a software driver needs GGML_VK_VISIBLE_DEVICES=0, which
// must stand in the environment before the module is loaded.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { join } from "node:path";

const [modules, modelPath, backend, contextText, threadsText, batchText] = process.argv.slice(2);
const resolve = createRequire(pathToFileURL(join(modules, "package.json")));
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(resolve.resolve("node-llama-cpp")).href);
const threads = Number(threadsText);

const llama = await getLlama({
    gpu: backend === "cpu" ? false : backend, build: "never", maxThreads: threads,
    logLevel: process.env.COMPARE_LOG ? LlamaLogLevel.debug : LlamaLogLevel.error,
    logger: (level, text) => process.stderr.write(`${text}\n`),
});
const model = await llama.loadModel({
    modelPath, gpuLayers: backend === "cpu" ? 0 : "max", ignoreMemorySafetyChecks: true, useMmap: true,
});
const openContext = (sequences, batching) => model.createContext({
    contextSize: Number(contextText), batchSize: Number(batchText), sequences, batching, threads,
    ignoreMemorySafetyChecks: true, swaFullCache: false, flashAttention: process.env.COMPARE_FLASH === "1",
});
// Checkpoints would be copied out during a measurement.
const openSequence = (context) => context.getSequence({ checkpoints: { max: 0, interval: false } });
const sequence = openSequence(await openContext(1));
const nVocab = model.fileInfo.metadata.tokenizer.ggml.tokens.length;

// The same pseudo-random ids in every round, away from the control tokens at the start of the vocabulary.
let state = 12345;
const randomId = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 600 + state % (nVocab - 700);
};
const randomIds = (n) => Array.from({ length: n }, randomId);
const seconds = (start) => Number(process.hrtime.bigint() - start) / 1e9;

// Evaluates without sampling: what a prompt costs.
async function evaluate(ids) {
    await sequence.evaluateWithoutGeneratingNewTokens(ids);
}

async function prefill({ prefill: n, depth = 0 }) {
    await sequence.clearHistory();
    if (depth > 0)
        await evaluate(randomIds(depth));
    const ids = randomIds(n), start = process.hrtime.bigint();
    await evaluate(ids);
    return { tokens: n, seconds: seconds(start) };
}

// Greedy steps after `depth` tokens. The step that belongs to the prompt is not counted; a generation that ends early
// is taken up again, so that exactly n steps are timed.
async function decode({ decode: n, depth = 0 }) {
    await sequence.clearHistory();
    await evaluate(randomIds(Math.max(depth, 1)));
    let done = 0, total = 0;
    while (done < n) {
        let start = 0n, count = 0;
        for await (const _ of sequence.evaluate([randomId()], { temperature: 0, yieldEogToken: true })) {
            if (start === 0n)
                start = process.hrtime.bigint();  // the first yield pays for randomId()
            else
                count++;
            if (done + count >= n)
                break;
        }
        total += seconds(start);
        done += count;
        if (count === 0)
            throw new Error("the generation ends at once, so there is nothing to measure");
    }
    return { tokens: n, seconds: total };
}

// One context for so many streams, kept until another number is asked for. Its batches hold what waits, as much as fits,
// and are counted here.
let streams = { sequences: [], nTokens: 0, nBatches: 0 };
async function openStreams(n) {
    if (streams.sequences.length === n)
        return;
    await streams.context?.dispose();
    streams = { sequences: [], nTokens: 0, nBatches: 0 };
    const take = ({ items, size }) => {
        streams.nBatches++;
        return items.map((item) => {
            const processAmount = Math.min(item.tokens.length, size);
            size -= processAmount;
            streams.nTokens += processAmount;
            return { item, processAmount };
        });
    };
    streams.context = await openContext(n, { itemPrioritizationStrategy: take });
    while (streams.sequences.length < n)
        streams.sequences.push(openSequence(streams.context));
}

// A token of every stream: all are asked for before the first is awaited, so that one batch takes them.
const stepOf = { generateNext: { token: true, options: { temperature: 0 } } };
const step = (ids) => Promise.all(streams.sequences.map(async (sequence, i) => {
    const output = await sequence.controlledEvaluate([[ids[i], stepOf]]);
    return output[0].next.token;
}));

// n greedy steps of every stream, from when each has its first token.
async function decodeStreams({ decode: n, prompts }) {
    await openStreams(prompts.length);
    await Promise.all(streams.sequences.map((sequence) => sequence.clearHistory()));
    await Promise.all(streams.sequences.map((sequence, i) => prompts[i].length > 1 ?
        sequence.evaluateWithoutGeneratingNewTokens(prompts[i].slice(0, -1)) : undefined));
    let ids = await step(prompts.map((prompt) => prompt.at(-1)));
    streams.nBatches = streams.nTokens = 0;
    const start = process.hrtime.bigint();
    for (let i = 0; i < n; i++)
        ids = await step(ids);
    const time = seconds(start);
    if (streams.nBatches !== n || streams.nTokens !== n * prompts.length)
        throw new Error(`${n} steps of ${prompts.length} streams took ${streams.nBatches} batches, expected one each`);
    return { tokens: streams.nTokens, seconds: time };
}

const version = llama.llamaCppRelease ? `${llama.llamaCppRelease.release}` : "unknown";
const names = backend === "cpu" ? [`CPU, ${threads} threads`] : await llama.getGpuDeviceNames();
console.log(JSON.stringify({ ready: names.join(", "), version }));
for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    const measure = "prompts" in request ? decodeStreams : "prefill" in request ? prefill : decode;
    const result = await measure(request);
    console.log(JSON.stringify(result));
}
await llama.dispose();
