// app.jsx -- the page: one chat at a time beside the list of all.
import { render } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api.js";
import { Composer } from "./composer.jsx";
import { KeyDialog, Settings } from "./dialogs.jsx";
import { IconButton } from "./icons.jsx";
import { Message } from "./message.jsx";
import { Sidebar } from "./sidebar.jsx";
import { temperature } from "./temperature.js";
import { applyTheme } from "./theme.js";
import { branchTo, newestTip, titleOf, waitsAfter } from "./tree.js";
import "./style.css";

const EMPTY = { id: null, title: "", system: "", tip: null, always: [], messages: [] };

// The number behind "#", so that a reload and the browser's back button find the chat.
const addressed = () => Number(location.hash.slice(1)) || null;

function change(chat, id, update) {
    return { ...chat, messages: chat.messages.map((m) => (m.id === id ? update(m) : m)) };
}

function grown(message, event) {
    switch (event.kind) {
        case "answer":
            return { ...message, content: message.content + event.text };
        case "thought":
            return { ...message, thinking: message.thinking + event.text };
        case "end":
            return { ...message, state: event.state, tool_calls: event.tool_calls ?? [], fault: event.fault, speed: event.speed };
        default:
            return message;
    }
}

// The chat that the address names, kept up with the server.
function useChat(onFault, onListChanged) {
    const [chat, setChat] = useState(EMPTY);
    const following = useRef(null);
    const current = useRef(EMPTY);
    current.current = chat;

    // An answer comes whole and then grows, so what the store held of it goes first. Events are shown together, a few
    // times a second: every one of them would have the browser lay out the page anew.
    const follow = useCallback((chatId, answer, isTool = false) => {
        following.current?.abort();
        const abort = (following.current = new AbortController());
        let waiting = [];
        const show = () => {
            const events = waiting;
            waiting = [];
            setChat((c) => (c.id === chatId ? change(c, answer, (m) => events.reduce(grown, m)) : c));
            const last = events.at(-1);
            if (last?.kind !== "end") return;
            onListChanged();
            if (isTool || last.tool_calls?.length) refresh(chatId); // something may have followed already
        };
        setChat((c) => (c.id === chatId ? change(c, answer, (m) => ({ ...m, content: "", thinking: "" })) : c));
        api.follow(chatId, answer, (event) => {
            if (!waiting.length) setTimeout(show, 60);
            waiting.push(event);
        }, abort.signal).catch((fault) => fault.name === "AbortError" || onFault(fault));
    }, []);

    const followGrowing = (read) => {
        const growing = read.messages.find((m) => m.state === "growing");
        if (growing) follow(read.id, growing.id, growing.role === "tool");
    };

    // Reads the chat again, if it is still the one that is looked at.
    const refresh = async (id) => {
        try {
            const read = await api.readChat(id);
            if (current.current.id !== id) return;
            setChat(read);
            followGrowing(read);
        } catch (fault) {
            onFault(fault);
        }
    };

    const open = useCallback(async (id) => {
        following.current?.abort();
        if (!id) return setChat(EMPTY);
        try {
            const read = await api.readChat(id);
            setChat(read);
            followGrowing(read);
        } catch (fault) {
            onFault(fault);
        }
    }, []);

    return { chat, setChat, follow, open, refresh };
}

// Whether the page is on the screen.
function useShown() {
    const [shown, setShown] = useState(!document.hidden);
    useEffect(() => {
        const turn = () => setShown(!document.hidden);
        document.addEventListener("visibilitychange", turn);
        return () => document.removeEventListener("visibilitychange", turn);
    }, []);
    return shown;
}

