// api.js -- what the page asks the server. Chats live there; the page keeps nothing but the key, the theme and the temperature.
//
//     GET    /chats?q=WORDS            [{id, title, created, changed, snippet?}]
//     POST   /chats                    {title, system} -> {id}
//     GET    /chats/ID                 {id, title, system, tip, always, messages: [{id, parent, role, content, thinking,
//                                      tool_calls, name, tool_call_id, state, created}]}
//     PATCH  /chats/ID                 {title?, system?, tip?, ask_again?: true}: the last takes back what was "always" allowed
//     DELETE /chats/ID
//     POST   /chats/ID/messages        {parent, content, options} -> {question, answer}: stores it and begins an answer, which
//                                      may have failed already: {..., fault}
//     POST   /chats/ID/answers         {parent, options} -> {answer, fault?}: another answer to a question
//     GET    /chats/ID/answers/ID      events of an answer: first all of it so far, then what is added
//     POST   /chats/ID/answers/ID/stop an answer, or a tool that runs
//     GET    /chats/ID/messages/ID/next a stream that says {kind: "followed"} once another message follows this one, from
//                                      wherever
//     POST   /chats/ID/calls           {after, verdict: "once" | "always" | "deny" | "again", declaration, options}: the user's
//                                      word on the call whose result would follow message `after`
//     GET    /tools                    [{name, server, declaration}]: what the model may call. A declaration is JSON as a text,
//                                      {description?, parameters}, and goes back with the user's word as it was shown
//
// options are {thinking, temperature?, tools?: false}. An event is {kind: "answer" | "thought", text} or, at the end, {kind: "end", state, tool_calls, fault?, speed?}.

const KEY = "karat-key";

export class Refusal extends Error {
    constructor(status, message) {
        super(message);
        this.status = status;
    }
}

export function setKey(key) {
    sessionStorage.setItem(KEY, key);
}

async function ask(method, path, body, signal) {
    const headers = {};
    const key = sessionStorage.getItem(KEY);
    if (key) headers.Authorization = `Bearer ${key}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let reply;
    try {
        reply = await fetch(path, { method, headers, body: body === undefined ? body : JSON.stringify(body), signal });
    } catch (fault) {
        if (fault.name === "AbortError") throw fault;
        throw new Refusal(0, "The server does not answer. Is karat still running?");
    }
    if (reply.ok) return reply;
    const said = await reply.json().catch(() => ({}));
    throw new Refusal(reply.status, said.error?.message ?? `The server answered ${reply.status}.`);
}

const json = async (...args) => (await ask(...args)).json();

export const facts = () => json("GET", "/props");
export const listChats = (words) => json("GET", words ? `/chats?q=${encodeURIComponent(words)}` : "/chats");
export const createChat = (title, system) => json("POST", "/chats", { title, system });
export const readChat = (id) => json("GET", `/chats/${id}`);
export const changeChat = (id, change) => json("PATCH", `/chats/${id}`, change);
export const removeChat = (id) => json("DELETE", `/chats/${id}`);
export const send = (chat, parent, content, options) =>
    json("POST", `/chats/${chat}/messages`, { parent, content, options });
export const answerAgain = (chat, parent, options) => json("POST", `/chats/${chat}/answers`, { parent, options });
export const stop = (chat, answer) => json("POST", `/chats/${chat}/answers/${answer}/stop`, {});

export const tools = () => json("GET", "/tools");
export const decide = (chat, after, verdict, declaration, options) =>
    json("POST", `/chats/${chat}/calls`, { after, verdict, declaration, options });

// Calls on_event for every event of an answer until its end or until the signal says so.
export async function follow(chat, answer, onEvent, signal) {
    const reply = await ask("GET", `/chats/${chat}/answers/${answer}`, undefined, signal);
    try {
        for await (const event of events(reply.body)) {
            onEvent(event);
            if (event.kind === "end") return;
        }
    } catch (fault) {
        if (fault.name === "AbortError") throw fault; // anything else is the end of the connection
    }
    throw new Refusal(0, "The connection to the server broke.");
}

// Until another message follows this one, or the signal says so.
export async function followed(chat, message, signal) {
    for (;;) {
        try {
            const reply = await ask("GET", `/chats/${chat}/messages/${message}/next`, undefined, signal);
            for await (const event of events(reply.body)) if (event.kind === "followed") return;
        } catch (fault) {
            if (fault.name === "AbortError" || fault.status) throw fault;
        }
        await new Promise((resolve) => setTimeout(resolve, 3000)); // the server may be on its way back
    }
}

// The JSON of each "data:" line of a stream of bytes.
export async function* events(bytes) {
    let held = "";
    for await (const text of bytes.pipeThrough(new TextDecoderStream())) {
        const lines = (held + text).split("\n");
        held = lines.pop();
        for (const line of lines) if (line.startsWith("data:")) yield JSON.parse(line.slice(5));
    }
}
