"""The suite's models, in plain Python: copies of the demo pair with other metadata, and small models
of random weights with a vocabulary of llama.cpp's sources for vectors and ranks.

The suite's own models are downloads; these have its properties that the API shows: a first token
that the tokenizer adds, and tokens to fill in the middle.
"""
import array
import io
import os
import random
import struct

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, ARRAY = 8, 9
ALIGNMENT = 32
# What llama-server takes for models without a template.
CHATML = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
          "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        value = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value[0] if len(value) == 1 else value

    def text(self):
        n = self.take("Q")
        self.at += n
        return self.data[self.at - n:self.at]

    def skip(self, kind):
        if kind == TEXT:
            self.text()
        elif kind == ARRAY:
            element, n = self.take("IQ")
            for _ in range(n):
                self.skip(element)
        else:
            self.take(SCALARS[kind])


def entry(name, kind, value):
    out = struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind)
    if kind == TEXT:
        return out + struct.pack("<Q", len(value)) + value.encode()
    return out + struct.pack("<" + SCALARS[kind], value)


def read(path):
    """Returns: {name: entry} and the tensors, [(name, dimensions, type, bytes)]."""
    with open(path, "rb") as file:
        reader = Reader(file.read())
    _, _, n_tensors, n_entries = reader.take("IIQQ")
    entries = {}
    for _ in range(n_entries):
        begin = reader.at
        name = reader.text().decode()
        reader.skip(reader.take("I"))
        entries[name] = reader.data[begin:reader.at]
    infos = []
    for _ in range(n_tensors):
        name = reader.text().decode()
        dimensions = [reader.take("Q") for _ in range(reader.take("I"))]
        infos.append((name, dimensions, *reader.take("IQ")))
    begin = reader.at + -reader.at % ALIGNMENT
    ends = [info[3] for info in infos[1:]] + [len(reader.data) - begin]
    return entries, [(name, dimensions, kind, reader.data[begin + at:begin + end])
                     for (name, dimensions, kind, at), end in zip(infos, ends)]


def write(path, entries, tensors):
    out = io.BytesIO()
    out.write(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(entries)))
    out.write(b"".join(entries.values()))
    at = 0
    for name, dimensions, kind, data in tensors:
        out.write(struct.pack("<Q", len(name)) + name.encode())
        out.write(struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions))
        out.write(struct.pack("<IQ", kind, at))
        at += len(data) + -len(data) % ALIGNMENT
    for *_, data in tensors:
        out.write(b"\0" * (-out.tell() % ALIGNMENT))
        out.write(data)
    out.write(b"\0" * (-out.tell() % ALIGNMENT))
    with open(path, "wb") as file:
        file.write(out.getbuffer())


def copy(source, target, changes):
    """changes: {name: (kind, value)}, new or instead of what the file says."""
    entries, tensors = read(source)
    entries.update({name: entry(name, *change) for name, change in changes.items()})
    write(target, entries, tensors)


def split(source, folder):
    """The model in two files, as llama.cpp's gguf-split has them."""
    entries, tensors = read(source)
    half = len(tensors) // 2
    for i, part in enumerate([tensors[:half], tensors[half:]]):
        about = {"split.no": (2, i), "split.count": (2, 2),
                 "split.tensors.count": (5, len(tensors))}
        own = dict(entries) if i == 0 else {}
        own.update({name: entry(name, *value) for name, value in about.items()})
        write(os.path.join(folder, f"split-{i + 1:05}-of-00002.gguf"), own, part)


