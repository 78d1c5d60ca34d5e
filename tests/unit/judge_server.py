"""As much of an OpenAI-compatible server as a judge needs, on this machine: real requests, answers by a script."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What the server sends: a status, a body (JSON unless it is text), headers, and how long it waits before."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = {}
    wait: float = 0.0


def reply(text: Any, model: str = "judge-2026-01-01") -> Answer:
    return Answer(body={"model": model, "choices": [{"message": {"role": "assistant", "content": text}}]})


class Server(http.server.ThreadingHTTPServer):
    """Answers in their order, the last one for ever; keeps the path, the headers and the body of each request."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.left, self.asked, self.closing = list(answers), list[dict[str, Any]](), threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append({"path": self.path, "key": self.headers["Authorization"], "body": body})
        answer = self.server.left.pop(0) if len(self.server.left) > 1 else self.server.left[0]
        self.server.closing.wait(answer.wait)
        data = (answer.body if isinstance(answer.body, str) else json.dumps(answer.body)).encode()
        try:
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            # The client has stopped waiting.
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(*answers: Answer) -> Iterator[Server]:
    """Serve until the block ends."""
    with Server(answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
