"""Speculative decoding whose text is, token for token, the target model's own.

    import gumbelspec

    pair = gumbelspec.Pair.load("target.gguf", "draft.gguf")
    for text in pair.generate("The old house", seed=7, max_tokens=64):
        print(text, end="", flush=True)

docs/python.md says more. The package needs nothing but Python 3.9; arrays of log-probabilities
and trees need numpy.
"""

from gumbelspec._errors import GumbelspecError, InvalidOption, InvalidPrompt, ModelError
from gumbelspec._library import version
from gumbelspec._pair import Batch, Generation, Pair, demo_models
from gumbelspec._rounds import Node, Result, Round, Token, Tree

__version__ = version()
__all__ = [
    "Batch", "Generation", "GumbelspecError", "InvalidOption", "InvalidPrompt", "ModelError", "Node",
    "Pair", "Result", "Round", "Token", "Tree", "demo_models", "__version__",
]
