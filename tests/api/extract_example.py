#!/usr/bin/env python3
"""extract_example.py karat.h OUT.c: writes the program that stands in the header's first comment."""
import sys

lines = open(sys.argv[1], encoding="utf-8").read().split("\n")
first = next(i for i, line in enumerate(lines) if line.startswith("//     #include"))
program = []
for line in lines[first:]:
    if not line.startswith("//     ") and line != "//":
        break
    program.append(line[7:])
with open(sys.argv[2], "w", encoding="utf-8") as out:
    out.write("\n".join(program) + "\n")
