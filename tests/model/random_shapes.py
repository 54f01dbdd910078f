#!/usr/bin/env python3
"""Scores of models with random shapes and mixes of weight formats against the reference in double.

    tests/model/random_shapes.py KARAT [--first SEED] [--count N]

Each seed is one model: odd widths, few or many experts, dense ones, tiny windows, any period of layers, tied or not. A
row after a nearly tied choice of experts may differ; such models are told apart. Needs NumPy.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import numpy as np

ORACLE = pathlib.Path(__file__).resolve().parent.parent / "oracle"
sys.path.insert(0, str(ORACLE))
import ref_gemma4  # noqa: E402

FORMATS = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K", "Q2_K", "Q3_K",
           "IQ4_NL", "IQ4_XS"]
TENSORS = ["attn_q", "attn_k", "attn_v", "ffn_gate\\.", "ffn_up", "ffn_down\\.", "ffn_gate_up_exps", "ffn_gate_exps",
           "ffn_down_exps", "token_embd"]
BOUND = 2e-6  # of the normalised mean squared error of a row
MARGIN = 1e-4  # nearer ties between experts may go either way with f32 arithmetic


def random_config(r, seed):
    kv_swa, kv_full = r.choice([1, 2, 3]), r.choice([1, 2])
    n_expert = r.choice([0, 4, 8, 30, 128])
    return {
        "preset": "tiny", "seed": seed,
        "n_layer": r.choice([3, 6, 7]), "period": r.choice([2, 3, 6]),
        "n_embd": r.choice([64, 96, 256, 288, 320, 512]),
        "n_head": kv_swa * kv_full * r.choice([1, 2]), "n_kv_swa": kv_swa, "n_kv_full": kv_full,
        "head_swa": r.choice([32, 64, 96]), "head_full": r.choice([64, 128, 192, 256]),
        "n_ff": r.choice([32, 96, 256, 352, 704]), "n_ff_exp": r.choice([32, 64, 160, 256]),
        "n_expert": n_expert, "n_expert_used": min(n_expert, r.choice([1, 2, 3, 8])) or 1,
        "window": r.choice([1, 5, 16, 33]), "softcap": r.choice([30.0, 0.0, 15.0]),
        "untied": r.random() < 0.3, "fused_gate_up": r.random() < 0.6, "kv_shared": r.random() < 0.6,
        "types": {"default": r.choice(FORMATS), "rules": [[name, r.choice(FORMATS)] for name in TENSORS]},
    }


def check(karat, seed, folder):
    """(worst error, smallest margin) of one model; raises when a program fails."""
    r = random.Random(seed)
    config, model, scores = folder / "config.json", folder / "model.gguf", folder / "scores.f32"
    config.write_text(json.dumps(random_config(r, seed)))
    subprocess.run([sys.executable, ORACLE / "mkgguf.py", config, model], check=True, stdout=subprocess.DEVNULL)
    tokens = [2] + [r.randrange(1024) for _ in range(r.choice([1, 40, 75]))]
    subprocess.run([karat, "logits", "-m", model, "--tokens", ",".join(map(str, tokens)), "-o", scores, "--quiet"],
                   check=True)
    reference = ref_gemma4.Gemma4(str(model), np.float64)
    want, _ = reference.forward([("tok", tokens)])
    got = np.fromfile(scores, np.float32).reshape(want.shape)
    return float((((got - want) ** 2).sum(1) / (want ** 2).sum(1)).max()), float(reference.margin.min())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("karat", type=pathlib.Path)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--count", type=int, default=8)
    options = parser.parse_args()
    n_failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.first, options.first + options.count):
            error, margin = check(options.karat.resolve(), seed, pathlib.Path(folder))
            tied = margin < MARGIN
            failed = error > BOUND and not tied
            n_failed += failed
            print(f"{'FAIL' if failed else 'tied' if tied else 'ok  '} seed {seed}: error {error:.1e}, margin {margin:.1e}",
                  flush=True)
    print(f"{options.count - n_failed} passed, {n_failed} failed, 0 skipped")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
