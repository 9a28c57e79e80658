#!/usr/bin/env python3
"""Random load on gumbelspec serve, checked: see scripts/soak, and the test of 300 requests.

    tests/server/soak.py --program PROGRAM (--requests N | --minutes M) [--connections 32]
                         [--seed S]

Every answer is compared with that of the same request alone, which is asked for before. Python's
standard library only.
"""

import argparse
import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

# So many different requests; each has one right answer.
N_KINDS = 24
LONGEST_ANSWER_S = 300


class Failure(Exception):
    pass


def valid_request(rng):
    body = {"seed": rng.randrange(1 << 40), "max_tokens": rng.choice([1, 2, 5, 16, 40])}
    words = "The old house stood a little back from the road behind two elms".split()
    text = " ".join(rng.choice(words) for _ in range(rng.choice([1, 3, 10, 40, 120])))
    chat = rng.random() < 0.3
    if chat:
        body["messages"] = [{"role": "user", "content": text}]
    else:
        body["prompt"] = text
    for name, values in {
        "temperature": [0, 0.5, 1, 1.5], "top_p": [0.5, 0.9], "top_k": [1, 5, 40],
        "min_p": [0.05, 0.3], "frequency_penalty": [0.5, -0.5], "presence_penalty": [1],
        "n": [2, 3], "stop": ["e", ["the", "\n"]], "logit_bias": [{"5": -100, "7": 3}],
    }.items():
        if rng.random() < 0.2:
            body[name] = rng.choice(values)
    if rng.random() < 0.1 and not chat:
        body["grammar"] = 'root ::= ("yes" | "no ")+'
    return ("/v1/chat/completions" if chat else "/v1/completions"), body


def invalid_request(rng):
    """Returns: path, bytes, the statuses that are right."""
    path, body = valid_request(rng)
    kind = rng.randrange(7)
    if kind == 0:
        return path, json.dumps(body)[: rng.randrange(1, 20)].encode(), {400}
    if kind == 1:
        body[rng.choice(["temperature", "top_p", "max_tokens", "n", "seed"])] = rng.choice(
            ["x", -7, {}, []])
        return path, json.dumps(body).encode(), {400}
    if kind == 2:
        return path, bytes(rng.randrange(256) for _ in range(rng.randrange(1, 200))), {400}
    if kind == 3:
        return path, b"[" * 100_000, {400}
    if kind == 4:
        return "/v1/nothing", json.dumps(body).encode(), {404}
    if kind == 5:
        body = {"prompt": "word " * 100_000}
        return "/v1/completions", json.dumps(body).encode(), {400}
    return path, b"", {400}


class Connection:
    def __init__(self, port):
        self.port = port

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    async def post(self, path, body):
        self.writer.write(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body)
        await self.writer.drain()

    async def answer(self):
        raw = await asyncio.wait_for(self.reader.read(-1), LONGEST_ANSWER_S)
        head, _, body = raw.partition(b"\r\n\r\n")
        if not head:
            raise Failure("the connection ended without an answer")
        if b"chunked" in head.lower():
            body = dechunked(body)
        return int(head.split()[1]), body


def dechunked(data):
    out = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        n = int(size, 16)
        if n == 0:
            return out
        out, data = out + data[:n], data[n + 2:]
    raise Failure("a stream without its end")


def texts_of(body):
    """The choices' texts and reasons, of a whole answer or of its events."""
    if not body.startswith(b"data:"):
        answers = [json.loads(body)]
    else:
        events = [e[6:] for e in body.decode().split("\n\n") if e.startswith("data: ")]
        if events[-1] != "[DONE]":
            raise Failure(f"the last event is {events[-1]}")
        answers = [json.loads(e) for e in events[:-1]]
    choices = {}
    for answer in answers:
        if "error" in answer:
            raise Failure(f"an error in a stream: {answer}")
        for c in answer["choices"]:
            text, reason = choices.get(c["index"], ("", None))
            part = c.get("message") or c.get("delta") or c
            text += part.get("content") or part.get("text") or ""
            choices[c["index"]] = (text, c.get("finish_reason") or reason)
    return choices


async def ask(port, path, body, streams):
    body = dict(body, stream=streams)
    async with Connection(port) as connection:
        await connection.post(path, json.dumps(body).encode())
        return await connection.answer()


async def check_valid(port, kind):
    path, body, expected = kind["path"], kind["body"], kind["texts"]
    while True:
        status, answer = await ask(port, path, body, random.random() < 0.5)
        if status != 429:
            break
        await asyncio.sleep(0.2)
    if status != 200:
        raise Failure(f"status {status} for {body}: {answer[:500]}")
    if texts_of(answer) != expected:
        raise Failure(f"another text for {body}:\n{texts_of(answer)}\ninstead of\n{expected}")


async def check_invalid(port, rng):
    path, body, statuses = invalid_request(rng)
    async with Connection(port) as connection:
        await connection.post(path, body)
        status, answer = await connection.answer()
    if status not in statuses:
        raise Failure(f"status {status} for {path} {body[:200]}: {answer[:500]}")
    if set(json.loads(answer)["error"]) < {"code", "message", "type", "param"}:
        raise Failure(f"an error without its fields: {answer}")


