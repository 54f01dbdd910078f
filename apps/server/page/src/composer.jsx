// composer.jsx -- where the next message is written, sent and stopped.
import { useEffect, useRef } from "preact/hooks";

export function Composer({ draft, onDraft, busy, thinking, onThinking, hasTools, usesTools, onUseTools, onSend, onStop, focusOn }) {
    const box = useRef();
    useEffect(() => box.current.focus({ preventScroll: true }), [focusOn]);
    useEffect(() => {
        box.current.style.height = "auto";
        box.current.style.height = `${box.current.scrollHeight}px`;
    }, [draft]);
    const submit = (event) => {
        event?.preventDefault();
        if (!busy && draft.trim()) onSend(draft);
    };
    const keys = (event) => {
        if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
    };
    return (
        <form class="composer" onSubmit={submit}>
            <textarea ref={box} rows="1" aria-label="Message" placeholder="Write a message" value={draft} onInput={(event) => onDraft(event.target.value)} onKeyDown={keys} />
            <div class="row">
                <label class="toggle">
                    <input type="checkbox" checked={thinking} onChange={(event) => onThinking(event.target.checked)} /> Think first
                </label>
                {hasTools && (
                    <label class="toggle">
                        <input type="checkbox" checked={usesTools} onChange={(event) => onUseTools(event.target.checked)} /> Tools
                    </label>
                )}
                <span class="gap" />
                {busy ? (
                    <button type="button" class="primary" onClick={onStop}>Stop</button>
                ) : (
                    <button class="primary" disabled={!draft.trim()}>Send</button>
                )}
            </div>
        </form>
    );
}
