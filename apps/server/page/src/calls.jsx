// calls.jsx -- calls of tools: what the model wants to have done, whether it may, and what came of it.
import { useState } from "preact/hooks";
import { Branches } from "./branches.jsx";

const ENDINGS = {
    stopped: "Stopped.",
    cut: "karat ended while this tool ran.",
};

const pretty = (value) => {
    try {
        return JSON.stringify(typeof value === "string" ? JSON.parse(value) : value, null, 2);
    } catch {
        return String(value); // shown as it came
    }
};

const Code = ({ label, text }) => (
    <figure class="material">
        <figcaption>{label}</figcaption>
        <pre tabindex="0">{text}</pre>
    </figure>
);

// What a tool's server says about it: its word, so it is set apart from ours.
export function About({ tool }) {
    const { description } = JSON.parse(tool.declaration);
    return description ? <blockquote class="about">{description}</blockquote> : <p class="about">Its server does not say what it does.</p>;
}

// Asks for permission. The buttons come last: who gets to them has passed what they are about.
function Question({ name, tool, wanted, onDecide }) {
    const [said, setSaid] = useState(false);
    const say = (verdict) => async () => {
        setSaid(true);
        await onDecide(verdict);
        setSaid(false); // it may have been refused
    };
    return (
        <section class="call asks" aria-label={`May ${name} be called?`}>
            <h2>May <b>{name}</b>{tool && <> of <b>{tool.server}</b></>} be called?</h2>
            {tool ? <About tool={tool} /> : <p class="about">There is no such tool any more.</p>}
            <Code label="With" text={wanted} />
            <div class="row">
                <button type="button" disabled={said} onClick={say("deny")}>Deny</button>
                {tool && <button type="button" disabled={said} onClick={say("always")}>Always in this chat</button>}
                {tool && <button type="button" class="primary" disabled={said} onClick={say("once")}>Allow once</button>}
            </div>
            <small>Writing a message instead denies it, too.</small>
        </section>
    );
}

function Result({ name, wanted, result, messages, isLast, busy, onTurn, onDecide, onGoOn }) {
    const running = result.state === "growing";
    return (
        <div class="call" aria-busy={running}>
            <details>
                <summary>
                    {running ? "Running" : "Called"} <b>{name}</b>{running && <span class="waiting" aria-label="The tool runs"><i /><i /><i /></span>}
                </summary>
                <Code label="With" text={wanted} />
                {!running && <Code label="Result" text={pretty(result.content)} />}
            </details>
            {ENDINGS[result.state] && <p class="ending">{ENDINGS[result.state]}</p>}
            <Branches messages={messages} message={result} onTurn={onTurn} />
            {ENDINGS[result.state] && isLast && !busy && (
                <div class="row">
                    <button type="button" onClick={onGoOn}>Go on without it</button>
                    <button type="button" onClick={() => onDecide("again")}>Call it again</button>
                </div>
            )}
        </div>
    );
}

// One call with its way so far, as callsOf() has it.
export function Call({ entry, tools, tip, onDecide, onGoOn, ...rest }) {
    const { call, result, after, waits } = entry;
    const wanted = call.function ?? call;
    const tool = tools?.find((t) => t.name === wanted.name);
    const props = { name: wanted.name, tool, wanted: pretty(wanted.arguments), onDecide: (verdict) => onDecide(after, verdict, tool) };
    if (result) return <Result {...props} {...rest} result={result} isLast={tip === result.id} onGoOn={() => onGoOn(result)} />;
    if (waits && tools) return <Question {...props} />;
    return (
        <details class="call">
            <summary>Call of <b>{wanted.name}</b></summary>
            <Code label="With" text={props.wanted} />
        </details>
    );
}
