#!/usr/bin/env python3
"""test_clients.py PROGRAM MODULES : starts karat serve and has clients.mjs talk to it with the npm packages in MODULES."""
import pathlib
import shutil
import subprocess
import sys

from served import Server, program_of

KEY = "the-key"


def main():
    program, modules = program_of(sys.argv[1]), pathlib.Path(sys.argv[2])
    if not shutil.which("node") or not (modules / "node_modules" / "openai").exists():
        print("skipped: no node, or no clients; third_party/setup.sh tests installs both")
        return 77
    script = pathlib.Path(__file__).with_name("clients.mjs")
    with Server(program, "--api-key", KEY, "--metrics") as server:
        return subprocess.run(["node", str(script), str(modules), server.url, KEY]).returncode


if __name__ == "__main__":
    sys.exit(main())
