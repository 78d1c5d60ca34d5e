"""As much of the hub as fetching data sets needs, on this machine, so that nothing depends on a network."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Where nobody answers.
NOBODY = "http://127.0.0.1:9"


class Hub(http.server.ThreadingHTTPServer):
    """Data sets and models by name, each a commit and its folder; with `error` it refuses everything by that code.

    `commits` are those of branches, by the path of their page below /api.

    Of a file that is named in `cut` it sends a half and closes the connection, of one in `hanging` a half and then nothing more.
    """

    def __init__(
        self,
        data_sets: dict[str, tuple[str, Path]],
        error: tuple[int, str] | None = None,
        commits: dict[str, str] | None = None,
        models: dict[str, tuple[str, Path]] | None = None,
    ) -> None:
        self.error, self.fetched, self.commits = error, set[str](), commits or {}
        # By the path of their files; that of their page is below /api/datasets or /api/models.
        self.pages = {f"/datasets/{name}": (f"/api/datasets/{name}", *of) for name, of in data_sets.items()}
        self.pages |= {f"/{name}": (f"/api/models/{name}", *of) for name, of in (models or {}).items()}
        self.cut, self.hanging, self.closing = set[str](), set[str](), threading.Event()
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answer(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = self.path.split("?")[0]
        if self.server.error:
            status, code = self.server.error
            return self.send(status, b"{}", body=body, headers={"X-Error-Code": code, "X-Error-Message": f"{code} it is"})
        if commit := self.server.commits.get(path.removeprefix("/api/")):
            return self.send_json({"id": "org/name", "sha": commit}, body=body)
        for place, (page, revision, folder) in self.server.pages.items():
            found = sorted(file for file in folder.rglob("*") if file.is_file())
            files = {file.relative_to(folder).as_posix(): file.read_bytes() for file in found}
            if path in (page, f"{page}/revision/{revision}"):
                siblings = [{"rfilename": name} for name in files]
                return self.send_json({"id": place[1:], "sha": revision, "siblings": siblings}, body=body)
            if path.startswith(f"{page}/tree/{revision}"):
                tree = [
                    {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                    for name, content in files.items()
                ]
                return self.send_json(tree, body=body)
            name = path.removeprefix(f"{place}/resolve/{revision}/")
            if name in files:
                self.server.fetched.add(name)
                etag = f'"{hashlib.sha1(files[name]).hexdigest()}"'
                return self.send_file(name, files[name], {"ETag": etag, "X-Repo-Commit": revision}, body=body)
        return self.send(404, b"", body=body, headers={"X-Error-Code": "EntryNotFound"})

    def send_file(self, name: str, content: bytes, headers: dict[str, str], *, body: bool) -> None:
        """Send a file, or what is asked for of it."""
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        if first:
            headers = headers | {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"}
        broken = body and name in self.server.cut | self.server.hanging
        self.send(206 if first else 200, content[first:], body=body and not broken, headers=headers)
        if broken:
            self.wfile.write(content[first : (first + len(content)) // 2])
            self.wfile.flush()
            if name in self.server.hanging:
                self.server.closing.wait()
            self.close_connection = True

    def send_json(self, value: Any, *, body: bool) -> None:
        self.send(200, json.dumps(value).encode(), body=body, headers={"Content-Type": "application/json"})

    def send(self, status: int, content: bytes, *, body: bool, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve a hub as long as the context lasts."""
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        hub.shutdown()
        hub.server_close()
        thread.join()
