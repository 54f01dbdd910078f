// page_tools.mjs -- tools of an MCP server in the page: permission, denial, reloads, stopping.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { answers, composer, finished, folder, modules, open, picture, say, serve, setTemperature } from "./page_bed.mjs";

const QUESTION = "What is the weather in Oslo?";
const ANSWER = "It is sunny in Oslo, 21 degrees.";

// The tools of mcp_server.mjs, at an address. They end with us.
const weather = spawn("node", [join(import.meta.dirname, "mcp_server.mjs"), modules, "http"], { stdio: ["pipe", "pipe", "inherit"] });
const [url] = await once(createInterface(weather.stdout), "line");
const path = join(folder, "mcp.json");
writeFileSync(path, JSON.stringify({ mcpServers: { weather: { url } } }));
export const endTools = () => weather.stdin.end();

// karat with these tools, its chats in this file of the folder.
export const toolServer = (chats) => serve("--chats", join(folder, chats), "--mcp", path);

const question = (page) => page.getByRole("region", { name: "May get_weather be called?" });
const button = (page, name) => page.getByRole("button", { name, exact: true });
const results = (page) => page.locator("details", { hasText: "Called get_weather" });

async function ask(url, options) {
    const page = await open(url, options);
    await setTemperature(page, "0");
    await say(page, QUESTION);
    await question(page).waitFor();
    return page;
}

async function done(page) {
    assert.deepEqual(page.faults, []);
    await page.context().close();
}

export const toolClaims = {
    async "a call is shown, waits through a reload, and runs once it is allowed"(tools) {
        const page = await ask(tools.url);
        for (const text of ["of weather be called?", "Get the weather in a city", '"city": "Oslo"'])
            await question(page).getByText(text).waitFor();
        await picture(page, "call");
        await page.reload();
        await question(page).waitFor();
        // By keyboard alone: the buttons come before the message box.
        await composer(page).focus();
        for (let i = 0; i < 20 && !(await button(page, "Allow once").evaluate((b) => b === document.activeElement)); ++i)
            await page.keyboard.press("Shift+Tab");
        await page.keyboard.press("Enter");
        await page.getByText(ANSWER).waitFor();
        assert.equal(await question(page).count(), 0);
        assert.equal(await page.getByText('"temperature": 21').isVisible(), false);
        await results(page).locator("summary").click();
        await page.getByText('"temperature": 21').waitFor();
        await picture(page, "called");
        await page.reload();
        await page.getByText(ANSWER).waitFor();
        // Once was once.
        await say(page, QUESTION);
        await question(page).waitFor();
        await done(page);
    },

    async "a call that is denied does not run"(tools) {
        const page = await ask(tools.url);
        await button(page, "Deny").click();
        await finished(page);
        await results(page).locator("summary").click();
        await page.getByText("the user did not allow this call").waitFor();
        assert.equal(await page.getByText(ANSWER).count(), 0);
        await done(page);
    },

    async "always in this chat is in this chat"(tools) {
        const page = await ask(tools.url);
        await button(page, "Always in this chat").click();
        await page.getByText(ANSWER).waitFor();
        await finished(page); // only then another question is taken
        await say(page, QUESTION);
        await results(page).nth(1).waitFor();
        await finished(page);
        assert.equal(await question(page).count(), 0);
        const other = await ask(tools.url);
        await done(other);
        // Until it is taken back.
        await page.getByLabel("Settings").click();
        await page.getByText("Always allowed in this chat: get_weather").waitFor();
        await picture(page, "always");
        await button(page, "Ask again").click();
        await page.getByText("Always allowed in this chat").waitFor({ state: "detached" });
        await button(page, "Cancel").click();
        await say(page, QUESTION);
        await question(page).waitFor();
        await done(page);
    },

    async "a tool that runs is stopped, and called again or passed over"(tools) {
        const page = await open(tools.url);
        await setTemperature(page, "0");
        await say(page, "What is the weather in Rome?"); // it takes a minute there
        await button(page, "Allow once").click();
        await page.getByText("Running get_weather").waitFor();
        await page.reload();
        await page.getByText("Running get_weather").waitFor();
        await picture(page, "running");
        await button(page, "Stop").click();
        await page.getByText("Stopped.").waitFor();
        await picture(page, "tool-stopped");
        await button(page, "Call it again").click();
        await page.getByText("Running get_weather").waitFor();
        await page.keyboard.press("Escape");
        await page.getByText("2/2").waitFor();
        await button(page, "Go on without it").click();
        await page.locator("article.assistant").nth(1).waitFor();
        await finished(page);
        await done(page);
    },

    async "tools are listed and switched off"(tools) {
        const page = await open(tools.url);
        await page.getByLabel("Settings").click();
        await page.getByText("1 tool").click();
        await page.getByRole("dialog").getByText("Get the weather in a city").waitFor();
        await picture(page, "tools");
        await button(page, "Cancel").click();
        await setTemperature(page, "0");
        await page.getByLabel("Tools", { exact: true }).uncheck();
        await say(page, QUESTION); // the demo model calls all the same
        await finished(page);
        assert.equal(await question(page).count(), 0);
        await done(page);
    },

    async "a call that is decided in one tab goes on in the other"(tools) {
        const page = await ask(tools.url);
        const other = await page.context().newPage();
        await other.goto(page.url());
        await question(other).waitFor();
        await button(page, "Allow once").click();
        await other.getByText(ANSWER).waitFor();
        await finished(other);
        assert.equal(await question(other).count(), 0);
        // And the other way round, denied.
        await say(other, QUESTION);
        await page.getByText(ANSWER).waitFor();
        await page.reload();
        await question(page).waitFor();
        await button(other, "Deny").click();
        await question(page).waitFor({ state: "detached" });
        await answers(page).nth(3).waitFor();
        await done(page);
    },

    async "a call in the dark, at a phone's width"(tools) {
        const page = await ask(tools.url, { colorScheme: "dark", viewport: { width: 390, height: 780 } });
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0);
        await picture(page, "phone-call");
        await done(page);
    },
};

export async function toolKilled() {
    const first = await toolServer("crash.db");
    const page = await ask(first.url);
    await page.context().close();
    await first.end("SIGKILL");
    const second = await toolServer("crash.db");
    const after = await open(second.url);
    await after.getByRole("link", { name: QUESTION }).click();
    await button(after, "Allow once").click();
    await after.getByText(ANSWER).waitFor();
    await done(after);
    await second.end("SIGTERM");
}
