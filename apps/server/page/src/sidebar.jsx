// sidebar.jsx -- the list of chats, by date or by words.
import { useEffect, useState } from "preact/hooks";
import { listChats } from "./api.js";
import { IconButton } from "./icons.jsx";

const DAY = 86400e3;
const AGES = [
    ["Today", 0],
    ["Yesterday", 1],
    ["This week", 7],
    ["Earlier", Infinity],
];

export function ageOf(changed, now = new Date()) {
    const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
    const days = Math.ceil((midnight - changed) / DAY);
    return AGES.find(([, most]) => days <= most)[0];
}

function Chat({ chat, current, onOpen, onRename, onRemove }) {
    const rename = () => {
        const title = prompt("Name of the chat", chat.title);
        if (title?.trim()) onRename(chat.id, title.trim());
    };
    const remove = () => confirm(`Delete “${chat.title}” with all its messages?`) && onRemove(chat.id);
    return (
        <li class={current ? "current" : ""}>
            <a href={`#${chat.id}`} aria-current={current ? "page" : undefined} onClick={() => onOpen(chat.id)}>
                {chat.title || "Untitled"}
                {chat.snippet && <small>{chat.snippet}</small>}
            </a>
            <IconButton icon="edit" label={`Rename ${chat.title}`} onClick={rename} />
            <IconButton icon="close" label={`Delete ${chat.title}`} onClick={remove} />
        </li>
    );
}

export function Sidebar({ current, changed, searchBox, onNew, onFault, ...actions }) {
    const [words, setWords] = useState("");
    const [chats, setChats] = useState([]);
    useEffect(() => {
        let late = false;
        const timer = setTimeout(() => listChats(words).then((list) => late || setChats(list), onFault), words ? 150 : 0);
        return () => ((late = true), clearTimeout(timer));
    }, [words, changed]);
    const groups = words
        ? [["Found", chats]]
        : AGES.map(([name]) => [name, chats.filter((chat) => ageOf(chat.changed) === name)]);
    return (
        <nav class="sidebar" aria-label="Chats">
            <button type="button" class="primary" onClick={onNew}>New chat</button>
            <input type="search" ref={searchBox} placeholder="Search" aria-label="Search chats" value={words} onInput={(event) => setWords(event.target.value)} />
            {groups.filter(([, list]) => list.length).map(([name, list]) => (
                <section key={name}>
                    <h2>{name}</h2>
                    <ul>{list.map((chat) => <Chat key={chat.id} chat={chat} current={chat.id === current} {...actions} />)}</ul>
                </section>
            ))}
            {words && !chats.length && <p class="nothing">No chat has these words.</p>}
        </nav>
    );
}
