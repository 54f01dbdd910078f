// page_bed.mjs -- servers, a browser, and what a person does in the page; for page.mjs and page_tools.mjs.
import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export const [modules, ...program] = process.argv.slice(2);
const { chromium } = createRequire(pathToFileURL(join(modules, "package.json")))("playwright-core");
const patience = Number(process.env.KARAT_TEST_PATIENCE ?? 1);
export const folder = mkdtempSync(join(tmpdir(), "karat-page-"));
const pictures = process.env.KARAT_TEST_PICTURES;

export async function serve(...options) {
    const child = spawn(program[0], [...program.slice(1), "serve", "--port", "0", ...options], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.setEncoding("utf8");
    const url = await new Promise((resolve, reject) => {
        child.on("exit", () => reject(new Error(`the server did not come up: ${said}`)));
        child.stderr.on("data", (text) => {
            said += text;
            const found = /serving at (http:\/\/[^/\s]+)\//.exec(said);
            if (found) resolve(found[1]);
        });
    });
    const end = (signal) => new Promise((resolve) => {
        child.on("exit", resolve);
        child.kill(signal);
    });
    return { url, end };
}

export const browser = await chromium.launch({
    executablePath: process.env.KARAT_TEST_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync"],
});

export async function open(url, options) {
    const context = await browser.newContext({ viewport: { width: 1100, height: 760 }, ...options });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const page = await context.newPage();
    page.setDefaultTimeout(20000 * patience);
    page.faults = [];
    page.on("pageerror", (fault) => page.faults.push(fault.message));
    page.on("console", (message) => message.type() === "error" && page.faults.push(message.text()));
    page.on("request", (request) => request.url().startsWith(url) || request.url().startsWith("data:") || page.faults.push(`asks ${request.url()}`));
    await page.goto(url);
    return page;
}

export const picture = async (page, name) => pictures && page.screenshot({ path: join(pictures, `${name}.png`) });
export const composer = (page) => page.getByLabel("Message", { exact: true });
export const answers = (page) => page.locator("article.assistant");
// The last answer there is: those before it have long ended.
export const finished = (page) => page.locator("article.assistant").last().and(page.locator('[aria-busy="false"]')).waitFor();

export async function say(page, text) {
    await composer(page).fill(text);
    await composer(page).press("Enter");
}

export async function setTemperature(page, value) {
    await page.getByLabel("Settings").click();
    await page.getByLabel("Temperature").fill(value);
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
}
