#!/usr/bin/env python3
"""test_page_sources.py PAGE MODULES : the tests of the page's sources, and that PAGE/built is what they make with MODULES."""
import pathlib
import shutil
import subprocess
import sys


def main():
    page, modules = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    if not shutil.which("node") or not (modules / "node_modules" / "esbuild").exists():
        print("skipped: no node, or no esbuild; third_party/setup.sh tests installs both")
        return 77
    tests = subprocess.run(["node", "--test", *map(str, sorted(page.glob("src/*.test.js")))])
    built = subprocess.run(["node", str(page / "build.js"), "--check", str(modules)])
    return tests.returncode or built.returncode


if __name__ == "__main__":
    sys.exit(main())
