// icons.jsx -- signs as drawings, because not every machine has a font with them.
const PATHS = {
    copy: "M6 6V3h7v7h-3M3 6h7v7H3z",
    done: "M3 9l3 3 7-8",
    edit: "M3 13l1-4 7-7 3 3-7 7zM9 4l3 3",
    again: "M13 8a5 5 0 1 1-2-4M13 2v3h-3",
    close: "M4 4l8 8M12 4l-8 8",
    menu: "M2 4h12M2 8h12M2 12h12",
    settings: "M2 5h7M13 5h1M2 11h1M7 11h7M11 3a2 2 0 1 0 0 4a2 2 0 1 0 0-4M5 9a2 2 0 1 0 0 4a2 2 0 1 0 0-4",
    earlier: "M10 3L5 8l5 5",
    later: "M6 3l5 5-5 5",
};

const Icon = ({ name }) => (
    <svg viewBox="0 0 16 16" width="16" height="16" fill="none" stroke="currentColor" stroke-width="1.4" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
        <path d={PATHS[name]} />
    </svg>
);

// A button that shows a sign and has a name.
export const IconButton = ({ icon, label, kind = "", ...rest }) => (
    <button type="button" class={`action ${kind}`} title={label} aria-label={label} {...rest}>
        <Icon name={icon} />
    </button>
);
