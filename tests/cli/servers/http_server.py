#!/usr/bin/env python3
"""A tool server at an address, for the tests: http_server.py WORD... prints its url, then a line for what it was asked.

Words change how it behaves: json (else it answers with events), chatty, session, forgets, moved, elsewhere, circle, html,
status:N, garbage, endless, endless-events, cut, empty, silent (to calls), header:VALUE (must be sent as X-Test), tls (with
a certificate that nobody signed).
"""
import http.server
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading

WORDS = sys.argv[1:]
STATUS = [int(word.removeprefix("status:")) for word in WORDS if word.startswith("status:")]
WANTED = [word.removeprefix("header:") for word in WORDS if word.startswith("header:")]
VERSION = "2025-06-18"
answered = threading.Event()  # our own request
sessions = []


def say(line):
    print(line, flush=True)


def answer_to(message):
    method, params = message["method"], message.get("params", {})
    if method == "initialize":
        return {"protocolVersion": VERSION, "capabilities": {"tools": {}}, "serverInfo": {"name": "test", "version": "1"}}
    if method == "tools/list":
        return {"tools": [{"name": "get_weather", "description": "Get the weather in a city",
                           "inputSchema": {"type": "object", "properties": {"city": {"type": "string"}}}}]}
    return {"content": [{"type": "text", "text": json.dumps({"asked": params["name"], **params["arguments"]})}]}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def begin(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def whole(self, status, kind, body, **headers):
        self.begin(status, Content_Type=kind, Content_Length=str(len(body)), **headers)
        self.wfile.write(body)

    def events(self, messages):
        """One chunk per event; the connection ends with the last."""
        self.begin(200, Content_Type="text/event-stream", Connection="close")
        self.close_connection = True
        for message in messages:
            self.wfile.write(f"event: message\r\ndata: {json.dumps(message)}\r\n\r\n".encode())
            self.wfile.flush()

    def chat_before(self, answer):
        yield {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "working"}}
        yield {"jsonrpc": "2.0", "id": "theirs", "method": "ping"}
        if answered.wait(20):
            yield answer

    def misbehave(self, message):
        """True if that was all."""
        calls = message["method"] == "tools/call"
        if STATUS:
            self.whole(STATUS[0], "text/plain", b"no licence\nand more")
        elif "html" in WORDS:
            self.whole(200, "text/html", b"<p>Hello</p>")
        elif "garbage" in WORDS:
            self.whole(200, "application/json", b"{hello}")
        elif "endless" in WORDS or "endless-events" in WORDS:
            self.begin(200, Content_Type="application/json" if "endless" in WORDS else "text/event-stream")
            while True:
                self.wfile.write(b"data: x" * 10000)
        elif "cut" in WORDS and calls:
            self.events([])
        elif "empty" in WORDS:
            self.begin(202, Content_Length="0")
        elif "silent" in WORDS and calls:
            threading.Event().wait(30)
        else:
            return False
        return True

    def redirect(self):
        """True if the message is wanted somewhere else."""
        if "circle" in WORDS:
            self.begin(307, Location=self.path + "x", Content_Length="0")
        elif "elsewhere" in WORDS:
            self.begin(307, Location="http://localhost:9/mcp", Content_Length="0")
        elif "moved" in WORDS and self.path == "/mcp":
            self.begin(308, Location="/new", Content_Length="0")
        else:
            return False
        return True

    def is_known(self, message):
        """Whether the session and the version are those of the greeting; says so where they are not."""
        if "session" not in WORDS or message.get("method") == "initialize":
            return True
        if self.headers["Mcp-Session-Id"] not in sessions:
            self.whole(404, "application/json", b"{}")
            return False
        if self.headers["MCP-Protocol-Version"] != VERSION:
            self.whole(400, "text/plain", b"no version")
            return False
        return True

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method = message.get("method")
        say(method or f"answer {message['id']} {json.dumps(message.get('result', message.get('error')))}")
        if self.headers["Accept"] != "application/json, text/event-stream" or (WANTED and self.headers["X-Test"] != WANTED[0]):
            self.whole(400, "text/plain", b"other headers are wanted")
        elif self.redirect() or not self.is_known(message):
            pass
        elif "id" not in message or method is None:
            if method is None:
                answered.set()
            self.begin(202, Content_Length="0")
        elif not self.misbehave(message):
            if method == "tools/call" and "forgets" in WORDS:
                WORDS.remove("forgets")
                sessions.clear()
                self.whole(404, "application/json", b"{}")
                return
            self.answer(message)

    def answer(self, message):
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": answer_to(message)}
        headers = {}
        if "session" in WORDS and message["method"] == "initialize":
            sessions.append(f"session-{len(sessions)}")
            headers["Mcp_Session_Id"] = sessions[-1]
        if "json" in WORDS or headers:
            self.whole(200, "application/json; charset=utf-8", json.dumps(answer).encode(), **headers)
        else:
            self.events(self.chat_before(answer) if "chatty" in WORDS else [answer])

    def do_DELETE(self):
        say(f"DELETE {self.headers['Mcp-Session-Id']}")
        self.begin(405, Content_Length="0")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # clients that have heard enough


def wrap(server):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-addext",
                        "subjectAltName=IP:127.0.0.1", "-keyout", file.name, "-out", file.name + ".pem"], check=True, stderr=subprocess.DEVNULL)
        context.load_cert_chain(file.name + ".pem", file.name)
        os.unlink(file.name + ".pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)


with Server(("127.0.0.1", 0), Handler) as server:
    if "tls" in WORDS:
        wrap(server)
    say(f"{'https' if 'tls' in WORDS else 'http'}://127.0.0.1:{server.server_port}/mcp")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until whoever started it has enough
