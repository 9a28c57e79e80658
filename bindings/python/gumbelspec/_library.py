"""The shared library libgumbelspec_c and its functions, as gumbelspec_c.h declares them.

ctypes lets other Python threads run while a function of the library does.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_char_p, c_float, c_int, c_size_t, c_void_p
from pathlib import Path
from typing import Iterator

from gumbelspec import _errors

_ABI = 1
_NAME = f"libgumbelspec_c.so.{_ABI}"
_HERE = Path(__file__).resolve().parent

try:
    from gumbelspec import _installed  # made by the installation: where things lie from here
except ImportError:
    _installed = None  # type: ignore[assignment]


class CRound(ctypes.Structure):
    """gumbelspec_round. It may be longer in later versions; the library alone makes it."""

    _fields_ = [("outcome", c_int), ("tokens", c_void_p), ("n_tokens", c_size_t),
                ("text", c_void_p), ("n_text", c_size_t), ("logprobs", c_void_p),
                ("top_logprobs", c_void_p), ("n_top", c_size_t), ("nodes", c_void_p),
                ("n_nodes", c_size_t)]


class CEvent(ctypes.Structure):
    """gumbelspec_event."""

    _fields_ = [("id", c_size_t), ("round", POINTER(CRound)), ("status", c_int),
                ("error", c_char_p), ("report", c_char_p)]


Progress = ctypes.CFUNCTYPE(c_int, c_float, c_void_p)

_FUNCTIONS = {
    "gumbelspec_pair_load": [c_char_p, c_char_p, c_char_p, Progress, c_void_p, POINTER(c_void_p)],
    "gumbelspec_pair_info": [c_void_p, POINTER(c_char_p)],
    "gumbelspec_tokenize": [c_void_p, c_char_p, c_size_t, c_int, POINTER(c_int), c_size_t,
                            POINTER(c_size_t)],
    "gumbelspec_detokenize": [c_void_p, POINTER(c_int), c_size_t, c_char_p, c_size_t,
                              POINTER(c_size_t)],
    "gumbelspec_is_end": [c_void_p, c_int, POINTER(c_int)],
    "gumbelspec_chat_tokens": [c_void_p, c_char_p, POINTER(c_int), c_size_t, POINTER(c_size_t)],
    "gumbelspec_batch_new": [c_void_p, c_char_p, POINTER(c_void_p)],
    "gumbelspec_batch_add": [c_void_p, POINTER(c_int), c_size_t, c_char_p, POINTER(c_size_t)],
    "gumbelspec_batch_cancel": [c_void_p, c_size_t],
    "gumbelspec_batch_step": [c_void_p, POINTER(c_size_t), POINTER(c_int)],
    "gumbelspec_batch_event": [c_void_p, c_size_t, POINTER(POINTER(CEvent))],
}


def _candidates() -> Iterator[str]:
    named = os.environ.get("GUMBELSPEC_LIBRARY")
    if named:
        yield named
        return
    yield str(_HERE / "lib" / _NAME)  # of a wheel
    if _installed is not None:
        yield str(_HERE / _installed.LIBRARY)
    yield str(_HERE.parents[2] / "build" / "release" / "lib" / _NAME)  # of the source tree
    yield _NAME  # where the loader looks


def _load() -> ctypes.CDLL:
    tried = []
    for candidate in _candidates():
        if "/" in candidate and not os.path.exists(candidate):
            tried.append(candidate)
            continue
        try:
            library = ctypes.CDLL(candidate)
            break
        except OSError as error:
            tried.append(f"{candidate} ({error})")
    else:
        raise ImportError(f"{_NAME} is not found; build it, or say with GUMBELSPEC_LIBRARY where it "
                          f"is; tried: {', '.join(tried)}")
    if library.gumbelspec_abi() != _ABI:
        raise ImportError(f"{library._name} has ABI {library.gumbelspec_abi()}, but this package "
                          f"needs {_ABI}; install both from the same version")
    for name, arguments in _FUNCTIONS.items():
        function = getattr(library, name)
        function.argtypes = arguments
        function.restype = c_int
    for name in ("gumbelspec_pair_free", "gumbelspec_batch_free"):
        getattr(library, name).argtypes = [c_void_p]
        getattr(library, name).restype = None
    for name in ("gumbelspec_last_error", "gumbelspec_version"):
        getattr(library, name).argtypes = []
        getattr(library, name).restype = c_char_p
    return library


LIB = _load()


def version() -> str:
    """The library's version."""
    return LIB.gumbelspec_version().decode()


def check(status: int) -> None:
    """Raises what a function of the library reported."""
    if status != 0:
        raise _errors.error_of(status, LIB.gumbelspec_last_error().decode("utf-8", "replace"))


def models_folder() -> Path:
    """Where the demo pair may lie."""
    folders = [_HERE / "models", _HERE.parents[2] / "models"]
    if _installed is not None:
        folders.insert(1, _HERE / _installed.MODELS)
    for folder in folders:
        if (folder / "demo-target-q8_0.gguf").exists():
            return folder.resolve()
    raise FileNotFoundError("the demo pair is not installed; give the paths of two models")
