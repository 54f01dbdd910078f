#!/usr/bin/env python3
"""A tool server for the tests: server.py TOOL... offers these and answers each call with what it was asked.

Other words change how it behaves: weather, pages, chatty, error, silent, garbage, ends, refuses, endless.
"""
import json
import os
import sys

WORDS = sys.argv[1:]
TOOLS = [word.removeprefix("tool:") for word in WORDS if word.startswith("tool:")]


def say(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def declare(name):
    return {"name": name, "description": f"Does \"{name}\".",
            "inputSchema": {"type": "object", "properties": {"city": {"type": "string", "description": "City name"}},
                            "required": ["city"]}}


def list_tools(id, params):
    if "pages" not in WORDS:
        return say(id=id, result={"tools": [declare(name) for name in TOOLS]})
    page = int(params.get("cursor", "0"))
    more = {"nextCursor": str(page + 1)} if page + 1 < len(TOOLS) else {}
    say(id=id, result={"tools": [declare(TOOLS[page])], **more})


def call(id, params):
    if "error" in WORDS:
        return say(id=id, result={"isError": True, "content": [{"type": "text", "text": "no such \"city\""}]})
    if "weather" in WORDS:
        return say(id=id, result={"content": [{"type": "text", "text": '{"condition": "sunny", "temperature": 21}'}]})
    if "chatty" in WORDS:
        say(method="notifications/message", params={"data": "working"})
        say(id="theirs", method="ping")
        assert json.loads(sys.stdin.readline()) == {"jsonrpc": "2.0", "id": "theirs", "result": {}}
        say(id=7000, method="sampling/createMessage", params={})
        assert json.loads(sys.stdin.readline())["error"]["code"] == -32601
    say(id=id, result={"content": [
        {"type": "text", "text": json.dumps({"asked": params["name"], **params["arguments"]})},
        {"type": "image", "data": "", "mimeType": "image/png"},
        {"type": "resource", "resource": {"uri": "x:y", "text": os.environ.get("KARAT_SERVER_SAYS", "nothing")}},
    ]})


for line in sys.stdin:
    message = json.loads(line)
    id, method, params = message.get("id"), message["method"], message.get("params", {})
    if method == "initialize":
        if "silent" in WORDS:
            continue
        if "garbage" in WORDS:
            print("Hello, I am a server!", flush=True)
        if "ends" in WORDS:
            sys.exit("no licence\n")
        if "endless" in WORDS:
            while True:
                sys.stdout.write("x" * 65536)
        if "refuses" in WORDS:
            say(id=id, error={"code": -32602, "message": "a version of tomorrow is wanted"})
        say(id=id, result={"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                           "serverInfo": {"name": "test", "version": "1"}})
    elif method == "tools/list":
        list_tools(id, params)
    elif method == "tools/call":
        call(id, params)
