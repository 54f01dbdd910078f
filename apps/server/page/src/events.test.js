import assert from "node:assert/strict";
import test from "node:test";
import { events } from "./api.js";

test("events arrive whole however the bytes are cut", async () => {
    const text = ':\n\ndata: {"kind":"answer","text":"né"}\n\ndata: {"kind":"end","state":"done"}\n\n';
    const bytes = new TextEncoder().encode(text);
    for (let size = 1; size <= bytes.length; ++size) {
        const stream = new ReadableStream({
            start(control) {
                for (let at = 0; at < bytes.length; at += size) control.enqueue(bytes.slice(at, at + size));
                control.close();
            },
        });
        const got = [];
        for await (const event of events(stream)) got.push(event);
        assert.deepEqual(got, [{ kind: "answer", text: "né" }, { kind: "end", state: "done" }]);
    }
});
