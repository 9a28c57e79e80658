"""In place of PyPI's wget: nothing is fetched; the suite's files are what our models stand for."""
import os
import shutil

FILES = {"stories15M-q4_0.gguf": "draft.gguf", "moe_shakespeare15M.gguf": "lora.gguf"}


def download(url, out):
    name = url.split("/")[-1]
    if name not in FILES:
        raise RuntimeError(f"{url} is not fetched, and no file stands for it")
    os.makedirs(os.path.dirname(out), exist_ok=True)
    shutil.copyfile(os.path.join(os.environ["PEER_MODELS"], FILES[name]), out)
