#!/usr/bin/env python3
"""Writes the random models that tests/model compares with the reference: oracle_models.py ORACLE_DIR OUT_DIR.

A model that is there already and newer than its configuration is kept.
"""
import pathlib
import subprocess
import sys


def main():
    oracle, out = map(pathlib.Path, sys.argv[1:3])
    out.mkdir(parents=True, exist_ok=True)
    for config in sorted((oracle / "configs").glob("*.json")):
        model = out / (config.stem + ".gguf")
        sources = [config, oracle / "mkgguf.py", oracle / "ggq.py"]
        if model.exists() and model.stat().st_mtime > max(s.stat().st_mtime for s in sources):
            continue
        part = model.with_suffix(".part")
        subprocess.run([sys.executable, oracle / "mkgguf.py", config, part], check=True, stdout=subprocess.DEVNULL)
        part.rename(model)
    print(f"{len(list(out.glob('*.gguf')))} models in {out}")


if __name__ == "__main__":
    main()
