// tree.js -- the messages of a chat as a tree: the branch that is looked at, and its neighbours.

// From the first message to the tip.
export function branchTo(messages, tip) {
    const byId = new Map(messages.map((m) => [m.id, m]));
    const branch = [];
    for (let m = byId.get(tip); m; m = byId.get(m.parent)) branch.unshift(m);
    return branch;
}

// The messages that follow the same one, in order of their making.
export function siblings(messages, message) {
    return messages.filter((m) => m.parent === message.parent);
}

// Where the newest branch through a message ends.
export function newestTip(messages, message) {
    for (let tip = message; ; ) {
        const next = messages.filter((m) => m.parent === tip.id).at(-1);
        if (!next) return tip.id;
        tip = next;
    }
}

// The calls of an answer and what came of them: results stand right behind it on the branch, in the order of the calls.
// Each is {call, result?, after: what the result follows, waits: whether the user has to say something}.
export function callsOf(branch, message) {
    const begin = branch.findIndex((m) => m.id === message.id) + 1;
    const results = branch.slice(begin);
    const end = results.findIndex((m) => m.role !== "tool");
    if (end >= 0) results.length = end;
    const isOpen = message.state === "done" && begin + results.length === branch.length && results.every((m) => m.state !== "growing");
    return message.tool_calls.map((call, i) => ({
        call,
        result: results[i],
        after: i === 0 ? message : results[i - 1],
        waits: isOpen && i === results.length,
    }));
}

// The message that the result of a call would follow which waits for the user's word at the end of the branch; null: none does.
export function waitsAfter(branch) {
    const answer = branch.findLast((m) => m.role === "assistant");
    return (answer && callsOf(branch, answer).find((entry) => entry.waits)?.after.id) ?? null;
}

// A chat is called after its first question.
export function titleOf(question) {
    const line = question.trim().split(/\s+/).join(" ");
    return line.length <= 60 ? line : `${line.slice(0, 59).trimEnd()}…`;
}
