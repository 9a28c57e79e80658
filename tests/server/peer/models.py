"""The suite's models: copies of the demo pair with other metadata, in plain Python.

The suite's own models are downloads; these have its properties that the API shows: a first token
that the tokenizer adds, and tokens to fill in the middle.
"""
import io
import os
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


def copy(source, target, changes):
    """changes: {name: (kind, value)}, new or instead of what the file says."""
    with open(source, "rb") as file:
        reader = Reader(file.read())
    magic, version, n_tensors, n_entries = reader.take("IIQQ")
    entries = {}
    for _ in range(n_entries):
        begin = reader.at
        name = reader.text().decode()
        reader.skip(reader.take("I"))
        entries[name] = reader.data[begin:reader.at]
    entries.update({name: entry(name, *change) for name, change in changes.items()})
    begin = reader.at
    for _ in range(n_tensors):
        reader.text()
        for _ in range(reader.take("I")):
            reader.take("Q")
        reader.take("IQ")
    tensors = reader.data[begin:reader.at]
    reader.at += -reader.at % ALIGNMENT
    out = io.BytesIO()
    out.write(struct.pack("<IIQQ", magic, version, n_tensors, len(entries)))
    out.write(b"".join(entries.values()) + tensors)
    out.write(b"\0" * (-out.tell() % ALIGNMENT))
    out.write(reader.data[reader.at:])
    with open(target, "wb") as file:
        file.write(out.getbuffer())


def make(demo, folder):
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
