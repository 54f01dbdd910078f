// message.jsx -- one message with what can be done with it.
import { useState } from "preact/hooks";
import { IconButton } from "./icons.jsx";
import { Markdown } from "./markdown.jsx";
import { siblings } from "./tree.js";

const ENDINGS = {
    stopped: "Stopped.",
    full: "The answer reached its longest length.",
    failed: "The answer failed.",
    cut: "karat ended in the middle of this answer.",
};

function Branches({ messages, message, onTurn }) {
    const all = siblings(messages, message);
    const at = all.findIndex((m) => m.id === message.id);
    if (all.length < 2) return null;
    return (
        <span class="branches">
            <IconButton icon="earlier" label="Earlier version" disabled={at === 0} onClick={() => onTurn(all[at - 1])} />
            {at + 1}/{all.length}
            <IconButton icon="later" label="Later version" disabled={at + 1 === all.length} onClick={() => onTurn(all[at + 1])} />
        </span>
    );
}

function Copy({ text }) {
    const [done, setDone] = useState(false);
    const copy = async () => {
        await navigator.clipboard.writeText(text);
        setDone(true);
        setTimeout(() => setDone(false), 1500);
    };
    return <IconButton icon={done ? "done" : "copy"} label={done ? "Copied" : "Copy"} onClick={copy} />;
}

function Thought({ text, growing }) {
    return (
        <details class="thought">
            <summary>{growing ? "Thinking…" : "Thought"}</summary>
            <Markdown text={text} />
        </details>
    );
}

function ToolCall({ call }) {
    const wanted = call.function ?? call;
    let shown = wanted.arguments;
    try {
        shown = JSON.stringify(typeof shown === "string" ? JSON.parse(shown) : shown, null, 2);
    } catch {
        // Shown as it came.
    }
    return (
        <details class="call">
            <summary>
                Tool call: <b>{wanted.name}</b>
            </summary>
            <pre tabindex="0">{shown}</pre>
        </details>
    );
}

function Editor({ text, onSave, onCancel }) {
    const [draft, setDraft] = useState(text);
    const keys = (event) => {
        if (event.key === "Escape") onCancel();
        if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            if (draft.trim()) onSave(draft);
        }
    };
    return (
        <form class="editor" onSubmit={(event) => (event.preventDefault(), draft.trim() && onSave(draft))}>
            <textarea aria-label="Edit message" autofocus ref={(e) => e?.focus()} value={draft} rows={Math.min(12, draft.split("\n").length + 1)}
                onInput={(event) => setDraft(event.target.value)} onKeyDown={keys} />
            <div class="row">
                <button type="button" onClick={onCancel}>Cancel</button>
                <button class="primary" disabled={!draft.trim()}>Send</button>
            </div>
        </form>
    );
}

function Question({ message, messages, busy, onTurn, onEdit }) {
    const [editing, setEditing] = useState(false);
    if (editing)
        return <Editor text={message.content} onCancel={() => setEditing(false)} onSave={(text) => (setEditing(false), onEdit(message, text))} />;
    return (
        <>
            <div class="bubble">{message.content}</div>
            <div class="actions">
                <Branches messages={messages} message={message} onTurn={onTurn} />
                <Copy text={message.content} />
                {!busy && <IconButton icon="edit" label="Edit" onClick={() => setEditing(true)} />}
            </div>
        </>
    );
}

function Answer({ message, messages, busy, onTurn, onAgain }) {
    const growing = message.state === "growing";
    return (
        <>
            {message.thinking && <Thought text={message.thinking} growing={growing && !message.content} />}
            {message.content && <Markdown text={message.content} />}
            {message.tool_calls.map((call, i) => <ToolCall key={i} call={call} />)}
            {growing && !message.content && !message.thinking && <p class="waiting" aria-label="Waiting for the answer"><i /><i /><i /></p>}
            {ENDINGS[message.state] && <p class={`ending ${message.state}`}>{message.fault ?? ENDINGS[message.state]}</p>}
            {!growing && (
                <div class="actions">
                    <Branches messages={messages} message={message} onTurn={onTurn} />
                    <Copy text={message.content} />
                    {!busy && <IconButton icon="again" label="Answer again" onClick={() => onAgain(message)} />}
                    {message.speed && <span class="speed">{message.speed}</span>}
                </div>
            )}
        </>
    );
}

function ToolResult({ message }) {
    return (
        <details class="call">
            <summary>Result of <b>{message.name}</b></summary>
            <pre tabindex="0">{message.content}</pre>
        </details>
    );
}

const KINDS = { user: Question, assistant: Answer, tool: ToolResult };

export function Message(props) {
    const Kind = KINDS[props.message.role];
    return (
        <article class={`message ${props.message.role}`} aria-label={props.message.role === "user" ? "You" : "Answer"} aria-busy={props.message.state === "growing"}>
            <Kind {...props} />
        </article>
    );
}
