#!/usr/bin/env python3
"""test_page.py PROGRAM MODULES : has page.mjs use the web page in Chromium, with the playwright-core in MODULES."""
import os
import pathlib
import shutil
import subprocess
import sys

from served import program_of


def main():
    program, modules = program_of(sys.argv[1]), pathlib.Path(sys.argv[2])
    browser = os.environ.get("KARAT_TEST_CHROMIUM") or shutil.which("chromium")
    if not shutil.which("node") or not browser or not (modules / "node_modules" / "playwright-core").exists():
        print("skipped: no node, no chromium or no playwright-core; third_party/setup.sh tests installs them")
        return 77
    script = pathlib.Path(__file__).with_name("page.mjs")
    return subprocess.run(["node", str(script), str(modules), *program], env=dict(os.environ, KARAT_TEST_CHROMIUM=browser)).returncode


if __name__ == "__main__":
    sys.exit(main())
