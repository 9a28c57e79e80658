#!/usr/bin/env python3
"""The worst requests that were found, beside ordinary ones: nobody else may notice much of them.

    tests/server/worst_requests.py --program PROGRAM [--only KIND,KIND...] [--controls] [-v]

A server of the demo pair decodes three texts besides that of an ordinary client, with the options
that it has by default. Either they are
ordinary, too (quiet), or three clients send the worst requests of a kind as fast as they are
answered. The ordinary client's p99 has to stay within twice its quiet value, and the server's
memory within MEMORY_MIB of what it was.

What is compared is not the time but the work: what the engine's thread computes between a request
and its answer (its processor time, as Linux counts it), which is what the client waits for on a
quiet machine, and hardly depends on what else the machine does. A kind is only found guilty when
three measurements say so. Time itself is held against a bound that only a server can exceed that
does not answer.

With --controls the same is measured once more of servers without a protection: each has to be found
guilty, or the judgement would be worth nothing.

Python's standard library only.
"""

import argparse
import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

MOST_TIMES = 2.0       # the quiet value
FLOOR_S = 0.03         # of work, besides: a few rounds of one more text
MEMORY_MIB = 256       # besides what the server has when it is ready
ADDRESS_GIB = 8        # ulimit -v: a runaway ends here and not in the machine's memory
N_SAMPLES = 12
N_BESIDE = 3
ANSWER_S = 240         # nothing takes so long, however busy the machine is
JSON = {"Content-Type": "application/json"}


class Failure(Exception):
    pass


