"""What a round of the library did, in memory of Python's own."""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional

from gumbelspec._library import CRound

if TYPE_CHECKING:
    import numpy as np

OUTCOMES = ("running", "eos", "length", "context_full", "cancelled", "stop")

_TOKEN = struct.Struct("iifii")
_NODE = struct.Struct("iiifi")
_LOGPROB = struct.Struct("if")


def _numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise ImportError("arrays need numpy; install it (Debian: python3-numpy)") from error
    return numpy


def _bytes(address: Optional[int], n: int) -> bytes:
    return ctypes.string_at(address, n) if address and n else b""


class Token(NamedTuple):
    """A generated token and how it came about."""

    token: int
    runner_up: int  #: the token that would have come next best
    margin: float  #: by how much, in nats; infinity where there is none
    depth: int  #: of its parent in the draft tree; 0: the root
    was_drafted: bool  #: accepted from the draft, not only chosen by the target


class Node(NamedTuple):
    """A node of a draft tree."""

    token: int
    parent: int  #: index of a node before it; -1: it is the root
    depth: int
    log_value: float  #: log of the estimated chance that the text goes this way
    is_accepted: bool


class Tree:
    """The tree that one pass of the target verified. Node 0 is the last token before the round."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data) // _NODE.size

    @property
    def nodes(self) -> List[Node]:
        return [Node(t, p, d, v, bool(a)) for t, p, d, v, a in _NODE.iter_unpack(self._data)]

    @property
    def arrays(self) -> "np.ndarray[Any, Any]":
        """A structured array: token, parent, depth (int32), log_value (float32), is_accepted
        (int32). Shape: [len(tree)]."""
        return _numpy().frombuffer(self._data, dtype=[
            ("token", "i4"), ("parent", "i4"), ("depth", "i4"), ("log_value", "f4"),
            ("is_accepted", "i4")])

    @property
    def n_drafted(self) -> int:
        return max(len(self) - 1, 0)

    @property
    def n_accepted(self) -> int:
        return max(sum(node.is_accepted for node in self.nodes) - 1, 0)


class Round:
    """What one round appended to a text."""

    def __init__(self, source: CRound, key: Any, report: Optional[Dict[str, Any]],
                 error: Optional[Exception]) -> None:
        self.key = key
        #: "running", or how the text ended: "eos", "length", "context_full", "cancelled", "stop"
        self.outcome: str = OUTCOMES[source.outcome]
        #: Whole characters; what may be part of a stop text comes later, or not at all.
        self.text: str = _bytes(source.text, source.n_text).decode("utf-8", "replace")
        self.report = report
        self.error = error
        self.n_top: int = source.n_top
        self.tree = Tree(_bytes(source.nodes, source.n_nodes * _NODE.size))
        self._tokens = _bytes(source.tokens, source.n_tokens * _TOKEN.size)
        self._logprobs = _bytes(source.logprobs, source.n_tokens * _LOGPROB.size)
        self._top = _bytes(source.top_logprobs, source.n_tokens * source.n_top * _LOGPROB.size)

    @property
    def tokens(self) -> List[Token]:
        return [Token(t, r, m, d, bool(w)) for t, r, m, d, w in _TOKEN.iter_unpack(self._tokens)]

    @property
    def ids(self) -> List[int]:
        return [values[0] for values in _TOKEN.iter_unpack(self._tokens)]

    @property
    def logprobs(self) -> "np.ndarray[Any, Any]":
        """Of the tokens, by the model itself: before temperature, penalties and truncation.
        float32, nats. Shape: [len(tokens)], or [0] without the option logprobs."""
        return _logprobs(self._logprobs)["logprob"]

    @property
    def top_logprobs(self) -> "np.ndarray[Any, Any]":
        """Structured (token int32, logprob float32), likeliest first. Shape: [len(tokens), n]."""
        return _logprobs(self._top).reshape(-1, self.n_top) if self.n_top else _logprobs(b"")


class Result:
    """A text that has ended."""

    def __init__(self, rounds: List[Round]) -> None:
        #: All rounds that appended tokens.
        self.rounds = [r for r in rounds if r.ids]
        self.text = "".join(r.text for r in rounds)
        self.ids = [token for r in rounds for token in r.ids]
        self.outcome = rounds[-1].outcome
        #: seed, method, guarantee, stop_reason, stats: see docs/python.md.
        self.report: Dict[str, Any] = rounds[-1].report or {}

    @property
    def seed(self) -> int:
        return int(self.report["seed"])

    @property
    def tokens_per_pass(self) -> float:
        return float(self.report["stats"]["tokens_per_pass"])

    @property
    def logprobs(self) -> "np.ndarray[Any, Any]":
        """As Round.logprobs, of all tokens."""
        return _numpy().concatenate([r.logprobs for r in self.rounds] or [_logprobs(b"")["logprob"]])

    @property
    def top_logprobs(self) -> "np.ndarray[Any, Any]":
        """As Round.top_logprobs, of all tokens."""
        return _numpy().concatenate([r.top_logprobs for r in self.rounds] or [_logprobs(b"")])

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Result {self.outcome}, {len(self.ids)} tokens: {self.text!r}>"


def _logprobs(data: bytes) -> Any:
    return _numpy().frombuffer(data, dtype=[("token", "i4"), ("logprob", "f4")])
