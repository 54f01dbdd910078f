#!/usr/bin/env python3
"""Compares the modules in shaders/kept.tar.xz with those that a build has made.

    shaders/kept.py BUILD COMPILER            fails where a module differs, is missing or is one too many
    shaders/kept.py BUILD COMPILER --bless    writes the archive anew

COMPILER is the glslang of the build. The archive names the version that made it; a build with another one proves
nothing and is skipped.
"""
import argparse
import io
import pathlib
import subprocess
import sys
import tarfile

ARCHIVE = pathlib.Path(__file__).resolve().parent / "kept.tar.xz"
VERSION = "glslang.txt"
PATTERN = "mat_mul_cm_*.spv"


def version_of(compiler):
    lines = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout.splitlines()
    return next((line for line in lines if line.startswith("Glslang Version")), "an unknown compiler") + "\n"


def read_archive():
    with tarfile.open(ARCHIVE) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def write_archive(files):
    with tarfile.open(ARCHIVE, "w:xz", preset=9) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            archive.addfile(entry, io.BytesIO(files[name]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("compiler")
    parser.add_argument("--bless", action="store_true")
    options = parser.parse_args()

    built = {path.name: path.read_bytes() for path in (options.build / "spv").glob(PATTERN)}
    built[VERSION] = version_of(options.compiler).encode()
    if options.bless:
        write_archive(built)
        print(f"{len(built) - 1} modules, {ARCHIVE.stat().st_size} bytes")
        return 0
    kept = read_archive()
    if kept[VERSION] != built[VERSION]:
        print(f"SKIP: made with {built[VERSION].decode().strip()}, kept with {kept[VERSION].decode().strip()}")
        return 77
    wrong = [name for name in sorted(kept.keys() | built.keys()) if kept.get(name) != built.get(name)]
    for name in wrong:
        print(f"{name}: not what is kept" if name in kept and name in built
              else f"{name}: " + ("kept, but not built" if name in kept else "built, but not kept"))
    if wrong:
        print(f"if the shaders were meant to change: {' '.join(sys.argv)} --bless")
    print(f"{len(kept) - len(wrong)} of {len(kept)} files are the same")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