class Server:
    def __init__(self, program, options=()):
        def limit():
            most = ADDRESS_GIB << 30
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
        self.process = subprocess.Popen(
            [program, "serve", "-t", "1", "--port", "0", "--no-cost-cache", *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=limit)
        self.port = None
        self.held = []  # connections that a kind leaves open
        for line in self.process.stderr:
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
            self.port = int(found[1]) if found else self.port
            if "ready" in line:
                break
        else:
            raise Failure("the server did not start")
        threading.Thread(target=lambda: [None for _ in self.process.stderr], daemon=True).start()
        self.ordinary(0)
        tasks = os.listdir(f"/proc/{self.process.pid}/task")
        before = {task: self.work_of(task) for task in tasks}
        for seed in range(20):
            self.ordinary(seed)
        self.engine = max(set(tasks) & set(os.listdir(f"/proc/{self.process.pid}/task")),
                          key=lambda task: self.work_of(task) - before[task])
        self.quiet_mib = self.memory_mib()

    def work_of(self, task):
        with open(f"/proc/{self.process.pid}/task/{task}/schedstat") as file:
            return int(file.read().split()[0]) / 1e9

    def memory_mib(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read())[1]) / 1024

    def post(self, body, path="/v1/completions"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            text = body if isinstance(body, (bytes, str)) else json.dumps(body)
            connection.request("POST", path, text, JSON)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def ordinary(self, seed):
        status, answer = self.post({"prompt": "The old house", "max_tokens": 16,
                                    "ignore_eos": True, "seed": seed})
        if status != 200:
            raise Failure(f"an ordinary request got {status}: {answer[:200]}")

    def sample(self, seed):
        """Returns: seconds of the engine's work, and of time, until an ordinary request's answer."""
        began, work = time.monotonic(), self.work_of(self.engine)
        self.ordinary(seed)
        return self.work_of(self.engine) - work, time.monotonic() - began

    def let_go(self):
        while self.held:
            self.held.pop().close()

    def end(self):
        self.let_go()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=ANSWER_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure("the server does not end") from None
        if code != 0:
            raise Failure(f"the server ended with {code}")


class Beside:
    """Clients that send something again and again; each gets the number of its request."""

    def __init__(self, server, send, n=N_BESIDE):
        self.server, self.ends, self.failure = server, False, None
        self.threads = [threading.Thread(target=self.run, args=(send, i)) for i in range(n)]

    def run(self, send, client):
        number = client
        while not self.ends:
            try:
                send(self.server, number)
            except (OSError, http.client.HTTPException):
                if self.server.process.poll() is not None:
                    self.failure = "the server has ended"
                    return
            number += N_BESIDE

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.ends = True
        for thread in self.threads:
            thread.join()
        if self.failure:
            raise Failure(self.failure)


def long_text(server, number, **fields):
    body = {"prompt": "The", "max_tokens": 120, "seed": number, "ignore_eos": True}
    body.update(fields)
    return server.post({k: v for k, v in body.items() if v is not None})


def structured(server, number, fields):
    return long_text(server, number, ignore_eos=None, **fields)


# --- the worst requests: functions of the server and the number of the request ---

GRAMMARS = [
    'root ::= "a" root root | "a"',
    'root ::= (("a"?){0,40}){0,40}',
    'root ::= ((((("a"?){0,9}){0,9}){0,9}){0,9}){0,9}',
    'root ::= ([a-z]? [a-z ]? [a-z,]?){0,5000}',
    "root ::= " + " ".join("[^\\x00]{0,%d}" % (50 + i) for i in range(60)),
    "root ::= " + " | ".join("[^%s]{100}" % c for c in "abcdefghijklmnopqrstuvwxyz"),
    'root ::= x x x x x x x x\nx ::= y*\ny ::= [a-z] | [a-y] [b-z] | " "',
    'root ::= "a"{1,0}',
    'root ::= ("a" "b"?){0,99999999}',
    "root ::= " + "(" * 900 + '"a"?' + ")*" * 900,
]


def grammars(server, number):
    # Each is another one: nothing is found compiled.
    structured(server, number, {"grammar": f"{GRAMMARS[number % len(GRAMMARS)]}\nr{number} ::= \"\""})


def schemas(server, number):
    salt = f"p{number}"
    kinds = [
        {"enum": [f"v{i * 7919 % 100003}x{i}{salt}" for i in range(1500)]},
        {"type": "string", "pattern": "^((a?){40}){40}$", "title": salt, "maxLength": 900 + number},
        {"type": "string", "pattern": "(a|b|[^c]).{0,9}d.{0,3}e", "minLength": number % 50},
        {"type": "integer", "minimum": 1700000000000000 + number},
        {"type": "array", "minItems": 3, "maxItems": 2, "title": salt},
        {"type": "object", "properties": {f"{salt}{i}": {"type": "integer"} for i in range(400)}},
        {"anyOf": [{"type": "string", "pattern": f"^{salt}[a-z]{{{i}}}"} for i in range(100)]},
        {"$ref": "#", "title": salt},
        {"type": "array", "items": {"type": "string", "maxLength": 2000 + number}, "maxItems": 100},
        {"type": "number", "multipleOf": 0.25, "minimum": -number, "maximum": number},
    ]
    structured(server, number, {"json_schema": kinds[number % len(kinds)]})


def stops(server, number):
    letter = "etaoin "[number % 7]
    long_text(server, number, stop=[letter * 1024] * 16)
    server.post({"prompt": "x", "stop": ["x" * 65536]})


def biases(server, number):
    long_text(server, number, logit_bias={str(i): 0.01 for i in range(4000)})


def penalties(server, number):
    long_text(server, number, frequency_penalty=0.2, repeat_last_n=-1, logprobs=20, max_tokens=100)


def choices(server, number):
    long_text(server, number, n=16)


def prompts(server, number):
    server.post({"prompt": f"{number} " + "The old house stood by the road. " * 80, "max_tokens": 1})


def nonsense(server, number):
    bodies = [b"[" * 200_000, b'{"a":' * 100_000, b'{"prompt": "' + b"x" * (2 << 20),
              json.dumps({"prompt": "x", "json_schema": nested(200)}),
              json.dumps({"prompt": "word " * 50_000}),
              json.dumps({"prompt": [1, 2, 3] * 100_000}),
              json.dumps({"prompt": "x", "logit_bias": {f"word {i}": 1 for i in range(9000)}})]
    server.post(bodies[number % len(bodies)])


def nested(depth):
    schema = {}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def raw(server, data):
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=ANSWER_S)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(data)
    return connection


def http_post(body):
    text = json.dumps(body).encode()
    return (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text)) + text


def slow_readers(server, number):
    """They read nothing, and stay: megabytes of events wait for each."""
    body = {"prompt": "The", "max_tokens": 900, "stream": True, "logprobs": 20, "seed": number,
            "ignore_eos": True, "n": 4}
    server.held.append(raw(server, http_post(body)))
    time.sleep(0.2)


def pipelining(server, number):
    short = http_post({"prompt": "The", "max_tokens": 8, "seed": number})
    with raw(server, short * 50) as connection:
        connection.recv(4096)


