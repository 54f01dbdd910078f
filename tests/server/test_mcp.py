#!/usr/bin/env python3
"""test_mcp.py PROGRAM MODULES : tools of MCP servers, made with the SDK in MODULES, in the program and in the page's requests."""
import json
import os
import pathlib
import re
import select
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

from served import TIMEOUT_S, Server, program_of

SCRIPT = str(pathlib.Path(__file__).with_name("mcp_server.mjs"))
QUESTION = "What is the weather in {}?"
ANSWER = "It is sunny in {}, 21 degrees."
RESULT = '{"condition": "sunny", "temperature": 21}'
DECLINED = '{"error": "the user did not allow this call"}'
NO_TOOL = '{"error": "there is no such tool"}'
STOPPED = '{"error": "the tool server weather was not waited for"}'
UNBEGUN = '{"error": "the call was stopped before it began"}'
CUT = '{"error": "the program ended while the tool ran"}'
OPTIONS = {"temperature": 0}


def stdio(modules, **env):
    return {"command": "node", "args": [SCRIPT, str(modules)], "env": env}


class Bed:
    """A folder with a configuration, and a server on its chats that may be killed and started again."""

    def __init__(self, program, modules, folder):
        self.program, self.modules, self.folder = program, modules, folder
        self.server = None

    def configure(self, entry):
        path = pathlib.Path(self.folder, "mcp.json")
        path.write_text(json.dumps({"mcpServers": {"weather": entry}}))
        return str(path)

    def start(self, *options, **env):
        path = self.configure(stdio(self.modules, **env))
        self.server = Server(self.program, "--chats", f"{self.folder}/chats.db", "--mcp", path, "--metrics", *options)
        self.server.__enter__()

    def kill(self):
        self.server.process.kill()
        self.server.process.wait()
        self.server.folder.cleanup()

    def stop(self):
        self.server.__exit__()

    def ask(self, method, path, body=None, headers=None):
        status, _, reply = self.server.ask(method, path, body, headers)
        return status, reply

    def new_chat(self):
        return self.ask("POST", "/chats", {"title": "Weather", "system": ""})[1]["id"]

    def declaration(self):
        return self.ask("GET", "/tools")[1][0]["declaration"]

    def say(self, chat, content, parent=None, **options):
        return self.ask("POST", f"/chats/{chat}/messages", {"parent": parent, "content": content, "options": {**OPTIONS, **options}})

    def decide(self, chat, after, verdict, declaration=None, headers=None, **options):
        options = {**OPTIONS, **options}
        body = {"after": after, "verdict": verdict, "declaration": declaration or self.declaration(), "options": options}
        return self.ask("POST", f"/chats/{chat}/calls", body, headers)

    def messages(self, chat):
        return self.ask("GET", f"/chats/{chat}")[1]["messages"]

    def settled(self, chat):
        """The messages once none of them grows."""
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end:
            messages = self.messages(chat)
            if all(m["state"] != "growing" for m in messages):
                return messages
            time.sleep(0.05)
        raise RuntimeError(f"chat {chat} does not come to rest: {messages}")

    def running(self, chat):
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end:
            last = self.messages(chat)[-1]
            if last["role"] == "tool" and last["state"] == "growing":
                return last
            time.sleep(0.05)
        raise RuntimeError(f"chat {chat} runs no tool: {last}")


def first_line(answer):
    """Of an answer after a call that goes back as it was sampled the demo model knows less well where to end."""
    return answer.partition("\n")[0]


def shape(messages):
    """Role, and what there is to say about it: a call's name, a result, a text's first line."""
    said = lambda m: m["tool_calls"][0]["function"]["name"] if m["tool_calls"] else first_line(m["content"])
    return [(m["role"], m["state"], said(m)) for m in messages]


def expect(what, found, wanted):
    if found != wanted:
        yield f"{what}: {found}, expected {wanted}"


def refused(what, reply, status, sentence):
    yield from expect(what, (reply[0], reply[1].get("error", {}).get("message")), (status, sentence))


