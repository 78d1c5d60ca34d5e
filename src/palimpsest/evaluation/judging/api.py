"""A judge behind an OpenAI-compatible address: one request per prompt, sent again if the server is busy or silent."""

import json
import os
import re
import time
from email.message import Message
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from palimpsest.errors import UserError, first_line
from palimpsest.evaluation.judging.settings import Api
from palimpsest.hub import is_offline

# Answers of a server that is busy or starts, and of one that does not accept the key.
BUSY, NO_ACCESS = (408, 409, 425, 429, 500, 502, 503, 504), (401, 403)
# The longest wait before a request is sent again, in seconds; the longest reply, in bytes; the longest quote of an error.
LONGEST_WAIT, LONGEST_REPLY, LONGEST_QUOTE = 60.0, 2**20, 200


class Reply(NamedTuple):
    """A reply, and the model that gave it, as the server names it."""

    text: str
    replier: str


class Client:
    """Requests to one address. The key is read from the environment, and stands in nothing but the requests."""

    def __init__(self, api: Api, max_new_tokens: int) -> None:
        """Raise UserError if the network is forbidden, or if the variable of the key is not set or holds no key."""
        if is_offline():
            raise UserError(f"judges: {api.url}: HF_HUB_OFFLINE forbids the network; unset it, or use a judge of kind local")
        self._api, self._most, self._key = api, max_new_tokens, _read_key(api)
        self._opener = build_opener(_NoRedirect)
        self._url = f"{api.url.rstrip('/')}/chat/completions"

    def ask(self, prompt: str) -> Reply:
        """Return the reply to a prompt; raises UserError if the server refuses, is silent, or sends something else."""
        problem, wait = "", None
        for attempt in range(self._api.retries + 1):
            if attempt:
                time.sleep(min(2.0 ** (attempt - 1) if wait is None else wait, LONGEST_WAIT))
            try:
                return self._send(prompt)
            except HTTPError as error:
                with error:
                    if error.code not in BUSY:
                        raise self._refused(error) from None
                    problem, wait = f"HTTP {error.code}", _asked_wait(error.headers)
            except (OSError, HTTPException) as error:
                # The reason of a URLError says more than its text.
                reason = error.reason if isinstance(error, URLError) else error
                problem, wait = first_line(reason) if isinstance(reason, BaseException) else str(reason), None
        sent = f"request {self._api.retries + 1} of {self._api.retries + 1}"
        raise UserError(f"{self._url}: {problem} ({sent}); run snakemake again to ask for the rest")

    def _send(self, prompt: str) -> Reply:
        body = {
            "model": self._api.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": self._most,
        }
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {self._key}"} if self._key else {})}
        request = Request(self._url, json.dumps(body).encode(), headers)
        with self._opener.open(request, timeout=self._api.timeout) as response:
            return _read_reply(response.read(LONGEST_REPLY), self._url)

    def _refused(self, error: HTTPError) -> UserError:
        """Return an error with what the server says of it, but for the key, of which servers quote parts."""
        if error.code in NO_ACCESS:
            said = f"the key in {self._api.key}" if self._api.key else "requests without a key; set `key`"
            return UserError(f"{self._url}: HTTP {error.code}: the server does not accept {said}")
        said = _message(error)
        return UserError(f"{self._url}: HTTP {error.code}: {said.replace(self._key, '...') if self._key else said}")


class _NoRedirect(HTTPRedirectHandler):
    """Follow no redirect: the key would go to another address."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _read_key(api: Api) -> str:
    if api.key is None:
        return ""
    key = os.environ.get(api.key, "")
    if not re.fullmatch(r"[!-~]+", key):
        said = "holds blanks or other characters that no key has" if key else "is not set, or empty"
        raise UserError(f"judges: {api.model}: the environment variable {api.key} {said}; it should hold the key of {api.url}")
    return key


def _asked_wait(headers: Message) -> float | None:
    """Return how many seconds a busy server asks to wait; None if it does not say."""
    text = headers.get("Retry-After", "")
    return float(text) if re.fullmatch(r"\d{1,6}(\.\d+)?", text) else None


def _read_reply(data: bytes, url: str) -> Reply:
    """Return the reply in what a server sent; raises UserError if it is not JSON, or has no choice with a text."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        raise UserError(f"{url}: the server sent no JSON; is it an OpenAI-compatible address?") from None
    try:
        text = said["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        text = 0
    # A refusal may have no content.
    if text is not None and not isinstance(text, str):
        raise UserError(f"{url}: the server sent no choices[0].message.content")
    replier = said.get("model")
    return Reply(text or "", replier if isinstance(replier, str) else "")


def _message(error: HTTPError) -> str:
    """Return the server's message in one short line."""
    try:
        text = json.loads(error.read(LONGEST_REPLY))["error"]["message"]
    except (OSError, HTTPException, ValueError, KeyError, TypeError, RecursionError):
        text = error.reason
    line = " ".join(str(text).split())
    return line if len(line) <= LONGEST_QUOTE else f"{line[:LONGEST_QUOTE]} ..."
