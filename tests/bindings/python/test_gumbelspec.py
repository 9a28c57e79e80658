"""The Python package against the program, over the demo pair."""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import gumbelspec
from gumbelspec import GumbelspecError, InvalidOption, InvalidPrompt, ModelError

np = pytest.importorskip("numpy")


def program(*arguments):
    out = subprocess.run([os.environ["GUMBELSPEC_PROGRAM"], "generate", "--json", *arguments],
                         stdout=subprocess.PIPE, check=True)
    return json.loads(out.stdout)


def test_texts_are_the_programs(pair):
    expected = program("-p", "The old house", "-n", "24", "--seed", "7", "--method", "ar",
                       "--temp", "0.8", "--top-p", "0.9")
    for method in ["ar", "gumbel-tree", "gumbel-beam:width=2,length=3"]:
        generation = pair.generate("The old house", seed=7, max_tokens=24, method=method,
                                   temperature=0.8, top_p=0.9)
        assert "".join(generation) == expected["text"]
        assert generation.ids == expected["tokens"]
        assert generation.outcome == "length"
    tokens = list(pair.generate(pair.tokenize("The old house"), seed=7, max_tokens=24,
                                temperature=0.8, top_p=0.9).tokens())
    assert tokens == expected["tokens"]


def test_result_has_report_and_logprobs(pair):
    result = pair.generate("It was", seed=3, max_tokens=10, logprobs=4).result()
    assert result.seed == 3
    assert result.report["stats"]["n_generated"] == 10
    assert result.tokens_per_pass >= 1.0
    assert result.logprobs.shape == (10,) and result.logprobs.dtype == np.float32
    assert result.top_logprobs.shape == (10, 4)
    top = result.top_logprobs["logprob"]
    assert (np.diff(top, axis=1) <= 0).all()
    assert (result.logprobs <= top[:, 0]).all()
    # Where the token is among the likeliest, it is the same number.
    for i, token in enumerate(result.ids):
        found = np.flatnonzero(result.top_logprobs["token"][i] == token)
        assert len(found) <= 1 and (len(found) == 0 or top[i, found[0]] == result.logprobs[i])
    with_program = program("-p", "It was", "-n", "10", "--seed", "3", "--logprobs", "4")
    assert np.allclose(result.logprobs, [t["logprob"] for t in with_program["logprobs"]], atol=1e-5)
    assert pair.generate("It was", max_tokens=2).result().logprobs.shape == (0,)


def test_rounds_have_trees(pair):
    generation = pair.generate("She said", seed=1, max_tokens=30, method="gumbel-beam:width=3")
    n_accepted = 0
    for item in generation.rounds():
        nodes = item.tree.nodes
        assert len(nodes) == len(item.tree) and nodes[0].parent == -1 and nodes[0].is_accepted
        arrays = item.tree.arrays
        assert [node.token for node in nodes] == arrays["token"].tolist()
        path = [node for node in nodes[1:] if node.is_accepted]
        assert item.tree.n_accepted == len(path)
        assert [n.token for n in path][:len(item.ids)] == item.ids[:len(path)]
        assert all(t.was_drafted for t in item.tokens[:len(path)])
        n_accepted += len(path)
    assert n_accepted > 0


def test_batches_give_the_texts_of_single_ones(pair):
    prompts = ["The old house", "She said", "It was", "He did not"]
    single = [pair.generate(p, seed=i, max_tokens=12).result().text for i, p in enumerate(prompts)]
    batch = pair.batch(prompts, [{"seed": i} for i in range(4)], max_tokens=12)
    texts = [""] * 4
    for index, item in batch:
        texts[index] += item.text
    assert texts == single
    assert [r.text for r in batch.results()] == single
    with pytest.raises(InvalidOption, match="4 prompts, but 1"):
        pair.batch(prompts, [{}])


