// branches.jsx -- the way between a message and those that follow the same one.
import { IconButton } from "./icons.jsx";
import { siblings } from "./tree.js";

export function Branches({ messages, message, onTurn }) {
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