async def disconnect(port, rng):
    path, body = valid_request(rng)
    body.update(max_tokens=400, stream=rng.random() < 0.7)
    body.pop("stop", None)
    data = json.dumps(body).encode()
    async with Connection(port) as connection:
        where = rng.randrange(3)
        if where == 0:
            connection.writer.write(f"POST {path} HTTP/1.1\r\nContent-Le".encode())
            return
        await connection.post(path, data)
        if where == 1:
            return
        await connection.reader.read(rng.choice([1, 200, 2000]))


class Soak:
    def __init__(self, options):
        self.rng = random.Random(options.seed)
        random.seed(options.seed)
        self.options = options
        self.log = tempfile.NamedTemporaryFile("w+", prefix="gumbelspec-soak-", suffix=".log")
        self.process = subprocess.Popen(
            [options.program, "serve", "--port", "0", "-t", "1", "-c", "1024", "--parallel", "8",
             "--queue", "64"], stderr=self.log)
        self.port = self.wait_until_ready()
        self.kinds = []
        self.counts = {"valid": 0, "invalid": 0, "disconnected": 0}

    def text(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_until_ready(self):
        while "gumbelspec: ready" not in self.text():
            if self.process.poll() is not None:
                raise Failure(f"the server did not start:\n{self.text()}")
            time.sleep(0.1)
        return int(re.search(r"listening on http://127\.0\.0\.1:(\d+)", self.text()).group(1))

    def resident_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))

    async def learn(self):
        for _ in range(N_KINDS):
            path, body = valid_request(self.rng)
            status, answer = await ask(self.port, path, body, False)
            if status != 200:
                raise Failure(f"status {status} for {body}: {answer[:500]}")
            self.kinds.append({"path": path, "body": body, "texts": texts_of(answer)})

    async def one(self):
        draw = self.rng.random()
        if draw < 0.6:
            self.counts["valid"] += 1
            await check_valid(self.port, self.rng.choice(self.kinds))
        elif draw < 0.8:
            self.counts["invalid"] += 1
            await check_invalid(self.port, self.rng)
        else:
            self.counts["disconnected"] += 1
            await disconnect(self.port, self.rng)

    async def client(self, goes_on):
        while goes_on():
            await self.one()

    async def load(self, goes_on):
        await asyncio.gather(*(self.client(goes_on) for _ in range(self.options.connections)))

    async def run(self):
        await self.learn()
        if self.options.requests:
            left = iter(range(self.options.requests))
            await self.load(lambda: next(left, None) is not None)
        else:
            await self.soak()
        if self.options.disconnects:
            await self.disconnects()
        await self.wait_until_idle()
        # Nothing that others did or left undone is to be seen in an answer.
        for kind in self.kinds:
            await check_valid(self.port, kind)

    async def disconnects(self):
        left = iter(range(self.options.disconnects))
        async def client():
            while next(left, None) is not None:
                self.counts["disconnected"] += 1
                await disconnect(self.port, self.rng)
        await asyncio.gather(*(client() for _ in range(self.options.connections)))

    async def soak(self):
        """In tenths of the time; memory may grow in the first three only."""
        sizes = []
        for _ in range(10):
            end = time.monotonic() + 6 * self.options.minutes
            await self.load(lambda end=end: time.monotonic() < end)
            sizes.append(self.resident_kib())
            print(f"soak: {self.counts}, {sizes[-1]} KiB resident", file=sys.stderr)
        before, after = max(sizes[:4]), min(sizes[7:])
        if after > 1.1 * before + 8192:
            raise Failure(f"memory grows: {sizes} KiB")

    async def wait_until_idle(self):
        deadline = time.monotonic() + 60
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            text = (await reader.read(-1)).decode()
            writer.close()
            if re.search(r"^gumbelspec:texts_active 0\r?$", text, re.M) and re.search(
                    r"^gumbelspec:texts_waiting 0\r?$", text, re.M):
                return
            if time.monotonic() > deadline:
                raise Failure("texts of clients that have gone are still there")

    def finish(self):
        if self.process.poll() is not None:
            raise Failure(f"the server ended with {self.process.returncode}:\n{self.text()}")
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(120)
        if code != 0:
            raise Failure(f"the server ended with {code}:\n{self.text()[-20000:]}")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--program", required=True)
    p.add_argument("--requests", type=int)
    p.add_argument("--disconnects", type=int, default=0,
                   help="so many clients more that go away, one way or another")
    p.add_argument("--minutes", type=float)
    p.add_argument("--connections", type=int, default=32)
    p.add_argument("--seed", type=int, default=1)
    options = p.parse_args()
    if (options.requests is None) == (options.minutes is None):
        p.error("give --requests or --minutes")
    soak = Soak(options)
    try:
        asyncio.run(soak.run())
        soak.finish()
        print(f"soak: {soak.counts}", file=sys.stderr)
    except (Failure, OSError, asyncio.TimeoutError) as failure:
        sys.exit(f"soak: {type(failure).__name__}: {failure}\n{soak.text()[-5000:]}")
    finally:
        if soak.process.poll() is None:
            soak.process.kill()


if __name__ == "__main__":
    main()
