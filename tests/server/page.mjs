// page.mjs -- the web page in Chromium, as a person uses it.
//
//   node page.mjs MODULES PROGRAM... : MODULES holds playwright-core; PROGRAM... is karat
//
// Starts servers of its own, because one of them is killed. Prints a line per failed claim and how many there were; the exit
// status is 0 when none failed. KARAT_TEST_PICTURES names a folder for screenshots.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { answers, browser, composer, finished, folder, open, picture, program, say, serve, setTemperature } from "./page_bed.mjs";
import { endTools, toolClaims, toolKilled, toolServer } from "./page_tools.mjs";

// This random model, always taking the likeliest word, talks for thousands of tokens, which is what stopping, reloading and killing need.
const endless = join(folder, "endless.gguf");

async function grows(page) {
    const words = page.locator('article.assistant[aria-busy="true"] .markdown');
    await words.waitFor();
    const before = (await words.textContent()).length;
    await page.waitForFunction((n) => (document.querySelector('article.assistant[aria-busy="true"] .markdown')?.textContent.length ?? 0) > n, before);
}

const claims = {
    async "a conversation"(demo) {
        const page = await open(demo.url);
        await page.getByText("What would you like to know?").waitFor();
        await picture(page, "empty");
        await say(page, "Hello!");
        await finished(page);
        assert.match(await answers(page).textContent(), /\w/);
        assert.equal(await page.locator("h1").textContent(), "Hello!");
        await page.getByRole("link", { name: "Hello!" }).waitFor();
        await picture(page, "conversation");
        assert.deepEqual(page.faults, []);
        await page.context().close();
    },

    async "an edited question and another answer are branches"(demo) {
        const page = await open(demo.url);
        await say(page, "Hi");
        await finished(page);
        await page.getByLabel("Edit", { exact: true }).click();
        await page.getByLabel("Edit message").fill("What is the capital of Peru?");
        await page.getByLabel("Edit message").press("Enter");
        await page.locator(".bubble", { hasText: "capital of Peru" }).waitFor();
        await finished(page);
        assert.equal(await page.locator(".user .branches").textContent(), "2/2");
        await page.locator(".user").getByLabel("Earlier version").click();
        await page.locator(".bubble", { hasText: "Hi" }).waitFor();
        await page.getByLabel("Answer again").click();
        await page.locator(".assistant .branches").waitFor();
        await finished(page);
        assert.equal(await page.locator(".assistant .branches").textContent(), "2/2");
        await picture(page, "branches");
        // The branch that was looked at last is there after a reload.
        await page.reload();
        await page.locator(".assistant .branches").waitFor();
        assert.equal(await page.locator(".bubble").textContent(), "Hi");
        assert.deepEqual(page.faults, []);
        await page.context().close();
    },

    async "chats are found, renamed and deleted"(demo) {
        const page = await open(demo.url);
        await page.getByText("What would you like to know?").waitFor();
        page.on("dialog", (dialog) => dialog.accept(dialog.type() === "prompt" ? "South America" : undefined));
        await page.keyboard.press("Control+k");
        await page.keyboard.type("peru");
        const found = page.getByRole("navigation").getByRole("listitem");
        await page.waitForFunction(() => document.querySelectorAll("nav li").length === 1);
        await found.getByRole("link").click();
        await page.getByLabel(/^Rename/).click();
        await page.getByRole("heading", { name: "South America" }).waitFor();
        await page.getByLabel("Search chats").fill("");
        await page.getByLabel("Delete South America").click();
        await page.getByText("What would you like to know?").waitFor();
        await page.getByLabel("Search chats").fill("peru");
        await page.getByText("No chat has these words.").waitFor();
        assert.deepEqual(page.faults, []);
        await page.context().close();
    },

    async "what an answer holds cannot run"(demo) {
        const page = await open(demo.url);
        await say(page, 'Repeat: <img src=x onerror="window.ran = 1">');
        await finished(page);
        assert.equal(await page.evaluate(() => window.ran), undefined);
        const policy = (await page.request.get(demo.url)).headers()["content-security-policy"];
        assert.match(policy, /default-src 'none'; script-src 'self'/);
        assert.deepEqual(page.faults, []);
        await page.context().close();
    },

    async "a chat that is too long says so"(demo) {
        const page = await open(demo.url);
        await say(page, "word ".repeat(9000));
        await page.getByRole("alert").filter({ hasText: "exceeds the available context size" }).waitFor();
        await page.getByText("The answer failed.").waitFor();
        assert.deepEqual(page.faults, []);
        await page.context().close();
    },

    async "dark, and a phone's width"(demo) {
        const light = await open(demo.url, { colorScheme: "light" });
        const dark = await open(demo.url, { colorScheme: "dark", viewport: { width: 390, height: 780 } });
        const paper = (page) => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
        assert.notEqual(await paper(light), await paper(dark));
        const sidebar = dark.getByRole("navigation");
        assert.equal(await sidebar.isVisible(), false);
        await dark.getByLabel("Chats", { exact: true }).and(dark.getByRole("button")).click();
        await sidebar.waitFor({ state: "visible" });
        await picture(dark, "phone-chats");
        await sidebar.getByRole("link").first().click();
        await sidebar.waitFor({ state: "hidden" });
        await answers(dark).first().waitFor();
        assert.equal(await dark.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0);
        await picture(dark, "phone");
        assert.deepEqual([...light.faults, ...dark.faults], []);
        await light.context().close();
        await dark.context().close();
    },

    async "an answer goes on through a reload, in two pages, until it is stopped"(_, random) {
        const page = await open(random.url);
        await setTemperature(page, "0");
        await say(page, "Go on");
        await grows(page);
        await page.reload();
        await grows(page);
        const other = await open(random.url);
        await other.getByRole("link", { name: "Go on" }).click();
        await grows(other);
        await picture(page, "growing");
        await page.keyboard.press("Escape");
        await page.getByText("Stopped.").waitFor();
        await other.getByText("Stopped.").waitFor();
        assert.equal(await answers(page).locator(".markdown").textContent(), await answers(other).locator(".markdown").textContent());
        assert.deepEqual([...page.faults, ...other.faults], []);
        await page.context().close();
        await other.context().close();
    },
};

