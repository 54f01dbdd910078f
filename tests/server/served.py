"""karat serve as a process, for the tests in this folder."""
import ctypes
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE = float(os.environ.get("KARAT_TEST_PATIENCE", "1"))
TIMEOUT_S = 60 * PATIENCE


class Server:
    """with Server(program, "--alias", "demo") as server: server.ask("GET", "/health")"""

    def __init__(self, program, *options):
        self.program = program
        self.folder = tempfile.TemporaryDirectory()
        self.words = [*program, "serve", "--port", "0", "--chats", f"{self.folder.name}/chats.db", *options]

    def __enter__(self):
        self.errors = tempfile.TemporaryFile()  # a pipe that nobody reads would stop a server that says much
        environment = dict(os.environ, LC_ALL="C.UTF-8")  # by which Wine reads the words
        self.process = subprocess.Popen(self.words, stdout=self.errors, stderr=self.errors, env=environment)
        end = time.monotonic() + TIMEOUT_S
        while not (found := re.search(r"serving at (http://([^/\s]+)).*Ctrl-C.*\n", self.said())):
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise RuntimeError(f"{' '.join(self.words)} did not come up: {self.said()}")
            time.sleep(0.05)
        self.n_said = found.end()
        self.url, self.address = found.group(1), found.group(2)
        return self

    def said(self):
        return os.pread(self.errors.fileno(), 1 << 20, 0).decode("utf-8", "replace")  # the offset is the server's, too

    def __exit__(self, *_):
        """The server ends when it is told to, cleanly, whatever its clients were doing, and has nothing more to say."""
        self.tell_to_end()
        code = self.process.wait(TIMEOUT_S)
        rest = self.said()[self.n_said:]
        self.folder.cleanup()
        if code != 0 or rest:
            raise RuntimeError(f"the server ended with {code} and said: {rest}")

    def tell_to_end(self):
        if not self.words[0].endswith("wine"):
            self.process.send_signal(signal.SIGTERM)
        else:
            # Wine hands SIGINT on as Ctrl-C, if one of its own threads gets it: the first one is.
            ctypes.CDLL(None).tgkill(self.process.pid, self.process.pid, signal.SIGINT)

    def connect(self):
        return http.client.HTTPConnection(self.address, timeout=TIMEOUT_S)

    def ask(self, method, path, body=None, headers=None):
        """Status, headers, and the body: as JSON where it says it is, else as text."""
        connection = self.connect()
        data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        connection.request(method, path, data, headers or {})
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        is_json = (reply.getheader("Content-Type") or "").startswith("application/json")
        return reply.status, reply.headers, json.loads(text) if is_json and text else text

    def events(self, path, body):
        """The events of a stream, as (name or None, data or the text of it)."""
        status, headers, text = self.ask("POST", path, body)
        assert status == 200 and headers["Content-Type"].startswith("text/event-stream"), (status, text)
        events = []
        for block in text.split("\n\n"):
            name = data = None
            for line in block.split("\n"):
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    data = line[6:]
            if data is not None:
                events.append((name, data if data == "[DONE]" else json.loads(data)))
        return events


def program_of(word):
    """The program's words; ends the test where there is nothing to test, and says which."""
    program = word.split()
    probe = subprocess.run([*program, "serve", "--host", "0.0.0.0"], capture_output=True, text=True)
    if "this build has no server" in probe.stderr:
        assert probe.returncode == 1 and probe.stderr.replace("\r", "") == "karat: this build has no server\n", probe
        print("skipped: this build has no server, which it says in one sentence")
        sys.exit(77)
    wanted = ("karat: 0.0.0.0 can be reached from other machines, so the server wants a key: add --api-key KEY, or listen on "
              "127.0.0.1\n")
    assert probe.returncode == 1 and probe.stderr == wanted, probe
    devices = subprocess.run([*program, "devices", "--json"], capture_output=True, text=True)
    if devices.returncode != 0 or devices.stdout.strip() in ("", "[]"):
        print("skipped: karat devices finds no Vulkan device")
        sys.exit(77)
    return program
