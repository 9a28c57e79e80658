"""What is changed in the suite's files, because its models are others: (file, text, instead).

Nothing that the API promises. The suite's models are stories260K and the like; words that they
write become any words, and counts of tokens those of the demo pair's vocabulary (llama.cpp's rule
for it, merges by score), where texts become longer or shorter so that they still fit, or do not.
"""
COMPLETION, CHAT, SHIFT = "test_completion.py", "test_chat_completion.py", "test_ctx_shift.py"
SLOTS, INFILL, SPECULATIVE = "test_slot_save.py", "test_infill.py", "test_speculative.py"
BASIC, RANK, RESPONSES = "test_basic.py", "test_rerank.py", "test_compat_oai_responses.py"
SLEEP, SECURITY, ROUTER = "test_sleep.py", "test_security.py", "test_router.py"
LORA = "test_lora.py"

CHANGES = [
    # Any words; with the prompt's and the text's tokens.
    (COMPLETION, '8, "(going|bed)+", 18, 8', '8, ".+", 8, 8'),
    (COMPLETION, '64, "(princesses|everyone|kids|Anna|forest)+", 46, 64', '64, ".+", 24, 64'),
    (COMPLETION, '"(going|bed)+"', '".+"'),
    (COMPLETION, '"I believe the meaning of life is"*32', '"I believe the meaning of life is"*64'),
    (CHAT, '"But she couldn\'t", 69', '".+", 57'),
    (CHAT, '"(Suddenly)+|\\\\{ \\" Sarax.", 77', '".+", 60'),
    (CHAT, '"^ blue",                    23', '".+",                    13'),
    (CHAT, '"(Aside|she|felter|alonger)+", 104', '".+", 80'),
    (CHAT, '"Whillicter", 79', '".+", 61'),
    (CHAT, '"(Suddenly)+", 77', '".+", 60'),
    (CHAT, '"(Suddenly)+"', '".+"'),
    (CHAT, '("1 2 3 4 5 6", 77, 0)', '("1 2 3 4 5 6", 66, 0)'),
    (CHAT, '("1 2 3 4 5 6", 77, 76)', '("1 2 3 4 5 6", 66, 65)'),
    (CHAT, '("1 2 3 4 5 9", 77, 51)', '("1 2 3 4 5 9", 66, 45)'),
    (CHAT, '("1 2 3 9 9 9", 77, 47)', '("1 2 3 9 9 9", 66, 41)'),
    (CHAT, '"[ -3000 ]"', '"\\\\[.*"'),
    (CHAT, '"This is a test" * 10', '"This is a test" * 20'),
    (SHIFT, '"prompt": LONG_TEXT', '"prompt": LONG_TEXT * 2'),
    (SHIFT, '(-1, 248, True), # 8 tokens prompt', '(-1, 250, True), # 6 tokens prompt'),
    (SHIFT, '["prompt_n"] == 226', '["prompt_n"] == 145'),
    (SLOTS, '(Whiskers|Flana)+', '.+'),
    (SLOTS, '(Jack|said)+', '.+'),
    (SLOTS, '["prompt_n"] == 21', '["prompt_n"] == 10'),
    (SLOTS, '["prompt_n"] == 6', '["prompt_n"] == 3'),
    (SLOTS, '== 84', '== 73'),
    (INFILL, '"(Ann|small|shiny|Daddy|Jimmy)+"', '".+"'),
    (INFILL, '"(Dad|excited|park|Jimmy)+"', '".+"'),
    (BASIC, '"(little|girl)+"', '".+"'),
    (LORA, '"(little|girl|three|years|old)+"', '".+"'),
    (LORA, '"(eye|love|glass|sun)+"', '".+"'),
    # Which document is the best one, a model of random weights does not know.
    (RANK, 'most_relevant["index"] == 2', 'most_relevant["index"] in range(4)'),
    (RANK, 'least_relevant["index"] == 3', 'least_relevant["index"] in range(4)'),
    (RANK, '"Learning is", 19', '"Learning is", 14'),
    (RANK, '"Paris, capitale de la", 26', '"Paris, capitale de la", 19'),
    (RESPONSES, '"(Suddenly)+"', '".+"'),
    (SPECULATIVE, '"(wise|kind|owl|answer)+"', '".+"'),
    (SPECULATIVE, '"Hello " * 248', '"Hello " * 80'),
    # The page has other files.
    (SECURITY, '["/", "/sw.js", "/manifest.webmanifest", "/_app/version.json"]',
     '["/", "/app.js", "/app.css", "/icon.svg"]'),
    # A request that takes a while by its work, not by a sleep that is built into the server.
    (ROUTER, "    busy = _Bg(lambda: _tokenize(MODEL_A)).start()", "    busy = _Bg(_work).start()"),
    (ROUTER, "class _Bg:", """def _work() -> ServerResponse:
    return server.make_request("POST", "/completion", data={
        "model": MODEL_A, "prompt": ["hello"] * 16, "n_predict": 900, "ignore_eos": True})


class _Bg:"""),
    # Requests are counted, too, under our own names; llama.cpp's metrics stand still.
    (SLEEP, "    return res.body\n\n\ndef get_metric",
     '    return "\\n".join(ln for ln in res.body.splitlines() if ln.startswith("llamacpp:"))\n\n\n'
     "def get_metric"),
]
