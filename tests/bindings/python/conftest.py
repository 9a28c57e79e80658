import pytest

import gumbelspec


@pytest.fixture(scope="session")
def pair():
    return gumbelspec.Pair.demo(n_context=512, n_sequences=3)
