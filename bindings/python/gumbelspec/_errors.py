"""What the library reports. Every message is one line: the value, the limit and the remedy."""

from __future__ import annotations


class GumbelspecError(Exception):
    """Any error of the library. status: the number in gumbelspec_c.h."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class InvalidOption(GumbelspecError, ValueError):
    """An option that is unknown or outside its limits."""


class InvalidPrompt(GumbelspecError, ValueError):
    """A prompt that is empty, not text, too long, or has a token outside the vocabulary."""


class ModelError(GumbelspecError):
    """A model file that is missing or cannot be used, or two that do not go together."""


TOO_SMALL = 12
STOPPED = 14

_CLASSES = {1: InvalidOption, 2: InvalidOption, 3: ModelError, 4: ModelError, 5: ModelError,
            6: InvalidPrompt, 7: InvalidPrompt}


def error_of(status: int, message: str) -> Exception:
    if status == 8:
        return MemoryError(message)
    return _CLASSES.get(status, GumbelspecError)(message, status)