def connections(server, number):
    """Many that say nothing, or half of something, at once."""
    held = [raw(server, b"POST /v1/completions HTTP/1.1\r\nHost: local"[:1 + i % 40])
            for i in range(60)]
    long_text(server, number, max_tokens=30)
    for connection in held:
        connection.close()


KINDS = [grammars, schemas, stops, biases, penalties, choices, prompts, nonsense, slow_readers,
         pipelining, connections]


# --- the verdict ---

def p99(values):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]


class Judge:
    def __init__(self, server, verbose, n_samples=N_SAMPLES, n_beside=N_BESIDE):
        self.server, self.verbose, self.quiet, self.seed = server, verbose, [], 0
        self.n_samples, self.n_beside = n_samples, n_beside

    def samples(self, send, n):
        out = []
        with Beside(self.server, send, self.n_beside):
            for _ in range(n):
                self.seed += 1
                out.append(self.server.sample(self.seed))
        self.server.let_go()
        return out

    def is_too_slow(self, send):
        """One measurement: quiet, the worst requests, quiet again."""
        self.quiet += self.samples(long_text, self.n_samples // 2)
        loaded = self.samples(send, self.n_samples)
        self.quiet += self.samples(long_text, self.n_samples // 2)
        work = [p99(s[0] for s in samples) for samples in (self.quiet, loaded)]
        span = [p99(s[1] for s in samples) for samples in (self.quiet, loaded)]
        if self.verbose:
            print(f"  {send.__name__}: work {work[0]:.3f} -> {work[1]:.3f} s, "
                  f"time {span[0]:.3f} -> {span[1]:.3f} s, {self.server.memory_mib():.0f} MiB",
                  flush=True)
        return work[1] > MOST_TIMES * work[0] + FLOOR_S or span[1] > 20 * span[0] + 5

    def faults(self, send, most_mib=MEMORY_MIB, n_tries=3):
        """Returns: what is wrong with the server under these requests."""
        out = []
        if all(self.is_too_slow(send) for _ in range(n_tries)):
            out.append(f"{send.__name__}: others wait too much longer")
        more_mib = self.server.memory_mib() - self.server.quiet_mib
        if more_mib > most_mib:
            out.append(f"{send.__name__}: {more_mib:.0f} MiB more than before, at most {most_mib}")
        return out


def longer_texts(server, number):
    long_text(server, number, max_tokens=900)


# What a server is without, the requests that show it, and how much memory counts as much.
CONTROLS = [
    (["--parallel", "1"], longer_texts, MEMORY_MIB, "wait"),
    (["--max-gap-ms", "3600000"], prompts, MEMORY_MIB, "wait"),
    ([], slow_readers, -1, "MiB"),  # as if any memory were too much
]


def check_controls(program, verbose):
    """The same requests beside a server with its protections are not guilty by these measures."""
    for options, send, most_mib, word in CONTROLS:
        for wanted, given in [(True, options), (False, [])]:
            if given == options and not wanted or send is longer_texts and not wanted:
                continue
            server = Server(program, given)
            try:
                judge = Judge(server, verbose, 6, 1 if send is longer_texts else N_BESIDE)
                found = judge.faults(send, most_mib, n_tries=1 if wanted else 3)
            finally:
                server.end()
            if any(word in fault for fault in found) != wanted:
                raise Failure(f"{send.__name__} of {' '.join(given) or 'a whole server'}: {found}")
            print(f"control: {' '.join(given) or 'all protections'}, {send.__name__}: {found}",
                  flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--controls", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    arguments = parser.parse_args()
    kinds = [k for k in KINDS if not arguments.only or k.__name__ in arguments.only.split(",")]
    began = time.monotonic()
    server = Server(arguments.program)
    faults = []
    try:
        judge = Judge(server, arguments.verbose)
        for kind in kinds:
            faults += judge.faults(kind)
        server.ordinary(1)
    finally:
        server.end()
    if arguments.controls:
        check_controls(arguments.program, arguments.verbose)
    for fault in faults:
        print(f"worst_requests: {fault}", file=sys.stderr)
    print(f"{len(kinds)} kinds of worst requests in {time.monotonic() - began:.0f} s, "
          f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"worst_requests: {failure}", file=sys.stderr)
        sys.exit(1)
