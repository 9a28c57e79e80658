#!/usr/bin/env python3
"""Load on gumbelspec serve and on llama.cpp's llama-server, side by side.

All servers run at once, but only one is asked at a time: every run measures each server at each
number of concurrent requests, in turns, so that a change of the machine's speed meets all of them.
Prints a Markdown table of medians over the runs; --out writes everything as JSON.

    bench/server/load.py [-m TARGET -md DRAFT] [--concurrency 1,4,16] [--runs 3] [--out FILE]

Throughput is the generated tokens over the time from the first request to the last answer, with
always as many requests under way as asked for until the last ones are handed out. A gap is the time
between two tokens of a text as the client sees them: tokens that come in one event are 0 apart.
Python's standard library only.
"""

import argparse
import asyncio
import json
import os
import pathlib
import platform
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLERS = "top_k;top_p;min_p;temperature"
OWN_DISTRIBUTION = {"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0}


class Server:
    """A server process, ready for requests when the constructor returns."""

    started = []

    def __init__(self, name, command, ready, port):
        self.name = name
        self.command = command
        self.log = tempfile.NamedTemporaryFile("w+", prefix="gumbelspec-load-", suffix=".log")
        # Not with OMP_WAIT_POLICY=passive: llama-server is several times slower with it on small
        # models, while an idle server's threads go to sleep by themselves within milliseconds.
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)
        Server.started.append(self)
        self.port = self._wait(ready, port)

    def _text(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def _wait(self, ready, port):
        deadline = time.monotonic() + 600
        while not re.search(ready, self._text()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{self.name} did not start: {' '.join(self.command)}\n{self._text()}")
            time.sleep(0.1)
        return int(re.search(port, self._text()).group(1)) if isinstance(port, str) else port

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_servers(options):
    most = max(options.concurrency)
    # Every run asks for the same prompts, and is not to find them evaluated.
    common = ["-t", str(options.threads), "--temp", "1", "--no-cache-prompt"]
    servers = []
    ours = [options.program, "serve", "--port", "0", "-m", options.model, "-np", str(most),
            "-c", str(options.context), "--queue", "256", *common]
    ready, port = r"gumbelspec: ready", r"listening on http://127\.0\.0\.1:(\d+)"
    if options.draft:
        servers.append(Server("gumbelspec", ours + ["-md", options.draft], ready, port))
    if options.plain or not options.draft:
        servers.append(Server("gumbelspec, no draft", ours, ready, port))
    if options.peers:
        servers += start_peers(options, most)
    return servers


def start_peers(options, most):
    """llama-server with the samplers that both have, which requests set, in the same order. Its
    context is shared by the slots."""
    program = str(pathlib.Path(options.peers) / "llama-server")
    peers = []
    drafts = [None] + ([int(n) for n in options.llama_draft.split(",")] if options.draft else [])
    for n_draft in drafts:
        number = free_port()
        command = [program, "-m", options.model, "--port", str(number), "-np", str(most),
                   "-c", str(most * options.context), "-t", str(options.threads),
                   "--samplers", SAMPLERS, "--temp", "1", "--no-webui", "--no-warmup"]
        name = "llama-server"
        if n_draft is not None:
            command += ["-md", options.draft, "--spec-type", "draft-simple",
                        "--spec-draft-n-max", str(n_draft), "--spec-draft-p-min", "0"]
            name += f", draft of {n_draft}"
        peers.append(Server(name, command, r"listening on http", number))
    return peers


async def complete(port, prompt, seed, n_tokens, sampling):
    """One streamed completion. Returns: when it was sent, when each event came, tokens in all."""
    body = json.dumps({
        "prompt": prompt, "max_tokens": n_tokens, "n_predict": n_tokens, "seed": seed,
        **OWN_DISTRIBUTION, **sampling, "ignore_eos": True, "stream": True,
        "stream_options": {"include_usage": True}, "cache_prompt": False}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    begin = time.monotonic()
    writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                 b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    times, n_generated, status = [], 0, 0
    while line := await reader.readline():
        if status == 0:
            status = int(line.split()[1])
        if not line.startswith(b"data: {"):
            continue
        now = time.monotonic()
        event = json.loads(line[6:])
        if "error" in event:
            raise RuntimeError(f"port {port}: {event['error']}")
        if any(choice.get("text") for choice in event["choices"]):
            times.append(now)
        if event.get("usage"):
            n_generated = event["usage"]["completion_tokens"]
    writer.close()
    if status != 200 or not times or n_generated == 0:
        raise RuntimeError(f"port {port}: status {status}, {len(times)} events")
    return begin, times, n_generated


async def load(port, prompts, n_requests, n_at_once, first_seed, options):
    waiting = list(range(n_requests))
    texts = []

    async def client():
        while waiting:
            i = waiting.pop(0)
            texts.append(await complete(port, prompts[i % len(prompts)], first_seed + i,
                                        options.tokens, options.sampling))

    begin = time.monotonic()
    await asyncio.gather(*(client() for _ in range(n_at_once)))
    return time.monotonic() - begin, texts


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def figures(seconds, texts):
    gaps, firsts, n_tokens = [], [], 0
    for begin, times, n in texts:
        firsts.append(times[0] - begin)
        between = [b - a for a, b in zip(times, times[1:])]
        # The other tokens came together with one of these.
        gaps += between + [0.0] * max(0, n - 1 - len(between))
        n_tokens += n
    return {
        "tokens_per_s": n_tokens / seconds,
        "first_token_ms": 1e3 * statistics.median(firsts),
        "gap_p50_ms": 1e3 * quantile(gaps, 0.50),
        "gap_p99_ms": 1e3 * quantile(gaps, 0.99),
        "n_tokens": n_tokens,
        "seconds": seconds,
    }


FIGURES = ["tokens_per_s", "first_token_ms", "gap_p50_ms", "gap_p99_ms"]


def processor_seconds(process):
    """What a process has used so far, where the system tells; on a busy machine it is the steadier
    figure, but counts threads that wait for each other, too: use -t 1."""
    try:
        fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(options, servers, prompts):
    runs = []
    for server in servers:  # pages of the model, caches, the planner's calibration
        asyncio.run(load(server.port, prompts, max(options.concurrency), max(options.concurrency),
                         10_000, options))
    for run in range(options.runs):
        for n_at_once in options.concurrency:
            # Never the same server first.
            turn = servers[run % len(servers):] + servers[: run % len(servers)]
            for server in turn:
                print(f"run {run + 1} of {options.runs}, {n_at_once} at once: {server.name}",
                      file=sys.stderr)
                n_requests = n_at_once * options.rounds
                used = processor_seconds(server.process)
                seconds, texts = asyncio.run(load(
                    server.port, prompts, n_requests, n_at_once, 1000 * run, options))
                used = processor_seconds(server.process) - used
                result = figures(seconds, texts)
                runs.append({"server": server.name, "concurrency": n_at_once, "run": run, **result,
                             "processor_ms_per_token": 1e3 * used / result["n_tokens"]})
    return runs


def medians(runs):
    rows = {}
    for run in runs:
        rows.setdefault((run["concurrency"], run["server"]), []).append(run)
    return {key: {f: statistics.median(r[f] for r in group) for f in FIGURES}
            for key, group in rows.items()}


def table(options, servers, middle):
    lines = ["| requests at once | server | tokens/s | first token, ms | gap p50, ms | gap p99, ms |",
             "|---|---|---|---|---|---|"]
    for n_at_once in options.concurrency:
        for server in servers:
            m = middle[n_at_once, server.name]
            lines.append(f"| {n_at_once} | {server.name} | {m['tokens_per_s']:.1f} | "
                         f"{m['first_token_ms']:.0f} | {m['gap_p50_ms']:.1f} | "
                         f"{m['gap_p99_ms']:.1f} |")
    lines.append("")
    peers = [s.name for s in servers if s.name.startswith("llama-server")]
    drafting = [p for p in peers if "draft" in p] or peers
    ours = servers[0].name
    for n_at_once in options.concurrency if peers else []:
        def best(names):
            return max(names, key=lambda p: middle[n_at_once, p]["tokens_per_s"])

        mine = middle[n_at_once, ours]["tokens_per_s"]
        with_draft, any_peer = best(drafting), best(peers)
        lines.append(f"{n_at_once} at once: {ours} has "
                     f"{mine / middle[n_at_once, with_draft]['tokens_per_s']:.2f} times the "
                     f"throughput of {with_draft}, and "
                     f"{mine / middle[n_at_once, any_peer]['tokens_per_s']:.2f} times that of the "
                     f"fastest, {any_peer}.")
    return "\n".join(lines)


def parse():
    shared = ROOT / "build/release/share/gumbelspec/models"
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("-m", "--model", default=str(shared / "demo-target-q8_0.gguf"))
    p.add_argument("-md", "--draft", default=None, help="default: the demo pair's, without -m")
    p.add_argument("--program", default=str(ROOT / "build/release/bin/gumbelspec"))
    p.add_argument("--peers", default="auto",
                   help="folder of llama-server; auto: scripts/llama-cpp-peers; none: without it")
    p.add_argument("--sampling", type=json.loads, default={}, metavar="JSON",
                   help="fields of the requests besides temperature 1, e.g. "
                        """'{"temperature": 0.7, "top_k": 40}'""")
    p.add_argument("--llama-draft", default="2,4,8", help="its --spec-draft-n-max, each tried")
    p.add_argument("--plain", action="store_true", help="also gumbelspec without a draft")
    p.add_argument("--concurrency", default="1,4,16")
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--rounds", type=int, default=2, help="requests per concurrent client and run")
    p.add_argument("-n", "--tokens", type=int, default=64)
    p.add_argument("-c", "--context", type=int, default=512, help="tokens of one text")
    p.add_argument("-t", "--threads", type=int, default=os.cpu_count())
    p.add_argument("--out", help="a JSON file")
    options = p.parse_args()
    if options.draft is None and options.model == p.get_default("model"):
        options.draft = str(shared / "demo-draft-q8_0.gguf")
    options.concurrency = [int(n) for n in options.concurrency.split(",")]
    if options.peers == "auto":
        options.peers = subprocess.run([ROOT / "scripts/llama-cpp-peers"], check=True,
                                       capture_output=True, text=True).stdout.strip()
    if options.peers == "none":
        options.peers = None
    return options


def told(argument):
    """A command's argument without the folders of this machine."""
    return pathlib.Path(argument).name if argument.startswith("/") else argument


def main():
    options = parse()
    with open(ROOT / "bench/prompts/openings.jsonl", encoding="utf-8") as file:
        prompts = [json.loads(line)["prompt"] for line in file]
    try:
        servers = start_servers(options)
        runs = measure(options, servers, prompts)
    finally:
        for server in Server.started:
            server.stop()
    middle = medians(runs)
    print(table(options, servers, middle))
    if options.out:
        document = {
            "machine": platform.processor() or platform.machine(),
            "n_cpus": os.cpu_count(),
            "commands": {s.name: " ".join(told(a) for a in s.command) for s in servers},
            "tokens_per_request": options.tokens,
            "sampling": {**OWN_DISTRIBUTION, **options.sampling},
            "runs": runs,
            "medians": [{"concurrency": k[0], "server": k[1], **v} for k, v in middle.items()],
        }
        pathlib.Path(options.out).write_text(json.dumps(document, indent=1) + "\n",
                                             encoding="utf-8")


if __name__ == "__main__":
    main()
