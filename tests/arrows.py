#!/usr/bin/env python3
"""Fails when an #include points up the tree of rooms, or past a room's door."""
import pathlib
import re
import sys

# room: (folder, rooms it may include, its doors; a room without doors shares all its headers)
ROOMS = {
    "base": ("runtime/base", [], None),
    "loader": ("loader", ["base"], ["model_file.h", "qtype.h"]),
    "gpu": ("runtime/gpu", ["base"], ["gpu.h"]),
    "text": ("runtime/text", ["base"], ["text.h"]),
    "ops": ("runtime/ops", ["base", "loader", "gpu"], ["ops.h"]),
    "model": ("runtime/model", ["base", "loader", "gpu", "ops"], ["gemma.h"]),
    "engine": ("runtime/engine", ["base", "loader", "gpu", "ops", "model", "text"], []),
    "apps": ("apps", [], None),
}


def faults(root):
    for room, (folder, may_use, _) in ROOMS.items():
        for file in sorted((root / folder).rglob("*.[ch]")):
            for name in re.findall(r'^\s*#\s*include\s+[<"]([^>"]+)', file.read_text(), re.M):
                other, _, rest = name.partition("/")
                where = f"{file.relative_to(root)}: {name}"
                if other in ("vulkan", "volk.h") and room != "gpu":
                    yield f"{where}: only gpu speaks Vulkan"
                elif other in ("shared", "spv") and room != "ops":
                    yield f"{where}: only ops talks to kernels"
                elif room != "base" and other in ("windows.h", "pthread.h", "unistd.h", "sys") and room != "apps":
                    yield f"{where}: platform code lives in base"
                elif other in ROOMS and other != room:
                    doors = ROOMS[other][2]
                    if other not in may_use:
                        yield f"{where}: {room} must not know {other}"
                    elif doors is not None and rest not in doors:
                        yield f"{where}: go in by the door of {other}"


def main():
    root = pathlib.Path(sys.argv[1])
    wrong = list(faults(root))
    print("\n".join(wrong) or "arrows: all point down")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
