// markdown.jsx -- text of an answer as HTML. Raw HTML in it stays text, pictures are links, links open elsewhere, so an
// answer can neither run anything nor make the page ask another host.
import MarkdownIt from "markdown-it";
import { useEffect, useMemo, useRef } from "preact/hooks";

const markdown = new MarkdownIt({ html: false, linkify: true });

const escaped = markdown.utils.escapeHtml;
markdown.renderer.rules.image = (tokens, i) =>
    `<a href="${escaped(tokens[i].attrGet("src"))}" target="_blank" rel="noreferrer">${escaped(tokens[i].content || "picture")}</a>`;
const open = markdown.renderer.rules.link_open ?? ((tokens, i, options, env, self) => self.renderToken(tokens, i, options));
markdown.renderer.rules.link_open = (tokens, i, ...rest) => {
    tokens[i].attrSet("target", "_blank");
    tokens[i].attrSet("rel", "noreferrer");
    return open(tokens, i, ...rest);
};
const code = (tokens, i) => {
    const language = tokens[i].info?.trim().split(/\s+/)[0] ?? "";
    return `<figure class="code"><figcaption><span>${escaped(language)}</span><button type="button" data-copy>Copy</button></figcaption><pre tabindex="0"><code>${escaped(tokens[i].content)}</code></pre></figure>`;
};
markdown.renderer.rules.fence = code;
markdown.renderer.rules.code_block = code;
markdown.renderer.rules.table_open = () => '<div class="table" tabindex="0"><table>';
markdown.renderer.rules.table_close = () => "</table></div>";

export const toHtml = (text) => markdown.render(text);

async function copyCode(event) {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.closest("figure").querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
}

export function Markdown({ text }) {
    const html = useMemo(() => toHtml(text), [text]);
    const box = useRef();
    // What did not change keeps its element: a selection or a copied mark in earlier blocks survives what is added below.
    useEffect(() => {
        const fresh = document.createElement("template");
        fresh.innerHTML = html;
        const blocks = [...fresh.content.children];
        blocks.forEach((block, i) => {
            const old = box.current.children[i];
            if (!old) box.current.append(block);
            else if (old.dataset.source !== block.outerHTML) old.replaceWith(block);
            else return;
            block.dataset.source = block.outerHTML;
        });
        while (box.current.children.length > blocks.length) box.current.lastElementChild.remove();
    }, [html]);
    return <div class="markdown" ref={box} onClick={copyCode} />;
}
