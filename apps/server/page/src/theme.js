// theme.js -- light, dark, or as the system has it.
const KEY = "karat-theme";
export const THEMES = ["system", "light", "dark"];

export const theme = () => localStorage.getItem(KEY) ?? "system";

export function setTheme(name) {
    localStorage.setItem(KEY, name);
    applyTheme();
}

export function applyTheme() {
    document.documentElement.style.colorScheme = theme() === "system" ? "light dark" : theme();
}
