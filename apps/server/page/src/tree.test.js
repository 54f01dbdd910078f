import assert from "node:assert/strict";
import test from "node:test";
import { branchTo, newestTip, siblings, titleOf } from "./tree.js";

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
