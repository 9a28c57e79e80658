"""The results.json of a folder that `gumbelspec bench --out` wrote; scripts/results compresses it."""
import gzip
import json
import pathlib


def load(folder):
    """None where there is none."""
    path = pathlib.Path(folder) / "results.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    path = path.with_name("results.json.gz")
    return json.loads(gzip.decompress(path.read_bytes())) if path.exists() else None
