#!/usr/bin/env python3
"""Drives the program through the cases of a folder and compares what it says with what stands in each case.

    run.py PROGRAM FOLDER [NAME...] [--bless]

A case is one text file, NAME.case:

    # what it claims
    before: synth --preset tiny --type Q4_0 -o {tmp}/m.gguf --quiet      (any number; must exit 0)
    args: run --top-k abc hi                                             (split like a shell does)
    stdin: one line, with \\n for further ones                            (optional; stdin-file: PATH reads a file)
    to: full | closed                                                    (stdout is a full disk, or nobody reads it)
    exit: 2
    mcp: tool:get_weather                                                ({tmp}/mcp.json names a tool server, run with these words)
    file: {tmp}/out.f32 16384                                            (a file that is there afterwards; its size)
    --- stdout
    exact text
    --- stderr
    karat: --top-k wants *

Lines may hold * for any text within the line; a line ... stands for any number of lines. {tmp} is an empty folder that
lives as long as the case, {data} is tests/data. A device that is not there makes a gpu folder end with 77, which ctest
calls skipped.

--bless rewrites the expectation of every case that does not pass: the exit code, and each output whose present
expectation does not fit. Read the difference before you commit it.
"""
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
SERVER = pathlib.Path(__file__).resolve().parent / "servers" / "server.py"
TIMEOUT_S = 600


def read_case(path):
    case = {"comment": [], "before": [], "args": "", "stdin": None, "stdin-file": None, "to": None, "mcp": None, "exit": 0, "file": [],
            "stdout": "", "stderr": ""}
    section = None
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("--- "):
            section = line[4:].strip()
            assert section in ("stdout", "stderr"), f"{path}: no section is called {section}"
        elif section:
            case[section] += line + "\n"
        elif line.startswith("#"):
            case["comment"].append(line)
        elif line.strip():
            key, _, value = line.partition(":")
            assert key in case, f"{path}: no key is called {key}"
            value = value[1:] if value.startswith(" ") else value
            if isinstance(case[key], list):
                case[key].append(value)
            else:
                case[key] = int(value) if key == "exit" else value
    return case


def write_case(path, case):
    lines = case["comment"] + [f"before: {b}" for b in case["before"]] + [f"args: {case['args']}"]
    lines += [f"{key}: {case[key]}" for key in ("stdin", "stdin-file", "to", "mcp") if case[key] is not None]
    lines += [f"exit: {case['exit']}"] + [f"file: {f}" for f in case["file"]]
    text = "\n".join(lines) + "\n"
    for section in ("stdout", "stderr"):
        if case[section]:
            text += f"--- {section}\n{case[section]}"
    path.write_text(text, encoding="utf-8")


def fits(wanted, got):
    """Whether the output is the expected one, with * within a line and ... for lines."""
    pattern = ""
    for line in wanted.splitlines():
        if line == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(re.escape(part) for part in line.split("*")) + "\n"
    text = got if got.endswith("\n") or not got else got + "\n"
    return re.fullmatch(pattern, text) is not None


def run(program, words, stdin, to):
    environment = dict(os.environ, NO_COLOR="1", LC_ALL="C.UTF-8")
    stdout, other_end = subprocess.PIPE, None
    if to == "full":
        stdout = open("/dev/full", "wb")
    elif to == "closed":
        other_end, write_end = os.pipe()
        os.close(other_end)
        stdout = write_end
    process = subprocess.run([*program, *words], input=stdin, stdout=stdout, stderr=subprocess.PIPE, env=environment,
                             timeout=TIMEOUT_S)
    if to == "closed":
        os.close(write_end)
    elif to:
        stdout.close()
    decode = lambda output: (output or b"").decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    return process.returncode, decode(process.stdout), decode(process.stderr)


def words_of(text, tmp):
    return [w.replace("{tmp}", tmp).replace("{data}", str(DATA)) for w in shlex.split(text)]


def check(program, case):
    """Runs the case; returns what it said (with {tmp} and {data} put back) and a list of faults."""
    with tempfile.TemporaryDirectory() as tmp:
        for line in case["before"]:
            code, out, err = run(program, words_of(line, tmp), b"", None)
            if code != 0:
                return None, [f"before: {line} ends with {code}: {err.strip()}"]
        if case["mcp"] is not None:
            entry = {"command": sys.executable, "args": [str(SERVER), *shlex.split(case["mcp"])]}
            pathlib.Path(tmp, "mcp.json").write_text(json.dumps({"mcpServers": {"test": entry}}))
        stdin = (case["stdin"] or "").encode().decode("unicode_escape").encode("latin-1")
        if case["stdin-file"]:
            stdin = pathlib.Path(words_of(case["stdin-file"], tmp)[0]).read_bytes()
        code, out, err = run(program, words_of(case["args"], tmp), stdin, case["to"])
        anonymous = lambda text: text.replace(tmp, "{tmp}").replace(str(DATA), "{data}")
        got = {"exit": code, "stdout": anonymous(out), "stderr": anonymous(err)}
        faults = []
        if code != case["exit"]:
            faults.append(f"exit code {code}, expected {case['exit']}")
        for section in ("stdout", "stderr"):
            if not fits(case[section], got[section]):
                faults.append(f"{section} is\n{got[section]}expected\n{case[section]}".replace("\n", "\n    "))
        for line in case["file"]:
            name, size = words_of(line, tmp)
            there = os.path.getsize(name) if os.path.exists(name) else None
            if there != int(size):
                faults.append(f"{name} has {there} bytes, expected {size}")
        return got, faults


def bless(path, case, got):
    case["exit"] = got["exit"]
    for section in ("stdout", "stderr"):
        if not fits(case[section], got[section]):
            case[section] = got[section] if got[section].endswith("\n") or not got[section] else got[section] + "\n"
    write_case(path, case)


def has_device(program):
    code, out, _ = run(program, ["devices", "--json"], b"", None)
    return code == 0 and out.strip() not in ("", "[]")


def main():
    arguments = [a for a in sys.argv[1:] if a != "--bless"]
    blessing = "--bless" in sys.argv
    program, folder, names = shlex.split(arguments[0]), pathlib.Path(arguments[1]), arguments[2:]
    if folder.name == "gpu" and not has_device(program):
        print("skipped: karat devices finds no Vulkan device")
        return 77
    paths = [folder / f"{n}.case" for n in names] if names else sorted(folder.glob("*.case"))
    n_failed = 0
    for path in paths:
        case = read_case(path)
        if case["to"] and os.name == "nt":
            print(f"skip {path.stem}: no /dev/full and no such pipes here")
            continue
        if case["mcp"] is not None and len(program) > 1:
            print(f"SKIP {path.stem}: an emulated program has no Python for tool servers")
            continue
        got, faults = check(program, case)
        if faults and blessing and got:
            bless(path, case, got)
            print(f"blessed {path.stem}")
        elif faults:
            n_failed += 1
            print(f"FAIL {path.stem}: " + "\n  ".join(faults))
            print(f"  again: {sys.argv[0]} {arguments[0]} {folder} {path.stem}")
    print(f"{len(paths)} cases, {n_failed} failed")
    return 1 if n_failed or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
