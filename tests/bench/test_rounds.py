#!/usr/bin/env python3
"""test_rounds.py COMPARE_KARAT KARAT MODEL : what compare_karat answers to one request of each kind, on the demo model."""
import json
import subprocess
import sys

CONTEXT = 256
GREETING = [2, 5, 455, 24, 1093, 288, 6, 24, 5, 453, 24]  # a turn that says Hello!, and the beginning of the model's

# What is asked, and how many tokens are measured.
ROUNDS = [
    ({"prefill": 40, "depth": 20}, 40),
    ({"decode": 8, "depth": 20}, 8),
    ({"decode": 8, "prompts": [[700, 701, 702]]}, 8),
    ({"decode": 8, "prompts": [[700 + i] * (1 + i) for i in range(8)]}, 64),
    ({"decode": 8, "prompts": [[700 + i] for i in range(11)]}, range(88, 99)),  # more than a pass takes
    ({"decode": 8, "prompts": [[700], [800, 801]]}, 16),
    ({"decode": 150, "prompts": [GREETING, [800]]}, 0),  # the answer ends before
    ({"decode": 2, "prompts": [GREETING, [800]]}, 4),
]

# What is refused, and how.
FAULTS = [
    ({"decode": 8, "prompts": []}, "a request wants no tokens, no streams, or more of them than a scheduler has slots"),
    ({"decode": 8, "prompts": [[700]] * 65}, "a request wants no tokens, no streams, or more of them than a scheduler has slots"),
    ({"prompts": [[700]]}, "a request wants no tokens, no streams, or more of them than a scheduler has slots"),
    ({"decode": 300, "depth": 0}, "a request wants no tokens, or more than CONTEXT holds"),
    ({"decode": 300, "prompts": [[700], [800]]}, "an answer filled its 256 tokens before the measurement was over"),
    ({"decode": 8, "prompts": [[700], [999999]]}, "token 0 is 999999, the vocabulary has 2048"),
]


def run(program, model, requests):
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([program, model, str(CONTEXT), "0", "64"], input=lines, capture_output=True, text=True, timeout=600)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def main(program, karat, model):
    devices = subprocess.run([karat, "devices", "--json"], capture_output=True, text=True)
    if devices.returncode != 0 or devices.stdout.strip() in ("", "[]"):
        print("skipped: karat devices finds no Vulkan device")
        return 77
    code, (ready, *answers), errors = run(program, model, [request for request, _ in ROUNDS])
    assert code == 0 and not errors, (code, errors)
    assert ready["ready"] and ready["vocabulary"] == 2048, ready
    assert len(answers) == len(ROUNDS), answers
    for (request, wanted), answer in zip(ROUNDS, answers):
        assert answer["tokens"] in (wanted if isinstance(wanted, range) else [wanted]), (request, answer)
        assert (answer["seconds"] > 0) == (answer["tokens"] > 0), (request, answer)
    for request, sentence in FAULTS:
        code, answers, errors = run(program, model, [request])
        assert code == 1 and len(answers) == 1 and errors == f"compare_karat: {sentence}\n", (request, code, answers, errors)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
