// compare_llama.mjs -- llama.cpp's side of tests/bench/compare: one measurement round on demand, driven over stdin.
//
//   node compare_llama.mjs MODULES MODEL vulkan|cpu CONTEXT THREADS BATCH
//
// MODULES is the folder that holds node_modules/node-llama-cpp. The model is loaded once; then every line on stdin
// {"prefill": N} or {"decode": N, "depth": D} is answered by one line on stdout, so that the caller can alternate
// between the two programs while both stay warm:
//
//   {"ready": "DEVICE NAME", "version": "..."}          once, after loading
//   {"tokens": N, "seconds": S}                         one per request
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
const context = await model.createContext({
    contextSize: Number(contextText), batchSize: Number(batchText), sequences: 1, threads, ignoreMemorySafetyChecks: true,
    swaFullCache: false, flashAttention: process.env.COMPARE_FLASH === "1",
});
// Checkpoints would be copied out during a measurement.
const sequence = context.getSequence({ checkpoints: { max: 0, interval: false } });
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

const version = llama.llamaCppRelease ? `${llama.llamaCppRelease.release}` : "unknown";
const names = backend === "cpu" ? [`CPU, ${threads} threads`] : await llama.getGpuDeviceNames();
console.log(JSON.stringify({ ready: names.join(", "), version }));
for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    const result = "prefill" in request ? await prefill(request) : await decode(request);
    console.log(JSON.stringify(result));
}
await llama.dispose();