def test_a_chat_goes_on_where_it_was(pair):
    messages = [{"role": "user", "content": "Who lives in the old house?"}]
    first = pair.chat(messages, seed=5, max_tokens=12, temperature=0.7).result()
    assert first.ids == pair.generate(pair.chat_tokens(messages), seed=5, max_tokens=12,
                                      temperature=0.7).result().ids
    messages += [{"role": "assistant", "content": first.text}, {"role": "user", "content": "Why?"}]
    assert pair.chat(messages, seed=6, max_tokens=4).result().outcome in ("length", "eos")
    with pytest.raises(InvalidOption, match="role"):
        pair.chat([{"role": "cat", "content": "x"}])


def test_stop_and_grammar(pair):
    whole = pair.generate("The old house", seed=7, max_tokens=40).result().text
    cut = pair.generate("The old house", seed=7, max_tokens=40, stop=[whole[20:24]]).result()
    assert cut.outcome == "stop" and cut.text == whole[:whole.index(whole[20:24])]
    schema = {"type": "object", "properties": {"age": {"type": "integer", "maximum": 99}},
              "required": ["age"], "additionalProperties": False}
    text = pair.generate("A person:", seed=2, json_schema=schema, max_tokens=100).result().text
    assert set(json.loads(text)) == {"age"}


def test_a_text_can_be_left(pair):
    with pair.generate("It was", seed=1) as generation:
        next(generation)
    assert list(generation) == [] and generation.outcome == "cancelled"
    generation = pair.generate("It was", seed=2)
    next(generation)
    del generation
    gc.collect()
    assert len(pair.generate("It was", seed=3, max_tokens=3).result().ids) == 3
    assert len(pair._texts) <= 1


@pytest.mark.parametrize("delay", [0.002, 0.03, 0.1])
def test_ctrl_c_leaves_the_text_usable(pair, delay):
    whole = pair.generate("The old house", seed=9, max_tokens=60).result()
    n_interrupts = 0
    for _ in range(3):
        generation = pair.generate("The old house", seed=9, max_tokens=60)
        pieces = []
        # What Ctrl-C does, by an alarm: a thread that sends it could be caught while it starts.
        old = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, delay)
            while True:
                for piece in generation:
                    pieces.append(piece)
                # The signal has to come somewhere in the loop.
                time.sleep(0.001)
        except KeyboardInterrupt:
            n_interrupts += 1
        finally:
            signal.signal(signal.SIGALRM, old)
        rest = generation.result()
        assert rest.text == whole.text and rest.ids == whole.ids
    assert n_interrupts == 3


def test_ctrl_c_stops_the_loading():
    code = ("import os, signal, gumbelspec\n"
            "def told(done):\n"
            "    os.kill(os.getpid(), signal.SIGINT)\n"
            "try:\n"
            "    gumbelspec.Pair.demo(progress=told)\n"
            "except KeyboardInterrupt:\n"
            "    print('interrupted')\n"
            "print(len(gumbelspec.Pair.demo().tokenize('It')))\n")
    out = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert out.stdout.decode().split() == ["interrupted", "1"]


def test_other_threads_run_meanwhile(pair):
    count = 0
    ends = threading.Event()

    def other():
        nonlocal count
        while not ends.is_set():
            count += 1

    def rate(call):
        """What the other thread counts meanwhile, per second."""
        before, start = count, time.monotonic()
        call()
        duration = time.monotonic() - start
        return (count - before) / duration, duration

    thread = threading.Thread(target=other)
    thread.start()
    try:
        alone, _ = rate(lambda: time.sleep(0.1))
        text = "The old house was empty. " * 20000
        meanwhile, duration = rate(lambda: pair.tokenize(text))
        while duration < 0.5:
            text *= 2
            meanwhile, duration = rate(lambda: pair.tokenize(text))
    finally:
        ends.set()
        thread.join()
    # A call that kept Python's lock would leave it a slice of 5 ms or two.
    assert meanwhile > 0.05 * alone


def test_threads_share_a_pair(pair):
    expected = [pair.generate("It was", seed=i, max_tokens=10).result().text for i in range(4)]
    texts = [None] * 4

    def write(i):
        texts[i] = "".join(pair.generate("It was", seed=i, max_tokens=10))

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == expected


