// dialogs.jsx -- what stands before the page: settings, and the question for the key.
import { useEffect, useRef, useState } from "preact/hooks";
import { About } from "./calls.jsx";
import { setTemperature, temperature } from "./temperature.js";
import { setTheme, theme, THEMES } from "./theme.js";

export function KeyDialog({ onKey }) {
    const [key, setKey] = useState("");
    return (
        <dialog open class="key">
            <form onSubmit={(event) => (event.preventDefault(), onKey(key))}>
                <label>This server wants its API key<input type="password" autofocus value={key} onInput={(event) => setKey(event.target.value)} /></label>
                <button class="primary" disabled={!key}>Go on</button>
            </form>
        </dialog>
    );
}

function Tools({ tools }) {
    return (
        <details class="tools">
            <summary>{tools.length === 1 ? "1 tool" : `${tools.length} tools`}</summary>
            <dl>
                {tools.map((tool) => (
                    <div key={tool.name}>
                        <dt><b>{tool.name}</b> of {tool.server}</dt>
                        <dd><About tool={tool} /></dd>
                    </div>
                ))}
            </dl>
        </details>
    );
}

export function Settings({ system, onSystem, tools, always, onAskAgain, onClose }) {
    const [draft, setDraft] = useState(system);
    const [heat, setHeat] = useState(temperature() ?? "");
    const [chosen, choose] = useState(theme());
    const box = useRef();
    useEffect(() => box.current.showModal(), []);
    const save = (event) => {
        event.preventDefault();
        onSystem(draft);
        setTemperature(heat);
        onClose();
    };
    return (
        <dialog ref={box} onClose={onClose} aria-label="Settings">
            <form onSubmit={save}>
                <label>What the model should know or be in this chat<textarea rows="5" value={draft} onInput={(event) => setDraft(event.target.value)} /></label>
                <label>Temperature: 0 always takes the likeliest word; empty is what the model recommends
                    <input type="number" min="0" max="2" step="0.05" value={heat} onInput={(event) => setHeat(event.target.value)} />
                </label>
                <label>Colours
                    <select value={chosen} onChange={(event) => (choose(event.target.value), setTheme(event.target.value))}>
                        {THEMES.map((name) => <option key={name}>{name}</option>)}
                    </select>
                </label>
                {tools.length > 0 && <Tools tools={tools} />}
                {always.length > 0 && (
                    <p class="always">
                        Always allowed in this chat: {always.join(", ")} <button type="button" onClick={onAskAgain}>Ask again</button>
                    </p>
                )}
                <div class="row"><button type="button" onClick={onClose}>Cancel</button><button class="primary">Save</button></div>
            </form>
        </dialog>
    );
}
