// mcp_server.mjs -- a tool server on the SDK that most authors use, for the tests.
//
//   node mcp_server.mjs MODULES [http]   with "http" its address is the first line of its output, else it speaks on its
//                                        standard streams. DESCRIPTION in the environment replaces that of its tool.
//
// get_weather waits for a minute in Rome, unless it is cancelled.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { setTimeout as wait } from "node:timers/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, how] = process.argv.slice(2);
const require = createRequire(pathToFileURL(join(modules, "package.json")));
const { McpServer } = require("@modelcontextprotocol/sdk/server/mcp.js");
const { StdioServerTransport } = require("@modelcontextprotocol/sdk/server/stdio.js");
const { StreamableHTTPServerTransport } = require("@modelcontextprotocol/sdk/server/streamableHttp.js");
const { z } = require("zod");

function newServer() {
    const server = new McpServer({ name: "weather", version: "1.0.0" });
    const description = process.env.DESCRIPTION ?? "Get the weather in a city";
    server.registerTool("get_weather", { description, inputSchema: { city: z.string().describe("City name") } }, async ({ city }, { signal }) => {
        if (city === "Rome") await wait(60000, undefined, { signal });
        return { content: [{ type: "text", text: '{"condition": "sunny", "temperature": 21}' }] };
    });
    return server;
}

// One server per session, as the SDK wants it.
async function serveHttp() {
    const sessions = new Map();
    const listener = createServer(async (request, response) => {
        const known = sessions.get(request.headers["mcp-session-id"]);
        if (known) return known.handleRequest(request, response);
        if (request.headers["mcp-session-id"]) return response.writeHead(404).end();
        const transport = new StreamableHTTPServerTransport({
            sessionIdGenerator: randomUUID,
            onsessioninitialized: (id) => sessions.set(id, transport),
            onsessionclosed: (id) => sessions.delete(id),
        });
        await newServer().connect(transport);
        return transport.handleRequest(request, response);
    });
    await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
    console.log(`http://127.0.0.1:${listener.address().port}/mcp`);
}

process.stdin.resume().on("end", () => process.exit(0)); // whoever started it has enough
if (how === "http") await serveHttp();
else await newServer().connect(new StdioServerTransport());
