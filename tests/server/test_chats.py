#!/usr/bin/env python3
"""test_chats.py PROGRAM : the requests of the web page, in an order that makes sense of them, and what is refused."""
import json
import os
import pathlib
import re
import sys
import tempfile
from unittest import mock

from served import Server, program_of

DONE = {}


def no(sentence):
    return {"error": sentence}


# Method, path, body, further headers, status, and what the reply holds.
STEPS = [
    ("GET", "/chats", None, {}, 200, []),
    ("POST", "/chats", {"title": "Rivers", "system": ""}, {}, 200, {"id": 1}),
    ("POST", "/chats", None, {}, 400, no("the request has no body, expected a JSON object")),
    ("GET", "/chats/1", None, {}, 200, {"title": "Rivers", "tip": None, "messages": []}),
    ("POST", "/chats/1/messages", {"parent": None, "content": "Hello!", "options": {"temperature": 0}}, {}, 200, {"question": 1, "answer": 2}),
    ("GET", "/chats/1/answers/2", None, {}, 200, "Hello! How can I help you?"),
    ("GET", "/chats/1/answers/2", None, {}, 200, "Hello! How can I help you?"),  # from the store
    ("POST", "/chats/1/answers/2/stop", {}, {}, 200, DONE),  # it has ended
    ("POST", "/chats/1/answers", {"parent": 1, "options": {"temperature": 0}}, {}, 200, {"question": 1, "answer": 3}),
    ("GET", "/chats/1/answers/3", None, {}, 200, "Hello! How can I help you?"),
    ("PATCH", "/chats/1", {"title": "Greetings", "tip": 2}, {}, 200, DONE),
    ("GET", "/chats/1", None, {}, 200, {"title": "Greetings", "tip": 2}),
    ("GET", "/chats?q=help%20you", None, {}, 200, [{"id": 1, "title": "Greetings"}]),
    ("GET", "/chats?q=river", None, {}, 200, []),
    ("GET", "/chats?q=%ff", None, {}, 200, [{"id": 1}]),
    # what is not there
    ("GET", "/chats/7", None, {}, 404, no("there is no chat 7")),
    ("GET", "/chats/x", None, {}, 404, no("there is no such chat")),
    ("GET", "/chats/1/answers/9", None, {}, 404, no("there is no message 9")),
    ("GET", "/chats/1/nothing", None, {}, 404, no("there is no such request for chats")),
    ("PATCH", "/chats/1", {"tip": 9}, {}, 404, no("there is no such chat or no message 9")),
    ("PATCH", "/chats/1", "{", {}, 400, None),
    ("DELETE", "/chats/7", None, {}, 404, no("there is no chat 7")),
    ("POST", "/chats/7/messages", {"content": "a"}, {}, 404, no("there is no chat 7")),
    ("POST", "/chats/1/messages", {"content": "a", "options": {"temperature": "hot"}}, {}, 400,
     no("temperature is a string, expected a number from 0 to 100")),
    ("POST", "/chats/1/answers", {"parent": 99}, {}, 404, no("there is no message 99")),
    # who may not ask
    ("GET", "/chats", None, {"Origin": "http://localhost:3000"}, 403, no("chats are for the server's own page only")),
    ("GET", "/chats/1", None, {"Sec-Fetch-Site": "cross-site"}, 403, no("chats are for the server's own page only")),
    ("DELETE", "/chats/1", None, {}, 200, DONE),
    ("GET", "/chats", None, {}, 200, []),
    # the page's files
    ("GET", "/", None, {}, 200, "<!doctype html>"),
    ("GET", "/page.js", None, {}, 200, ""),
    ("GET", "/page.css", None, {}, 200, ""),
    ("GET", "/licences.txt", None, {}, 200, "markdown-it"),
    ("GET", "/page.map", None, {}, 404, no("there is nothing at /page.map")),
]