function App() {
    const [listVersion, setListVersion] = useState(0);
    const [fault, setFault] = useState(null);
    const [draft, setDraft] = useState("");
    const [thinking, setThinking] = useState(false);
    const [settings, setSettings] = useState(false);
    const [drawer, setDrawer] = useState(false);
    const [model, setModel] = useState("");
    const [tools, setTools] = useState(null); // not yet known
    const [usesTools, setUsesTools] = useState(true);
    const searchBox = useRef();
    const end = useRef();
    const log = useRef();
    const listChanged = () => setListVersion((n) => n + 1);
    const { chat, setChat, follow, open, refresh } = useChat(setFault, listChanged);
    const branch = branchTo(chat.messages, chat.tip);
    const growing = chat.messages.find((m) => m.state === "growing");
    const options = { thinking, temperature: temperature(), tools: usesTools };
    const readTools = () => api.tools().then(setTools, () => {}); // without chats there are none

    useEffect(() => {
        api.facts().then((facts) => setModel(facts.model_alias ?? ""), setFault);
        readTools();
        const turn = () => (setFault(null), open(addressed()));
        turn();
        addEventListener("hashchange", turn);
        return () => removeEventListener("hashchange", turn);
    }, []);

    // A call may be decided in another tab. Nobody looks at a hidden one, and a browser has few connections for all of them.
    const waiting = waitsAfter(branch);
    const shown = useShown();
    const deciding = useRef(false);
    useEffect(() => {
        if (!waiting || !shown) return undefined;
        const abort = new AbortController();
        api.followed(chat.id, waiting, abort.signal).then(() => deciding.current || refresh(chat.id), () => {});
        return () => abort.abort();
    }, [chat.id, waiting, shown]);

    useEffect(() => {
        document.title = chat.title ? `${chat.title} - karat` : "karat";
    }, [chat.title]);

    // The view follows what grows, unless the reader has scrolled away.
    const atEnd = useRef(true);
    const scrolled = () => {
        const { scrollTop, scrollHeight, clientHeight } = log.current;
        atEnd.current = scrollHeight - scrollTop - clientHeight < 80;
    };
    useEffect(() => {
        if (atEnd.current) end.current.scrollIntoView({ block: "end" });
    });

    const startNew = () => {
        location.hash = "";
        setDrawer(false);
    };
    const stop = () => growing && api.stop(chat.id, growing.id).catch(setFault);

    useEffect(() => {
        const keys = (event) => {
            if (event.key === "Escape" && growing && !document.querySelector("dialog[open]")) stop();
            else if ((event.ctrlKey || event.metaKey) && event.key === "k") (event.preventDefault(), setDrawer(true), searchBox.current.focus());
            else if ((event.ctrlKey || event.metaKey) && event.shiftKey && event.key.toLowerCase() === "o") (event.preventDefault(), startNew());
        };
        addEventListener("keydown", keys);
        return () => removeEventListener("keydown", keys);
    });

    // Runs something that may fail; a failure is shown and changes nothing else.
    const attempt = async (work) => {
        setFault(null);
        try {
            return await work();
        } catch (caught) {
            setFault(caught);
            return undefined;
        }
    };
    const reload = async (id, { answer, fault }) => {
        atEnd.current = true;
        setChat(await api.readChat(id));
        if (fault) setFault(new Error(fault));
        else follow(id, answer);
        listChanged();
    };
    const send = (parent, content) => attempt(async () => {
        const id = chat.id ?? (await api.createChat(titleOf(content), chat.system)).id;
        const begun = await api.send(id, parent, content, options);
        setDraft("");
        if (!chat.id) history.replaceState(null, "", `#${id}`);
        await reload(id, begun);
    });
    const again = (message) => attempt(async () => {
        await reload(chat.id, await api.answerAgain(chat.id, message.parent, options));
    });
    const decide = (after, verdict, tool) => attempt(async () => {
        atEnd.current = deciding.current = true;
        try {
            await api.decide(chat.id, after.id, verdict, tool?.declaration, options);
        } finally {
            deciding.current = false;
            readTools();
            await refresh(chat.id);
        }
    });
    const goOn = (message) => attempt(async () => {
        await reload(chat.id, await api.answerAgain(chat.id, message.id, options));
    });
    const turnTo = (message) => attempt(async () => {
        const tip = newestTip(chat.messages, message);
        await api.changeChat(chat.id, { tip });
        setChat((c) => ({ ...c, tip }));
    });
    const setSystem = (system) => attempt(async () => {
        if (chat.id) await api.changeChat(chat.id, { system });
        setChat((c) => ({ ...c, system }));
    });
    const askAgain = () => attempt(async () => {
        await api.changeChat(chat.id, { ask_again: true });
        setChat((c) => ({ ...c, always: [] }));
    });
    const rename = (id, title) => attempt(async () => {
        await api.changeChat(id, { title });
        setChat((c) => (c.id === id ? { ...c, title } : c)); // it may have been opened meanwhile
        listChanged();
    });
    const remove = (id) => attempt(async () => {
        await api.removeChat(id);
        if (id === chat.id) startNew();
        listChanged();
    });
    const useKey = (key) => {
        api.setKey(key);
        setFault(null);
        listChanged();
        readTools();
        open(addressed());
    };

    return (
        <div class={drawer ? "page drawer" : "page"}>
            <Sidebar current={chat.id} changed={listVersion} searchBox={searchBox} onNew={startNew} onFault={setFault} onOpen={() => setDrawer(false)} onRename={rename} onRemove={remove} />
            <button type="button" class="shade" aria-label="Close the list of chats" tabindex={drawer ? 0 : -1} onClick={() => setDrawer(false)} />
            <main>
                <header>
                    <IconButton icon="menu" kind="menu" label="Chats" aria-expanded={drawer} onClick={() => setDrawer(!drawer)} />
                    <h1>{chat.title || "New chat"}</h1>
                    <span class="model">{model}</span>
                    <IconButton icon="settings" label="Settings" onClick={() => setSettings(true)} />
                </header>
                <div class="log" role="log" aria-label="Conversation" ref={log} onScroll={scrolled}>
                    <div class="column">
                        {branch.map((message) => (
                            <Message key={message.id} message={message} messages={chat.messages} branch={branch} tools={tools} busy={!!growing}
                                onTurn={turnTo} onAgain={again} onEdit={(m, text) => send(m.parent, text)} onDecide={decide} onGoOn={goOn} />
                        ))}
                        {!branch.length && <p class="greeting">What would you like to know?</p>}
                        <div ref={end} />
                    </div>
                </div>
                <footer class="column">
                    {fault && fault.status !== 401 && <p class="fault" role="alert">{fault.message}<IconButton icon="close" label="Close" onClick={() => setFault(null)} /></p>}
                    <Composer draft={draft} onDraft={setDraft} busy={!!growing} thinking={thinking} onThinking={setThinking}
                        hasTools={tools?.length > 0} usesTools={usesTools} onUseTools={setUsesTools} onSend={(text) => send(chat.tip, text)} onStop={stop} focusOn={chat.id} />
                </footer>
            </main>
            {settings && <Settings system={chat.system} onSystem={setSystem} tools={tools ?? []} always={chat.always} onAskAgain={askAgain} onClose={() => setSettings(false)} />}
            {fault?.status === 401 && <KeyDialog onKey={useKey} />}
        </div>
    );
}

applyTheme();
render(<App />, document.body);
