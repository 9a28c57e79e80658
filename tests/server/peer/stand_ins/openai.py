"""In place of PyPI's openai: what the suite uses of it, over requests."""
import json

import requests


class Thing:
    """A JSON object with attributes; what it lacks is None, as in the client's models."""

    def __init__(self, value):
        self._value = value

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return wrap(self._value.get(name))

    def __getitem__(self, name):
        return wrap(self._value[name])

    def model_dump(self):
        return self._value

    @property
    def output_text(self):
        """Of a response: all of its texts."""
        return "".join(part.get("text", "") for item in self._value.get("output", [])
                       for part in item.get("content") or [] if part.get("type") == "output_text")


def wrap(value):
    if isinstance(value, dict):
        return Thing(value)
    return [wrap(v) for v in value] if isinstance(value, list) else value


class APIError(Exception):
    def __init__(self, response):
        super().__init__(f"{response.status_code} {response.text}")
        self.status_code = response.status_code


class Path:
    def __init__(self, client, path):
        self._client, self._path = client, path

    def create(self, stream=False, extra_body=None, **fields):
        body = {**fields, **(extra_body or {})}
        if stream:
            body["stream"] = True
        response = requests.post(self._client.base_url + self._path, json=body, stream=stream,
                                 headers={"Authorization": f"Bearer {self._client.api_key}"})
        if response.status_code >= 400:
            raise APIError(response)
        return self._events(response) if stream else wrap(response.json())

    @staticmethod
    def _events(response):
        for line in response.iter_lines():
            text = line.decode("utf-8")
            if text == "data: [DONE]":
                return
            if text.startswith("data: "):
                yield wrap(json.loads(text[6:]))


class OpenAI:
    def __init__(self, api_key, base_url):
        self.api_key, self.base_url = api_key, base_url.rstrip("/")
        self.completions = Path(self, "/completions")
        self.embeddings = Path(self, "/embeddings")
        self.responses = Path(self, "/responses")
        self.chat = type("Chat", (), {"completions": Path(self, "/chat/completions")})()