def holds(found, wanted):
    """Whether the reply has what is wanted of it; a list has as many elements."""
    if isinstance(wanted, dict) and set(wanted) == {"error"}:
        return found["error"]["message"] == wanted["error"]
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and holds(found[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(holds, found, wanted))
    return wanted is None or found == wanted


def text_of(stream):
    """The answer that the events of a stream make, or the stream itself."""
    events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: ")]
    if not events:
        return stream
    assert events[-1]["kind"] == "end" and events[-1]["state"] == "done", events[-1]
    return "".join(event["text"] for event in events if event["kind"] == "answer")


def check_steps(server):
    for method, path, body, headers, status, wanted in STEPS:
        got, _, reply = server.ask(method, path, body, headers)
        fits = wanted in text_of(reply) if isinstance(wanted, str) else holds(reply, wanted)
        if got != status or not fits:
            yield f"{method} {path}: {got} {str(reply)[:300]}, expected {status} {wanted}"


def check_headers(server):
    _, headers, _ = server.ask("GET", "/")
    again = server.ask("GET", "/", None, {"If-None-Match": headers["ETag"]})
    if again[0] != 304 or again[2]:
        yield f"an unchanged page is sent again: {again}"
    if "default-src 'none'" not in headers["Content-Security-Policy"] or headers["X-Content-Type-Options"] != "nosniff":
        yield f"the page's headers are {headers}"


def check_folder(program):
    """Without a folder of the user's. Wine makes its own variables, which cannot be taken away from here."""
    if program[0].endswith("wine"):
        return
    with mock.patch.dict(os.environ, HOME="", XDG_DATA_HOME="here/and/there"), Server(program, "--chats", "") as server:
        status, _, reply = server.ask("GET", "/chats")
        wanted = "no chats are kept: there is no folder to keep chats in (HOME is not set); --chats FILE names a place"
        if status != 503 or reply["error"]["message"] != wanted:
            yield f"without a folder: {status} {reply}"


def check_store(program):
    with Server(program, "--chats", "/nowhere/chats.db") as server:
        status, _, reply = server.ask("GET", "/chats")
        wanted = "no chats are kept: the chats in /nowhere/chats.db cannot be read or written: unable to open database file"
        if status != 503 or reply["error"]["message"] != wanted:
            yield f"without a store: {status} {reply}"
        if server.ask("GET", "/health")[0] != 200:
            yield "a server without a store does not serve"


def check_backup(program):
    with tempfile.TemporaryDirectory() as folder:
        chats = pathlib.Path(folder, "Gespräche.db")
        copies = lambda: [p.name for p in pathlib.Path(folder).iterdir() if re.fullmatch(r"Gespräche\.db-\d{4}-\d\d-\d\d", p.name)]
        with Server(program, "--chats", str(chats)) as server:
            server.ask("POST", "/chats", {"title": "Rivers", "system": ""})
        if copies():
            yield f"a first start has something to copy: {copies()}"
        # The copy cannot be begun: a folder has its name. Then it can.
        unfinished = pathlib.Path(folder, "Gespräche.db-unfinished")
        unfinished.mkdir()
        with Server(program, "--chats", str(chats)) as server:
            said = f"karat: the chats in {chats} cannot be copied to {chats}-....-..-..: unable to open database file\r?\n"
            if not re.match(said, server.said()) or server.ask("GET", "/chats")[0] != 200:
                yield f"a copy that fails: {server.said()}"
        unfinished.rmdir()
        with Server(program, "--chats", str(chats)) as server:
            if "cannot" in server.said() or len(copies()) != 1:
                yield f"the copies are {copies()}: {server.said()}"


def main():
    program = program_of(sys.argv[1])
    with Server(program) as server:
        faults = [*check_steps(server), *check_headers(server)]
    faults += [*check_folder(program), *check_store(program), *check_backup(program)]
    print("\n".join(f"FAIL {fault}" for fault in faults))
    print(f"{len(STEPS) + 4} cases, {len(faults)} failed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
