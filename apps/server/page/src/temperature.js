// temperature.js -- how freely answers are drawn; undefined: as the model recommends.
const KEY = "karat-temperature";

export function temperature() {
    const kept = localStorage.getItem(KEY);
    return kept === null ? undefined : Number(kept);
}

export function setTemperature(text) {
    if (String(text).trim() === "") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, String(Number(text)));
}
