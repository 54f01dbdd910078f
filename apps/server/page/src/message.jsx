// message.jsx -- one message with what can be done with it.
import { useState } from "preact/hooks";
import { Branches } from "./branches.jsx";
import { Call } from "./calls.jsx";
import { IconButton } from "./icons.jsx";
import { Markdown } from "./markdown.jsx";
import { callsOf } from "./tree.js";

const ENDINGS = {
    stopped: "Stopped.",
    full: "The answer reached its longest length.",
    failed: "The answer failed.",
    cut: "karat ended in the middle of this answer.",
};

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

function Answer({ message, messages, branch, busy, onTurn, onAgain, ...calls }) {
    const growing = message.state === "growing";
    const all = { messages, busy, onTurn, tip: branch.at(-1).id, ...calls };
    return (
        <>
            {message.thinking && <Thought text={message.thinking} growing={growing && !message.content} />}
            {message.content && <Markdown text={message.content} />}
            {callsOf(branch, message).map((entry, i) => <Call key={i} entry={entry} {...all} />)}
            {growing && !message.content && !message.thinking && <p class="waiting" aria-label="Waiting for the answer"><i /><i /><i /></p>}
            {ENDINGS[message.state] && <p class={`ending ${message.state}`}>{message.fault ?? ENDINGS[message.state]}</p>}
            {!growing && (
                <div class="actions">
                    <Branches messages={messages} message={message} onTurn={onTurn} />
                    {message.content && <Copy text={message.content} />}
                    {!busy && <IconButton icon="again" label="Answer again" onClick={() => onAgain(message)} />}
                    {message.speed && <span class="speed">{message.speed}</span>}
                </div>
            )}
        </>
    );
}

const KINDS = { user: Question, assistant: Answer };

// What tools said is shown with the call.
export function Message(props) {
    const Kind = KINDS[props.message.role];
    if (!Kind) return null;
    return (
        <article class={`message ${props.message.role}`} aria-label={props.message.role === "user" ? "You" : "Answer"} aria-busy={props.message.state === "growing"}>
            <Kind {...props} />
        </article>
    );
}
