import assert from "node:assert/strict";
import test from "node:test";
import { branchTo, callsOf, newestTip, siblings, titleOf, waitsAfter } from "./tree.js";

const m = (id, parent) => ({ id, parent });
// 1 - 2 - 4 - 6
//   \ 3 - 5
const messages = [m(1, null), m(2, 1), m(3, 1), m(4, 2), m(5, 3), m(6, 4), m(7, null)];
const ids = (list) => list.map((x) => x.id);

test("a branch leads from the first message to the tip", () => {
    assert.deepEqual(ids(branchTo(messages, 6)), [1, 2, 4, 6]);
    assert.deepEqual(ids(branchTo(messages, 3)), [1, 3]);
    assert.deepEqual(ids(branchTo(messages, null)), []);
});

test("siblings follow the same message", () => {
    assert.deepEqual(ids(siblings(messages, messages[2])), [2, 3]);
    assert.deepEqual(ids(siblings(messages, messages[0])), [1, 7]);
});

test("a message is looked at together with the newest that follows", () => {
    assert.equal(newestTip(messages, messages[0]), 5);
    assert.equal(newestTip(messages, messages[1]), 6);
    assert.equal(newestTip(messages, messages[6]), 7);
});

test("a title is one short line", () => {
    assert.equal(titleOf("  Name a\nriver. "), "Name a river.");
    assert.equal(titleOf("x".repeat(80)), `${"x".repeat(59)}…`);
});

test("results belong to the calls in their order, and the first call without one waits", () => {
    const asked = { id: 2, role: "assistant", state: "done", tool_calls: [{ id: "a" }, { id: "b" }, { id: "c" }] };
    const result = (id, state = "done") => ({ id, role: "tool", state });
    const shown = (...rest) => callsOf([m(1, null), asked, ...rest], asked).map((c) => [c.result?.id, c.after?.id, c.waits]);
    assert.deepEqual(shown(), [[undefined, 2, true], [undefined, undefined, false], [undefined, undefined, false]]);
    assert.deepEqual(shown(result(3)), [[3, 2, false], [undefined, 3, true], [undefined, undefined, false]]);
    assert.deepEqual(shown(result(3, "growing")), [[3, 2, false], [undefined, 3, false], [undefined, undefined, false]]);
    assert.deepEqual(shown(result(3), result(4), result(5), { id: 6, role: "assistant" }), [[3, 2, false], [4, 3, false], [5, 4, false]]);
    const waits = (...rest) => waitsAfter([m(1, null), asked, ...rest]);
    assert.deepEqual([waits(), waits(result(3)), waits(result(3, "growing"))], [2, 3, null]);
    assert.deepEqual([waits(result(3), result(4), result(5)), waits(result(3), { role: "user" }), waitsAfter([m(1, null)])], [null, null, null]);
    assert.deepEqual(shown({ id: 3, role: "user" })[0], [undefined, 2, false]);
    asked.state = "stopped";
    assert.deepEqual(shown()[0], [undefined, 2, false]);
});