def check_program(bed):
    words = [*bed.program, "run", "--temp", "0", "--quiet", "--allow", "get_weather", QUESTION.format("Oslo"), "--mcp"]
    done = subprocess.run([*words, bed.configure(stdio(bed.modules))], capture_output=True, text=True)
    yield from expect("a program's tool", (done.returncode, first_line(done.stdout)), (0, ANSWER.format("Oslo")))
    far = subprocess.Popen(["node", SCRIPT, str(bed.modules), "http"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    url = far.stdout.readline().strip()
    done = subprocess.run([*words, bed.configure({"url": url})], capture_output=True, text=True)
    far.stdin.close()
    far.wait(TIMEOUT_S)
    if "lacks libcurl" not in done.stderr:
        yield from expect(f"a tool at {url} ({done.stderr})", (done.returncode, first_line(done.stdout)), (0, ANSWER.format("Oslo")))


ASKED = [("user", "done", QUESTION.format("Oslo")), ("assistant", "done", "get_weather")]
ANSWERED = [("tool", "done", RESULT), ("assistant", "done", ANSWER.format("Oslo"))]


def check_permission(bed):
    status, tools = bed.ask("GET", "/tools")
    yield from expect("the tools", (status, [(t["name"], t["server"], json.loads(t["declaration"])["description"]) for t in tools]),
                      (200, [("get_weather", "weather", "Get the weather in a city")]))
    chat = bed.new_chat()
    call = bed.say(chat, QUESTION.format("Oslo"))[1]["answer"]
    yield from expect("a call waits", shape(bed.settled(chat)), ASKED)
    # what is refused
    elsewhere = {"Origin": "http://localhost:3000"}
    yield from refused("another page", bed.decide(chat, call, "once", headers=elsewhere), 403, "chats are for the server's own page only")
    yield from refused("another page's tools", bed.ask("GET", "/tools", None, elsewhere), 403, "chats are for the server's own page only")
    yield from refused("another declaration", bed.decide(chat, call, "once", "{}"), 400,
                       "the tool get_weather is not declared as it was shown; look at it again")
    yield from refused("another place", bed.decide(chat, call - 1, "once"), 404, "there is no call that waits there")
    yield from refused("another verdict", bed.decide(chat, call, "yes"), 400, 'verdict is none of "once", "always", "deny" and "again"')
    yield from refused("again before the first", bed.decide(chat, call, "again"), 404, "there is no call that waits there")
    yield from refused("an answer before the result", bed.ask("POST", f"/chats/{chat}/answers", {"parent": call}), 400,
                       "a call of a tool waits for the user's word there")
    yield from expect("nothing is called without permission", [m for m in bed.settled(chat) if m["role"] == "tool"], [])
    # what is allowed
    bed.decide(chat, call, "once")
    yield from expect("a call that is allowed", shape(bed.settled(chat)), ASKED + ANSWERED)
    yield from refused("a second page's word", bed.decide(chat, call, "once"), 404, "there is no call that waits there")
    # once is once; who writes on denies
    tip = bed.messages(chat)[-1]["id"]
    again = bed.say(chat, QUESTION.format("Oslo"), tip)[1]["answer"]
    yield from expect("the next call waits again", shape(bed.settled(chat))[-2:], ASKED)
    bed.say(chat, "Hello!", again)
    yield from expect("who writes on denies", shape(bed.settled(chat))[-3:-1], [("tool", "done", DECLINED), ("user", "done", "Hello!")])
    # denied
    other = bed.new_chat()
    call = bed.say(other, QUESTION.format("Oslo"))[1]["answer"]
    bed.settled(other)
    bed.decide(other, call, "deny")
    after = shape(bed.settled(other))[2:]
    yield from expect("a call that is denied", (after[0], after[1][0]), (("tool", "done", DECLINED), "assistant"))


def counts(bed):
    """Since the start: tokens of prompts that were known, those that were evaluated, and answers' that were."""
    text = bed.ask("GET", "/metrics")[1]
    value = lambda name: int(re.search(rf"^llamacpp:{name} (\d+)$", text, re.M)[1])
    return [value("prompt_tokens_cached_total"), value("prompt_tokens_total"), value("tokens_predicted_total")]


def check_replay(bed):
    """The answer after a call goes on from the tokens of the call, thought and all; none is read a second time."""
    for thinking in (False, True):
        chat = bed.new_chat()
        before = counts(bed)
        call = bed.say(chat, QUESTION.format("Bonn"), thinking=thinking)[1]["answer"]
        asked = shape(bed.settled(chat))
        first = [now - then for now, then in zip(counts(bed), before)]
        bed.decide(chat, call, "once", thinking=thinking)
        yield from expect("a call and its answer", (asked[1][2], shape(bed.settled(chat))[2]), ("get_weather", ("tool", "done", RESULT)))
        yield from expect(f"known after a call, thinking {thinking}", counts(bed)[0] - before[0] - first[0], sum(first))


class Watcher:
    """Waits for what follows a message."""

    def __init__(self, bed, chat, message):
        self.connection = bed.server.connect()
        self.connection.request("GET", f"/chats/{chat}/messages/{message}/next")
        self.reply = self.connection.getresponse()
        self.first = self.reply.readline(), self.reply.readline()

    def waits(self):
        return not select.select([self.connection.sock], [], [], 0.3)[0]

    def rest(self):
        text = self.reply.read().decode()
        self.connection.close()
        return text


def check_next(bed):
    """Every page that shows a call learns of the decision, whoever made it."""
    waiting, followed = 'data: {"kind":"waiting"}\n\n', 'data: {"kind":"followed"}\n\n'
    chat = bed.new_chat()
    call = bed.say(chat, QUESTION.format("Oslo"))[1]["answer"]
    question = bed.settled(chat)[0]["id"]
    path = f"/chats/{chat}/messages"
    yield from refused("another page", bed.ask("GET", f"{path}/{call}/next", None, {"Origin": "http://localhost:3000"}), 403,
                       "chats are for the server's own page only")
    yield from refused("what is not there", bed.ask("GET", f"{path}/9999/next"), 404, "there is no message 9999")
    yield from refused("another part", bed.ask("GET", f"{path}/{call}"), 404, "there is no such request for chats")
    yield from expect("what is followed already", bed.ask("GET", f"{path}/{question}/next")[1], waiting + followed)
    elsewhere = bed.new_chat()
    other = bed.say(elsewhere, QUESTION.format("Oslo"))[1]["answer"]
    bed.settled(elsewhere)
    watchers = [Watcher(bed, chat, call), Watcher(bed, chat, call), Watcher(bed, elsewhere, other)]
    watchers[1].connection.close()  # who left is not told
    yield from expect("nothing follows yet", [w.waits() for w in watchers[::2]], [True, True])
    bed.decide(chat, call, "deny")
    yield from expect("a call that was denied", watchers[0].rest(), followed)
    yield from expect("another chat's call waits on", watchers[2].waits(), True)
    bed.ask("DELETE", f"/chats/{elsewhere}")
    yield from expect("a chat that was removed", watchers[2].rest(), followed)
    call = bed.say(chat, QUESTION.format("Oslo"), bed.settled(chat)[-1]["id"])[1]["answer"]
    bed.settled(chat)
    last = Watcher(bed, chat, call)
    bed.stop()  # whoever waits
    last.connection.close()
    bed.start()


def check_api(bed):
    body = {"messages": [{"role": "user", "content": QUESTION.format("Oslo")}], "temperature": 0}
    _, reply = bed.ask("POST", "/v1/chat/completions", body)
    n_prompt = bed.ask("POST", "/tokenize", {"content": bed.ask("POST", "/apply-template", body)[1]["prompt"]})
    n_prompt = len(n_prompt[1]["tokens"])
    yield from expect("a client's request has its own tools only", reply["usage"]["prompt_tokens"], n_prompt)
    _, reply = bed.ask("POST", "/v1/chat/completions", {**body, "tools": [{"type": "function", "function": {"name": "f"}}]})
    yield from expect("more tools are more tokens", reply["usage"]["prompt_tokens"] > n_prompt, True)
    chat = bed.new_chat()
    bed.say(chat, QUESTION.format("Oslo"), tools=False)
    # The demo model calls them all the same.
    yield from expect("tools that are switched off", shape(bed.settled(chat))[:3], [*ASKED, ("tool", "done", NO_TOOL)])


def check_stop(bed):
    chat = bed.new_chat()
    call = bed.say(chat, QUESTION.format("Rome"))[1]["answer"]
    bed.settled(chat)
    bed.decide(chat, call, "once")
    tool = bed.running(chat)
    yield from refused("one thing at a time", bed.say(chat, "Hello!", tool["id"]), 400, "an answer is being given in this chat already")
    bed.ask("POST", f"/chats/{chat}/answers/{tool['id']}/stop", {})
    [stopped] = shape(bed.settled(chat))[2:]
    wanted = [("tool", "stopped", STOPPED), ("tool", "stopped", UNBEGUN)]  # a busy machine may not have begun it
    yield from expect("a tool that is stopped", stopped, wanted[stopped[2] == UNBEGUN])
    bed.decide(chat, call, "again")
    tool = bed.running(chat)
    # A second call of the same server waits for its turn, but not to be stopped.
    other = bed.new_chat()
    second = bed.say(other, QUESTION.format("Oslo"))[1]["answer"]
    bed.settled(other)
    bed.decide(other, second, "once")
    bed.ask("POST", f"/chats/{other}/answers/{bed.running(other)['id']}/stop", {})
    yield from expect("a call that waits for its turn", shape(bed.settled(other))[2:], [("tool", "stopped", UNBEGUN)])
    bed.ask("POST", f"/chats/{chat}/answers/{tool['id']}/stop", {})
    yield from expect("and called again", [(m["parent"], m["state"]) for m in bed.settled(chat)[2:]], [(call, "stopped")] * 2)
    bed.ask("POST", f"/chats/{chat}/answers", {"parent": tool["id"], "options": OPTIONS})
    yield from expect("the model goes on without it", bed.settled(chat)[-1]["role"], "assistant")


def check_always(bed):
    """Always lasts through a crash, in its chat, for the tool as it was declared."""
    chat = bed.new_chat()
    call = bed.say(chat, QUESTION.format("Oslo"))[1]["answer"]
    bed.settled(chat)
    bed.decide(chat, call, "always")
    tip = bed.settled(chat)[-1]["id"]
    bed.say(chat, QUESTION.format("Rome"), tip)
    tool = bed.running(chat)
    bed.kill()
    bed.start()
    messages = bed.messages(chat)
    yield from expect("a tool whose server was killed", shape(messages)[-1:], [("tool", "cut", CUT)])
    bed.say(chat, QUESTION.format("Oslo"), tool["id"])
    yield from expect("no asking after always", shape(bed.settled(chat))[-4:], ASKED + ANSWERED)
    elsewhere = bed.new_chat()
    bed.say(elsewhere, QUESTION.format("Oslo"))
    yield from expect("but in another chat", shape(bed.settled(elsewhere)), ASKED)
    bed.kill()
    bed.start(DESCRIPTION="Get the weather in a city, and more")
    yield from expect("a call waits through a crash", shape(bed.messages(elsewhere)), ASKED)
    tip = bed.messages(chat)[-1]["id"]
    bed.say(chat, QUESTION.format("Oslo"), tip)
    yield from expect("asking again after a new declaration", shape(bed.settled(chat))[-2:], ASKED)
    bed.stop()
    bed.start("--allow", "get_weather")
    chat = bed.new_chat()
    bed.say(chat, QUESTION.format("Oslo"))
    yield from expect("--allow", shape(bed.settled(chat)), ASKED + ANSWERED)
    # A server that is told to end does not wait for its tools.
    bed.say(chat, QUESTION.format("Rome"), bed.messages(chat)[-1]["id"])
    bed.running(chat)
    began = time.monotonic()
    bed.stop()
    yield from expect("the end is soon", time.monotonic() - began < 30, True)
    bed.start()
    yield from expect("a tool whose server ended", [(m["role"], m["state"]) for m in bed.messages(chat)[-1:]], [("tool", "cut")])


def check_unasked(bed):
    """However much is allowed, the user is asked after 25 calls. So many are written into the file."""
    calls = [{"id": f"call_{i}", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Oslo"}}} for i in range(26)]
    bed.stop()
    with sqlite3.connect(f"{bed.folder}/chats.db") as db:
        add = lambda parent, role, content, made="", name="", id="": db.execute(
            "INSERT INTO message (chat, parent, role, content, thinking, tool_calls, name, state, created, call_id)"
            " VALUES (?, ?, ?, ?, '', ?, ?, 'done', 1, ?)", (chat, parent, role, content, made, name, id)).lastrowid
        chat = db.execute("INSERT INTO chat (title, system, created, changed) VALUES ('Long', '', 1, 1)").lastrowid
        last = add(None, "user", QUESTION.format("Oslo"))
        for call in calls[:24]:
            last = add(last, "assistant", "", json.dumps([call]))
            last = add(last, "tool", RESULT, name="get_weather", id=call["id"])
        last = add(last, "assistant", "", json.dumps(calls[24:]))
    db.close()
    bed.start("--allow", "all")
    bed.decide(chat, last, "once")
    yield from expect("the 26th call waits", [(m["role"], m["tool_call_id"]) for m in bed.settled(chat)][-2:], [("assistant", ""), ("tool", "call_24")])
    again = bed.messages(chat)[-1]["id"]
    yield from refused("no answer before it", bed.ask("POST", f"/chats/{chat}/answers", {"parent": again}), 400,
                       "a call of a tool waits for the user's word there")


def main():
    program, modules = program_of(sys.argv[1]), pathlib.Path(sys.argv[2])
    if not shutil.which("node") or not (modules / "node_modules" / "@modelcontextprotocol").exists():
        print("skipped: no node, or no SDK; third_party/setup.sh tests installs both")
        return 77
    faults = []
    checks = [check_permission, check_replay, check_next, check_api, check_stop, check_always, check_unasked]
    with tempfile.TemporaryDirectory() as folder:
        bed = Bed(program, modules.resolve(), folder)
        faults += check_program(bed)
        bed.start()
        for check in checks:
            faults += check(bed)
        bed.stop()
    print("\n".join(f"FAIL {fault}" for fault in faults))
    print(f"{len(checks) + 1} checks, {len(faults)} failed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