def bert(vocabulary, target, ranks):
    """A small model of random weights with a real vocabulary."""
    width, inner, n_layer, n_context = 32, 64, 2, 512
    entries, _ = read(vocabulary)
    n_vocab = struct.unpack_from("<Q", entries["tokenizer.ggml.tokens"],
                                 8 + len("tokenizer.ggml.tokens") + 8)[0]
    changes = {"bert.block_count": (4, n_layer), "bert.context_length": (4, n_context),
               "bert.embedding_length": (4, width), "bert.feed_forward_length": (4, inner),
               "bert.attention.head_count": (4, 4),
               "bert.pooling_type": (4, 4 if ranks else 2)}
    entries.update({name: entry(name, *change) for name, change in changes.items()})
    draw = random.Random(1)
    tensors = []

    def add(name, width, height, scale):
        """Q8_0: blocks of a scale and 32 bytes."""
        step = struct.pack("<e", scale / 128)
        blocks = [step + draw.randbytes(32) for _ in range(width // 32 * height)]
        tensors.append((name, [width, height], 8, b"".join(blocks)))

    def vector(name, center, *more):
        n = width * (more[0] if more else 1)
        values = array.array("f", (draw.uniform(-0.1, 0.1) + center for _ in range(n)))
        tensors.append((name, [width, *more], 0, values.tobytes()))

    def norm(name):
        vector(name + ".weight", 1.0)
        vector(name + ".bias", 0.0)

    add("token_embd.weight", width, n_vocab, 1)
    vector("token_types.weight", 0.0, 2)  # llama.cpp adds it as it is
    add("position_embd.weight", width, n_context, 1)
    norm("token_embd_norm")
    for i in range(n_layer):
        block = f"blk.{i}."
        for part in ["attn_q", "attn_k", "attn_v", "attn_output"]:
            add(block + part + ".weight", width, width, 0.5)
        norm(block + "attn_output_norm")
        add(block + "ffn_up.weight", width, inner, 0.5)
        add(block + "ffn_down.weight", inner, width, 0.5)
        norm(block + "layer_output_norm")
    if ranks:
        add("cls.weight", width, width, 0.5)
        vector("cls.bias", 0.0)
        add("cls.output.weight", width, 1, 1)
    write(target, entries, tensors)


def lora(base, target):
    """An adapter of rank 4 and random weights for the attention of all layers."""
    entries, tensors = read(base)
    draw = random.Random(2)
    rank = 4
    own = []
    for name, dimensions, *_ in tensors:
        if ".attn_q." not in name and ".attn_v." not in name:
            continue
        for end, shape in [("lora_a", [dimensions[0], rank]), ("lora_b", [rank, dimensions[1]])]:
            values = array.array("f", (draw.uniform(-0.5, 0.5) for _ in range(shape[0] * shape[1])))
            own.append((f"{name}.{end}", shape, 0, values.tobytes()))
    about = {"general.type": (TEXT, "adapter"), "adapter.type": (TEXT, "lora"),
             "adapter.lora.alpha": (6, float(rank))}
    kept = {"general.architecture": entries["general.architecture"]}
    write(target, {**kept, **{name: entry(name, *value) for name, value in about.items()}}, own)


def make(demo, vocabularies, folder):
    """vocabularies: llama.cpp's models/ggml-vocab-*.gguf."""
    os.makedirs(folder, exist_ok=True)
    bos = {"tokenizer.ggml.add_bos_token": (7, True),
           "tokenizer.chat_template": (TEXT, CHATML)}
    # Bytes that no text has; the model has never seen them in this role.
    middle = {f"tokenizer.ggml.{name}_token_id": (4, 3 + i)
              for i, name in enumerate(["fim_pre", "fim_suf", "fim_mid", "fim_rep", "fim_sep"])}
    for name, source, changes in [("target", "demo-target-q8_0", bos),
                                  ("draft", "demo-draft-q8_0", bos),
                                  ("infill", "demo-target-q8_0", {**bos, **middle})]:
        copy(os.path.join(demo, source + ".gguf"), os.path.join(folder, name + ".gguf"), changes)
    split(os.path.join(folder, "target.gguf"), folder)
    lora(os.path.join(folder, "target.gguf"), os.path.join(folder, "lora.gguf"))
    words = os.path.join(vocabularies, "ggml-vocab-bert-bge.gguf")
    bert(words, os.path.join(folder, "embedding.gguf"), ranks=False)
    bert(words, os.path.join(folder, "reranker.gguf"), ranks=True)