// Last, for it needs servers of its own.
async function killed() {
    const chats = join(folder, "killed.db");
    const first = await serve("-m", endless, "--chats", chats);
    const page = await open(first.url);
    await setTemperature(page, "0");
    await say(page, "Count to a thousand");
    await grows(page);
    await page.waitForTimeout(1500); // what is older than a second is stored
    const shown = await answers(page).locator(".markdown").textContent();
    await first.end("SIGKILL");
    await page.getByText("The connection to the server broke.").or(page.getByText("The server does not answer.")).first().waitFor();
    await page.context().close();
    const second = await serve("-m", endless, "--chats", chats);
    const after = await open(second.url);
    await after.getByRole("link", { name: "Count to a thousand" }).click();
    await after.getByText("karat ended in the middle of this answer.").waitFor();
    assert.equal(await after.locator(".bubble").textContent(), "Count to a thousand");
    const kept = await answers(after).locator(".markdown").textContent();
    assert.ok(kept.length > 0 && (shown.startsWith(kept.slice(0, 20)) || kept.startsWith(shown.slice(0, 20))), `${kept} of ${shown}`);
    assert.deepEqual(after.faults, []);
    await after.context().close();
    await second.end("SIGTERM");
}

let nFailed = 0;
async function check(name, claim) {
    try {
        await claim();
    } catch (fault) {
        nFailed += 1;
        console.log(`FAIL ${name}: ${fault.stack}`);
    }
}

execFileSync(program[0], [...program.slice(1), "synth", "--preset", "tiny", "--type", "Q4_0", "--seed", "2", "--layers", "30", "--quiet", "-o", endless]);
const demo = await serve("--chats", join(folder, "demo.db"));
const random = await serve("-m", endless, "--chats", join(folder, "random.db"));
const tools = await toolServer("tools.db").catch((fault) => {
    if (!fault.message.includes("lacks libcurl")) throw fault;
});
for (const [name, claim] of Object.entries(claims)) await check(name, () => claim(demo, random));
if (tools) for (const [name, claim] of Object.entries(toolClaims)) await check(name, () => claim(tools));
await demo.end("SIGTERM");
await random.end("SIGTERM");
await tools?.end("SIGTERM");
if (tools) await check("a call waits through a crash", toolKilled);
endTools();
await check("a killed server loses no stored message", killed);
await browser.close();
rmSync(folder, { recursive: true });
const nTools = Object.keys(toolClaims).length + 1;
console.log(`${Object.keys(claims).length + 1 + (tools ? nTools : 0)} claims, ${nFailed} failed`);
if (!tools) console.log(`${nTools} claims about tools were left out: this build lacks libcurl`);
process.exit(nFailed ? 1 : 0);
