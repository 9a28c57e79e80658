"""Pairs of models and the texts that they write.

All texts of a pair are decoded in one batch of the library, which reads a prompt's beginning once
where several prompts share it (the turns of a chat do) and lets texts share the target's passes.
"""

from __future__ import annotations

import ctypes
import json
import os
import threading
import weakref
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p
from typing import (Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union)

from gumbelspec import _errors
from gumbelspec._library import LIB, CEvent, Progress, check, models_folder
from gumbelspec._rounds import Result, Round

Prompt = Union[str, Sequence[int]]
Message = Mapping[str, Any]


def demo_models() -> Tuple[str, str]:
    """The paths of the demo pair's target and draft, which come with the project."""
    folder = models_folder()
    return str(folder / "demo-target-q8_0.gguf"), str(folder / "demo-draft-q8_0.gguf")


def _json(options: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps({k: v for k, v in options.items() if v is not None}).encode()
    except TypeError as error:
        raise _errors.InvalidOption(f"an option cannot be written as JSON: {error}", 2) from None


def _ints(tokens: Sequence[int]) -> Any:
    try:
        values = [int(token) for token in tokens]
    except (TypeError, ValueError):
        raise _errors.InvalidPrompt("the prompt is neither a text nor a list of tokens", 6) from None
    for value in values:
        if not -2**31 <= value < 2**31:
            raise _errors.InvalidPrompt(f"token {value} is not in the vocabulary", 6)
    return (c_int * len(values))(*values)


def _filled(call: Callable[[Any, int, Any], int], item: Any) -> Any:
    """What a function writes that says how much room it needs."""
    n = c_size_t()
    room = 64
    while True:
        buffer = (item * room)()
        status = call(buffer, room, byref(n))
        if status == 0:
            return buffer[:n.value]
        if status != _errors.TOO_SMALL:
            check(status)
        room = n.value


class Generation:
    """A text that is being written. Iterating gives its pieces as they come; each step of the
    iteration decodes one or more rounds. A KeyboardInterrupt leaves it as it is: iterate on, or
    close() it."""

    def __init__(self, pair: "Pair", identity: int) -> None:
        self._pair = pair
        self._id = identity
        self._rounds: List[Round] = []
        self._n_read = 0
        self._drop = weakref.finalize(self, pair._to_cancel.append, identity)
        self._drop.atexit = False

    @property
    def text(self) -> str:
        """All of it so far."""
        return "".join(r.text for r in self._rounds)

    @property
    def ids(self) -> List[int]:
        """The tokens so far."""
        return [token for r in self._rounds for token in r.ids]

    @property
    def outcome(self) -> str:
        """"running", "eos", "length", "context_full", "cancelled" or "stop"."""
        return self._rounds[-1].outcome if self._rounds else "running"

    def rounds(self) -> Iterator[Round]:
        """The rounds that have not been read yet, as they come."""
        while True:
            item = self._next_round()
            if item is None:
                return
            if item.ids or item.text:
                yield item

    def __iter__(self) -> "Generation":
        return self

    def __next__(self) -> str:
        while True:
            item = self._next_round()
            if item is None:
                raise StopIteration
            if item.text:
                return item.text

    def tokens(self) -> Iterator[int]:
        """The tokens of the rounds that have not been read yet, as they come."""
        for item in self.rounds():
            yield from item.ids

    def result(self) -> Result:
        """Decodes what is left. Raises: what ended the text, if that was an error."""
        while self._next_round() is not None:
            pass
        return Result(self._rounds)

    def close(self) -> None:
        """Ends the text; its room is free before the next round of any other."""
        if self.outcome == "running":
            self._drop()

    def __enter__(self) -> "Generation":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _next_round(self) -> Optional[Round]:
        while self._n_read == len(self._rounds):
            if self.outcome != "running":
                return None
            if not self._pair._step(self):
                return None
        item = self._rounds[self._n_read]
        self._n_read += 1
        if item.error is not None:
            raise item.error
        return item


class Batch:
    """Several texts at once. Iterating gives (index of the prompt, round) as they come; a text that
    an error ended has it in its last round's `error`, and the others go on."""

    def __init__(self, generations: List[Generation]) -> None:
        self.generations = generations

    def __len__(self) -> int:
        return len(self.generations)

    def __iter__(self) -> Iterator[Tuple[int, Round]]:
        running = dict(enumerate(self.generations))
        while running:
            for index, generation in list(running.items()):
                while generation._n_read < len(generation._rounds):
                    item = generation._rounds[generation._n_read]
                    generation._n_read += 1
                    if item.ids or item.text or item.error is not None:
                        yield index, item
                if generation.outcome != "running":
                    del running[index]
            if running:
                first = next(iter(running.values()))
                first._pair._step(first)

    def results(self) -> List[Result]:
        """Decodes what is left of all of them."""
        return [generation.result() for generation in self.generations]

    def close(self) -> None:
        for generation in self.generations:
            generation.close()


class Pair:
    """A target and its draft. Pair.load() makes one.

    Threads: any number may use one pair; texts of several threads share the passes. While the
    library computes, other Python threads run.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._lock = threading.Lock()
        self._texts: "weakref.WeakValueDictionary[int, Generation]" = weakref.WeakValueDictionary()
        self._to_cancel: List[int] = []
        # Of the last step. A KeyboardInterrupt can come between any two of Python's instructions:
        # what a step did is read from these in whichever call comes next.
        self._n_step = 0
        self._n_events = c_size_t(0)
        self._n_taken = 0
        self._goes_on = c_int(0)
        self._batch_holder: List[int] = []  # none before the first text
        self._free = weakref.finalize(self, _free_all, handle, self._batch_holder)

    @classmethod
    def load(cls, target: Union[str, "os.PathLike[str]"],
             draft: Union[str, "os.PathLike[str]", None] = None, *,
             progress: Optional[Callable[[float], Any]] = None, n_sequences: int = 4,
             **options: Any) -> "Pair":
        """Loads GGUF files.

        draft: without one, what the text itself suggests is drafted. n_sequences: texts decoded at
        once; more wait. progress: called with values in [0, 1]. options: n_context, n_threads,
        n_gpu_layers, ... (docs/c-api.md). Raises: ModelError, InvalidOption.
        """
        raised: List[BaseException] = []

        def told(done: float, _user: Any) -> int:
            try:
                if progress is not None:
                    progress(done)
                return 1
            except BaseException as error:  # a KeyboardInterrupt, too
                raised.append(error)
                return 0

        handle = c_void_p()
        status = LIB.gumbelspec_pair_load(
            os.fsencode(target), None if draft is None else os.fsencode(draft),
            _json({"n_sequences": n_sequences, **options}), Progress(told), None, byref(handle))
        if status == _errors.STOPPED:
            raise raised[0] if raised else KeyboardInterrupt
        check(status)
        assert handle.value is not None
        return cls(handle.value)

    @classmethod
    def demo(cls, **options: Any) -> "Pair":
        """The demo pair."""
        return cls.load(*demo_models(), **options)

    @property
    def info(self) -> Dict[str, Any]:
        """n_vocab, n_context, n_sequences, has_draft, target, draft, bos, eos, same_seed, why."""
        out = c_char_p()
        check(LIB.gumbelspec_pair_info(self._handle, byref(out)))
        assert out.value is not None
        result: Dict[str, Any] = json.loads(out.value)
        return result

    def tokenize(self, text: str, *, special: bool = True, control: bool = False) -> List[int]:
        """special: with the tokens that begin a text. control: "<|im_end|>" is that token."""
        data = text.encode("utf-8", "surrogatepass")
        flags = (0 if special else 1) | (2 if control else 0)
        tokens: List[int] = _filled(
            lambda buffer, room, n: LIB.gumbelspec_tokenize(self._handle, data, len(data), flags,
                                                            buffer, room, n), c_int)
        return tokens

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text; what is not UTF-8, as a part of a character, becomes U+FFFD."""
        return self.detokenize_bytes(tokens).decode("utf-8", "replace")

    def detokenize_bytes(self, tokens: Sequence[int]) -> bytes:
        values = _ints(tokens)
        data: bytes = _filled(
            lambda buffer, room, n: LIB.gumbelspec_detokenize(self._handle, values, len(values),
                                                              buffer, room, n), ctypes.c_char)
        return data

    def is_end(self, token: int) -> bool:
        """Whether the token ends a text."""
        out = c_int()
        check(LIB.gumbelspec_is_end(self._handle, token, byref(out)))
        return bool(out.value)

    def chat_tokens(self, messages: Sequence[Message], **template: Any) -> List[int]:
        """A conversation by the model's chat template. template: chat_template_kwargs,
        add_generation_prompt, continue_final_message."""
        chat = _json({"messages": list(messages), **template})
        tokens: List[int] = _filled(
            lambda buffer, room, n: LIB.gumbelspec_chat_tokens(self._handle, chat, buffer, room, n),
            c_int)
        return tokens

    def generate(self, prompt: Prompt, **options: Any) -> Generation:
        """A text that goes on with the prompt, a text or tokens.

        options, as in the server's requests (docs/server.md): seed, max_tokens, temperature, top_p,
        top_k, min_p, stop, logprobs, method, grammar, json_schema, ... None: as if left out.
        Raises: InvalidOption, InvalidPrompt.
        """
        tokens = _ints(self.tokenize(prompt) if isinstance(prompt, str) else prompt)
        identity = c_size_t()
        with self._lock:
            batch = self._batch_handle()
            check(LIB.gumbelspec_batch_add(batch, tokens, len(tokens), _json(options),
                                           byref(identity)))
            generation = Generation(self, identity.value)
            self._texts[identity.value] = generation
        return generation

    def chat(self, messages: Sequence[Message], *,
             chat_template_kwargs: Optional[Mapping[str, Any]] = None,
             continue_final_message: Optional[bool] = None, **options: Any) -> Generation:
        """The assistant's answer: messages are {"role": ..., "content": ...}. What earlier turns
        had evaluated is not evaluated again. options: as of generate()."""
        return self.generate(self.chat_tokens(messages, chat_template_kwargs=chat_template_kwargs,
                                              continue_final_message=continue_final_message),
                             **options)

    def batch(self, prompts: Sequence[Prompt],
              options: Optional[Sequence[Mapping[str, Any]]] = None, **common: Any) -> Batch:
        """Several texts at once. common: options of all; options: one mapping for each prompt."""
        if options is not None and len(options) != len(prompts):
            raise _errors.InvalidOption(f"there are {len(prompts)} prompts, but {len(options)} "
                                        "options; give one mapping for each", 2)
        each = options or [{}] * len(prompts)
        generations: List[Generation] = []
        try:
            for prompt, own in zip(prompts, each):
                generations.append(self.generate(prompt, **{**common, **own}))
        except BaseException:
            for generation in generations:
                generation.close()
            raise
        return Batch(generations)

    def _batch_handle(self) -> int:
        if not self._batch_holder:
            handle = c_void_p()
            check(LIB.gumbelspec_batch_new(self._handle, None, byref(handle)))
            assert handle.value is not None
            self._batch_holder.append(handle.value)
        return self._batch_holder[0]

    def _step(self, waiting: Generation) -> bool:
        """A step of the batch, unless `waiting` has got something meanwhile. Returns: whether there
        can be more."""
        with self._lock:
            batch = self._batch_handle()
            self._take_events(batch)
            if waiting._n_read < len(waiting._rounds):
                return True
            while self._to_cancel:
                check(LIB.gumbelspec_batch_cancel(batch, self._to_cancel[-1]))
                self._to_cancel.pop()
            self._n_events.value = 0
            self._n_taken = 0
            self._n_step += 1
            check(LIB.gumbelspec_batch_step(batch, byref(self._n_events), byref(self._goes_on)))
            self._take_events(batch)
            return bool(self._goes_on.value) or waiting._n_read < len(waiting._rounds)

    def _take_events(self, batch: int) -> None:
        """What the last step did goes to the texts. Taking an event twice does no harm."""
        event = ctypes.POINTER(CEvent)()
        while self._n_taken < self._n_events.value:
            check(LIB.gumbelspec_batch_event(batch, self._n_taken, byref(event)))
            of = event.contents
            generation = self._texts.get(of.id)
            key = (self._n_step, self._n_taken)
            if generation is not None:
                rounds = generation._rounds
                if not rounds or rounds[-1].key < key:
                    error = None
                    if of.status != 0:
                        error = _errors.error_of(of.status, of.error.decode("utf-8", "replace"))
                    report = json.loads(of.report) if of.report else None
                    rounds.append(Round(of.round.contents, key, report, error))
            self._n_taken += 1


def _free_all(pair: int, batches: List[int]) -> None:
    while batches:
        LIB.gumbelspec_batch_free(batches.pop())
    LIB.gumbelspec_pair_free(pair)
