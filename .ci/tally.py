#!/usr/bin/env python3
"""Counts what a stage's log says about tests.

tally.py LOG STATUS          prints "passed failed skipped"
tally.py --failures LOG      prints the part of the log that matters after a failure
tally.py --again DIR NAME... prints the tests that passed at their second try only, and what the first one said
tally.py --skips DIR NAME... prints the reasons of all skipped tests, each once, with the stages that gave it
tally.py --slowest DIR NAME... prints the tests that took longest, and in which stages

A ctest entry whose program counts its own claims ("3 passed, 0 failed, 1 skipped") counts as those; any other entry
counts as one. Of several tries the last one counts. A stage without ctest entries is one test, unless it counts its own.
"""
import pathlib
import re
import sys

RESULT = re.compile(r"^ *(?:\d+/\d+ )?Test +#(\d+): (\S+) [ .]*(\*{3}[A-Za-z ]+?|Passed)\b")
CLAIMS = re.compile(r"^(?:(\d+): )?(\d+) passed, (\d+) failed, (\d+) skipped$")
SKIP = re.compile(r"^(?:\d+: )?SKIP:? ?(.*)$")


def read(log):
    return pathlib.Path(log).read_text(errors="replace").splitlines()


def entries(lines):
    """(number, name, passed, failed, skipped) of each ctest entry."""
    claims, found_entries = {}, {}
    for line in lines:
        if found := CLAIMS.match(line):
            claims[found[1]] = [int(found[i]) for i in (2, 3, 4)]
        elif found := RESULT.match(line):
            passed, failed, skipped = claims.pop(found[1], (0, 0, 0))
            if found[3] == "***Skipped":
                skipped = max(skipped, 1)
            elif found[3] != "Passed":
                failed = max(failed, 1)
            elif passed + skipped == 0:
                passed = 1
            found_entries[found[1]] = found[1], found[2], passed, failed, skipped
    return found_entries.values()


def said(lines, number):
    """What a test printed, and ctest's verdicts on it, without the claims that hold."""
    def is_of_it(line):
        verdict = RESULT.match(line)
        return verdict[1] == number if verdict else re.match(number + r": (?!ok )", line)

    return [line for line in lines if is_of_it(line)]


def count(log, status):
    sums = [0, 0, 0]
    lines = read(log)
    for entry in entries(lines):
        sums = [a + b for a, b in zip(sums, entry[2:])]
    if sums == [0, 0, 0] and lines and (own := CLAIMS.match(lines[-1])):
        sums = [int(own[i]) for i in (2, 3, 4)]
    if status == 77:
        sums[2] = max(sums[2], 1)
    elif status != 0:
        sums[1] = max(sums[1], 1)
    elif sum(sums) == 0:
        sums[0] = 1
    print(*sums)


def failures(log):
    lines = read(log)
    failed = [(number, name) for number, name, _, n_failed, _ in entries(lines) if n_failed]
    if not failed:
        # A compiler's complaint stands somewhere in the middle, everything else at the end.
        told = [line for line in lines if re.search(r"(error|warning)\b.*:|^FAILED", line, re.I)]
        print("\n".join("    " + line for line in (told[:15] or lines[-30:])))
        return
    for number, name in failed[:10]:
        print(f"  {name}")
        print("\n".join("    " + line for line in said(lines, number)[-25:]))
    if len(failed) > 10:
        print(f"  and {len(failed) - 10} more")


def again(folder, names):
    for name in names:
        log = pathlib.Path(folder) / f"{name}.log"
        lines = read(log) if log.exists() else []
        tries = [found for line in lines if (found := RESULT.match(line))]
        last = {found[1]: found[3] for found in tries}
        for number, test in {found[1]: found[2] for found in tries if found[3] not in ("Passed", "***Skipped")}.items():
            if last[number] == "Passed":
                print(f"passed at the second try: {test} ({name}); both said:")
                print("\n".join("    " + line for line in said(lines, number)[-40:]))


def skips(folder, names):
    stages_of = {}
    for name in names:
        log = pathlib.Path(folder) / f"{name}.log"
        for line in read(log) if log.exists() else []:
            if found := SKIP.match(line):
                stages_of.setdefault(found[1], []).append(name)
    for reason, stages in stages_of.items():
        print(f"skipped: {reason} ({', '.join(dict.fromkeys(stages))})")


def slowest(folder, names):
    times = []
    for name in names:
        log = pathlib.Path(folder) / f"{name}.log"
        for line in read(log) if log.exists() else []:
            if RESULT.match(line) and (took := re.search(r"([\d.]+) sec\b", line)):
                times.append((float(took[1]), RESULT.match(line)[2], name))
    times.sort(reverse=True)
    if times:
        print("slowest:", ", ".join(f"{test} {seconds:.0f} s ({stage})" for seconds, test, stage in times[:12]))


if sys.argv[1] == "--failures":
    failures(sys.argv[2])
elif sys.argv[1] == "--again":
    again(sys.argv[2], sys.argv[3:])
elif sys.argv[1] == "--skips":
    skips(sys.argv[2], sys.argv[3:])
elif sys.argv[1] == "--slowest":
    slowest(sys.argv[2], sys.argv[3:])
else:
    count(sys.argv[1], int(sys.argv[2]))
