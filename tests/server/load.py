#!/usr/bin/env python3
"""load.py PROGRAM [--seconds 600] [--streams 64] [--slow 500] : karat serve under many streams and many slow connections.

Every stream is a chat that begins anew when its answer ends. Slow connections send a byte of a request now and then, and
come back when the server loses patience with them. They are there in every second window of --window seconds, so that the
speed of the streams with and without them is compared window by window. It fails when a stream is refused, cut or wrong,
when the server's memory grows by 1 % between the first windows and the last ones, or when the streams lose more than 5 %
by the slow ones. Slow connections take some KiB each while they are there, so windows of a kind are compared. What is kept
of earlier prompts is limited, so that it is full when the warm-up ends. A software driver keeps the device's memory in
files without a name, whose pages count when they are first written to; they are part of the growth and also told apart.
"""
import argparse
import asyncio
import json
import pathlib
import statistics
import time

from served import Server, program_of

PROMPTS = ["Hello!", "Tell me a story about a cat.", "What is the weather in Paris?", "Count to twenty.", "Name a river in Peru."]


class Counts:
    def __init__(self):
        self.pieces = self.answers = self.slow_closed = 0
        self.faults = []


def resident_bytes(pid):
    """All of the process, and what of it a software driver keeps for the device."""
    total = device = 0
    is_device = False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if line.startswith("Rss:"):
            total += 1024 * int(line.split()[1])
            device += 1024 * int(line.split()[1]) if is_device else 0
        elif "-" in line.split(" ")[0]:
            is_device = "/memfd:" in line
    return total, device


async def ask(address, number):
    """One streamed chat; yields its events."""
    host, port = address.rsplit(":", 1)
    body = json.dumps({"messages": [{"role": "user", "content": PROMPTS[number % len(PROMPTS)]}], "stream": True,
                       "seed": number + 1, "max_tokens": 60})
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n"
                     f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        status = (await reader.readline()).decode()
        if " 200 " not in status:
            raise RuntimeError(f"{status.strip()}: {(await reader.read(2000)).decode(errors='replace')}")
        while line := await reader.readline():
            if line.startswith(b"data: "):
                yield line[6:].strip().decode()
    finally:
        writer.close()


async def stream(address, number, counts, end):
    while time.monotonic() < end:
        last, finish = None, None
        try:
            async for event in ask(address, number):
                last = event
                if event != "[DONE]":
                    choice = json.loads(event)["choices"]
                    finish = choice[0]["finish_reason"] if choice else finish
                    counts.pieces += 1
            if last != "[DONE]" or finish not in ("stop", "length", "tool_calls"):
                counts.faults.append(f"a stream ended with {last} and {finish}")
            counts.answers += 1
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            counts.faults.append(repr(error))
            await asyncio.sleep(1)
        number += 1000


async def crawl(address, gate, counts):
    """A connection that takes its time, as long as the gate is open."""
    host, port = address.rsplit(":", 1)
    request = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nContent-Length: 1000\r\n\r\n".encode()
    while True:
        await gate.wait()
        try:
            _, writer = await asyncio.open_connection(host, int(port))
            for byte in request:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(2)
                if not gate.is_set():
                    break
            writer.close()
        except OSError:
            counts.slow_closed += 1
            await asyncio.sleep(1)


async def load(server, args):
    counts, gate = Counts(), asyncio.Event()
    end = time.monotonic() + args.seconds
    work = [asyncio.create_task(stream(server.address, i, counts, end)) for i in range(args.streams)]
    slow = [asyncio.create_task(crawl(server.address, gate, counts)) for _ in range(args.slow)]
    rates, memory = {False: [], True: []}, {False: [], True: []}
    gate.set()  # the warm-up sees all there will be
    await asyncio.sleep(min(args.warm_up, args.seconds / 4))
    with_slow = False
    while time.monotonic() + args.window < end:
        gate.set() if with_slow else gate.clear()
        await asyncio.sleep(args.window / 5)  # they come, or go
        before, at = counts.pieces, time.monotonic()
        await asyncio.sleep(args.window * 4 / 5)
        rates[with_slow].append((counts.pieces - before) / (time.monotonic() - at))
        memory[with_slow].append(resident_bytes(server.process.pid))
        with_slow = not with_slow
    for task in slow:
        task.cancel()
    await asyncio.gather(*work)
    return counts, rates, memory


def report(counts, rates, memory):
    pairs = [b / a for a, b in zip(rates[False], rates[True])]
    ratio = statistics.median(pairs)
    print(f"{counts.answers} answers, {counts.pieces} pieces, {len(counts.faults)} faults; slow connections were closed "
          f"{counts.slow_closed} times")
    print(f"pieces per second without and with slow connections: {statistics.median(rates[False]):.1f}, "
          f"{statistics.median(rates[True]):.1f}; ratio {ratio:.3f} ({min(pairs):.3f} to {max(pairs):.3f}, {len(pairs)} pairs)")
    growths = []
    for kind, windows in (("without", memory[False]), ("with", memory[True])):
        (began, began_device), (ended, ended_device) = windows[0], windows[-1]
        growths.append(ended / began - 1)
        print(f"memory {kind} slow connections: {began >> 20} MiB, {ended >> 20} MiB at the end: {growths[-1] * 100:+.2f} %, "
              f"{(ended - began) >> 10} KiB, {(ended_device - began_device) >> 10} KiB of them the device's")
    for fault in counts.faults[:5]:
        print("fault:", fault)
    return not counts.faults and max(growths) < 0.01 and ratio >= 0.95


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--window", type=float, default=30)
    parser.add_argument("--warm-up", type=float, default=60)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--slow", type=int, default=500)
    parser.add_argument("--parallel", type=int, default=8)
    args = parser.parse_args()
    program = program_of(args.program)
    with Server(program, "--parallel", str(args.parallel), "--queue", str(args.streams), "--ctx", "512", "--prefixes", "8") as server:
        outcome = asyncio.run(load(server, args))
    raise SystemExit(0 if report(*outcome) else 1)


if __name__ == "__main__":
    main()