def test_tokens_go_both_ways(pair):
    text = "The l\u00f6nely \u20ac house\n"
    assert pair.detokenize(pair.tokenize(text, special=False)).endswith(text)
    # The demo pair has no token that begins a text.
    assert pair.tokenize(text) == pair.tokenize(text, special=False)
    assert pair.tokenize("</s>", control=True) != pair.tokenize("</s>")
    long = "It was. " * 500
    assert pair.detokenize(pair.tokenize(long)).strip() == long.strip()
    assert not pair.is_end(5)
    assert pair.info["has_draft"] and pair.info["n_context"] == 512


def test_errors_are_one_line(pair, tmp_path):
    target, draft = gumbelspec.demo_models()
    wrong = tmp_path / "wrong.gguf"
    wrong.write_text("this is no model")
    cases = [
        (ModelError, "no-such.gguf", lambda: gumbelspec.Pair.load("no-such.gguf")),
        (ModelError, "wrong.gguf", lambda: gumbelspec.Pair.load(wrong)),
        (ModelError, "no-draft", lambda: gumbelspec.Pair.load(target, "no-draft.gguf")),
        (InvalidOption, "n_contxt", lambda: gumbelspec.Pair.load(target, draft, n_contxt=5)),
        (InvalidOption, "n_sequences", lambda: gumbelspec.Pair.load(target, n_sequences=0)),
        (InvalidOption, "temprature", lambda: pair.generate("a", temprature=1)),
        (InvalidOption, "top_p is 2", lambda: pair.generate("a", top_p=2)),
        (InvalidOption, "JSON", lambda: pair.generate("a", stop={1, 2})),
        (InvalidPrompt, "", lambda: pair.generate([])),
        (InvalidPrompt, "-1", lambda: pair.generate([1, -1])),
        (InvalidPrompt, "neither", lambda: pair.generate(["x"])),
        (InvalidPrompt, "99999999999", lambda: pair.generate([99999999999])),
        (InvalidPrompt, "512", lambda: pair.generate("word " * 600)),
        (InvalidPrompt, "UTF-8", lambda: pair.generate("\ud800")),
        (InvalidPrompt, "token 999999", lambda: pair.detokenize([999999])),
        (GumbelspecError, "", lambda: pair.generate(
            "a", logit_bias=[[i, False] for i in range(4096)]).result()),
    ]
    for kind, message, call in cases:
        with pytest.raises(kind) as caught:
            call()
        assert message in str(caught.value) and "\n" not in str(caught.value)
        assert isinstance(caught.value, GumbelspecError)
    assert pair.generate("It", max_tokens=2).result().outcome == "length"


def test_an_error_of_one_text_leaves_the_others(pair):
    batch = pair.batch(["It was", "It was"], [{"logit_bias": [[i, False] for i in range(4096)]}, {}],
                       seed=1, max_tokens=4)
    errors = [index for index, item in batch if item.error is not None]
    assert errors == [0]
    assert len(batch.generations[1].ids) == 4


def test_a_wheel_works_where_it_is_unpacked(tmp_path):
    root = os.environ["GUMBELSPEC_SOURCE"]
    subprocess.run([sys.executable, os.path.join(root, "scripts", "python-wheel"),
                    os.environ["GUMBELSPEC_BUILD"], str(tmp_path)], check=True,
                   stdout=subprocess.DEVNULL)
    wheel, = tmp_path.glob("gumbelspec-*-py3-none-*.whl")
    import zipfile
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        names = set(archive.namelist())
    record, = (tmp_path / "site").glob("*.dist-info/RECORD")
    assert {line.split(",")[0] for line in record.read_text().splitlines()} == names
    environment = {k: v for k, v in os.environ.items() if k != "GUMBELSPEC_LIBRARY"}
    environment["PYTHONPATH"] = str(tmp_path / "site")
    code = ("import gumbelspec; print(gumbelspec._library.LIB._name); "
            "print(gumbelspec.Pair.demo().generate('It', seed=1, max_tokens=3).result().ids)")
    out = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True,
                         env=environment, cwd="/")
    assert out.stdout.decode().startswith(str(tmp_path))
