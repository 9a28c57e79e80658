#!/usr/bin/env python3
"""Drafting without a draft model beside llama-server's n-gram types, prompt by prompt.

Every server is asked each prompt in turn, one request at a time, so that a change of the machine's
speed meets all of them. Prints a Markdown table for each temperature: generated tokens over the
seconds of decoding that the servers themselves tell (`timings`), all prompts together, and how many
tokens a pass gave (of llama-server: tokens over tokens minus accepted drafts).

    bench/server/ngram_peers.py -m TARGET --peers DIR [--prompts FILE] [--n-prompts N] [-n TOKENS]

DIR is the folder that scripts/llama-cpp-peers prints. Each n-gram type runs as it is by default and
with short lookups and drafts, which suit these texts better. On a machine that does other things,
too, give one thread (-t 1): llama-server's wait for each other. Python's standard library only.
"""

import argparse
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHAPES = {
    "ngram-simple": [[], ["size-n", 3, "size-m", 8], ["size-n", 2, "size-m", 4]],
    "ngram-map-k": [[], ["size-n", 3, "size-m", 8], ["size-n", 2, "size-m", 4]],
    "ngram-mod": [[], ["n-match", 4, "n-min", 1, "n-max", 8], ["n-match", 2, "n-min", 1, "n-max", 4]],
}
SAMPLING = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0, "cache_prompt": False}


class Server:
    def __init__(self, name, command):
        self.name = name
        self.log = tempfile.NamedTemporaryFile("w+", prefix="gumbelspec-ngram-", suffix=".log")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)
        self.port = None

    def wait(self):
        deadline = time.monotonic() + 600
        while self.port is None:
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{self.name} did not start:\n{pathlib.Path(self.log.name).read_text()}")
            text = pathlib.Path(self.log.name).read_text(errors="replace")
            is_ready = "gumbelspec: ready" in text or "model loaded" in text
            for line in text.splitlines() if is_ready else []:
                if "http://127.0.0.1:" in line and "listening" in line:
                    digits = line.split("http://127.0.0.1:")[1].split("/")[0].split()[0]
                    self.port = int("".join(c for c in digits if c.isdigit()))
            time.sleep(0.1)

    def ask(self, prompt, temperature, seed, n):
        body = dict(SAMPLING, prompt=prompt, temperature=temperature, seed=seed, n_predict=n)
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/completion",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.load(answer)["timings"]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()


def servers_of(arguments):
    common = ["-m", arguments.model, "--host", "127.0.0.1", "-np", "1", "-c", "1024"]
    common += ["-t", str(arguments.threads)] if arguments.threads else []
    own = [str(arguments.program), "serve", *common, "--port", "0"]
    peer = [str(arguments.peers / "llama-server"), *common, "--samplers", "top_k;top_p;min_p;temperature"]
    port = arguments.first_port
    commands = {"gumbelspec": own, "gumbelspec, plain": [*own, "--method", "ar"]}
    commands["llama-server, plain"] = [*peer, "--port", str(port)]
    for kind, shapes in SHAPES.items():
        for shape in shapes:
            port += 1
            words = [str(x) if i % 2 else f"--spec-{kind}-{x}" for i, x in enumerate(shape)]
            name = f"{kind} {','.join(str(x) for x in shape[1::2])}".strip()
            commands[name] = [*peer, "--port", str(port), "--spec-type", kind, *words]
    return [Server(name, command) for name, command in commands.items()]


def passes_of(timings):
    if "draft_n_accepted" in timings:
        return timings["predicted_n"] - timings["draft_n_accepted"]
    return timings["predicted_n"]


def table(servers, prompts, temperature, arguments):
    sums = {server.name: [0, 0.0, 0] for server in servers}
    for k, prompt in enumerate(prompts):
        for server in servers:
            print(f"prompt {k + 1}, {server.name}", file=sys.stderr, flush=True)
            timings = server.ask(prompt, temperature, 1 + k, arguments.n_predict)
            row = sums[server.name]
            row[0] += timings["predicted_n"]
            row[1] += timings["predicted_ms"] / 1000
            row[2] += passes_of(timings)
    own = sums["gumbelspec"][0] / sums["gumbelspec"][1]
    print(f"\n| temperature {temperature} | tokens/s | tokens per pass | gumbelspec over it |")
    print("|---|---|---|---|")
    for name, (n, seconds, n_passes) in sums.items():
        speed = n / seconds
        print(f"| {name} | {speed:.1f} | {n / max(n_passes, 1):.2f} | {own / speed:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--peers", type=pathlib.Path, required=True)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/bin/gumbelspec")
    parser.add_argument("--prompts", default=str(ROOT / "bench/prompts/repeats.jsonl"))
    parser.add_argument("--n-prompts", type=int, default=12)
    parser.add_argument("-n", "--n-predict", type=int, default=64)
    parser.add_argument("-t", "--threads", type=int, default=0)
    parser.add_argument("--temps", default="0,0.6")
    parser.add_argument("--first-port", type=int, default=18300)
    arguments = parser.parse_args()
    lines = pathlib.Path(arguments.prompts).read_text().splitlines()
    prompts = [json.loads(line)["prompt"] for line in lines if line.strip()][: arguments.n_prompts]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    servers = servers_of(arguments)
    try:
        for server in servers:
            server.wait()
        for temperature in arguments.temps.split(","):
            table(servers, prompts, float(temperature), arguments)
    finally:
        for server in servers:
            server.stop()


if __name__ == "__main__":
    main()
