"""As much of the hub as fetching data sets and pushing models needs, on this machine, so that nothing depends on a network."""

import base64
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

    `commits` are those of branches, by the path of their page below /api. `pushed` has the files of each repository that was
    pushed to, `created` what was said of it when it was made, and `tokens` the tokens that came with uploads.

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
        self.pushed: dict[str, dict[str, bytes]] = {}
        self.created: dict[str, dict[str, Any]] = {}
        self.blobs: dict[str, bytes] = {}
        self.tokens = set[str | None]()
        self.cut, self.hanging, self.closing = set[str](), set[str](), threading.Event()
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answer(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_PUT(self) -> None:
        # The address of an upload is a secret of its own, to which no token is sent.
        self.server.blobs[self.path.rpartition("/")[2]] = self.sent()
        self.send(200, b"", body=True, headers={})

    def do_POST(self) -> None:
        path, sent = self.path.split("?")[0], self.sent()
        self.server.tokens.add(self.headers.get("Authorization"))
        if self.server.error:
            status, code = self.server.error
            return self.send(status, b"{}", body=True, headers={"X-Error-Code": code, "X-Error-Message": f"{code} it is"})
        if path.endswith("/commit/main"):
            return self.commit(path.removeprefix("/api/models/").removesuffix("/commit/main"), sent)
        asked = json.loads(sent)
        if path == "/api/repos/create":
            name = f"{asked['organization']}/{asked['name']}"
            self.server.created[name] = asked
            return self.send_json({"url": f"{self.server.url}/{name}"}, body=True)
        if path == "/api/validate-yaml":
            return self.send_json({"errors": [], "warnings": []}, body=True)
        if path.endswith("/preupload/main"):
            modes = {True: "lfs", False: "regular"}
            files = [{"path": of["path"], "uploadMode": modes[of["path"].endswith(".safetensors")]} for of in asked["files"]]
            return self.send_json({"files": [{**file, "shouldIgnore": False} for file in files]}, body=True)
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = [{**of, "actions": {"upload": {"href": f"{self.server.url}/lfs/{of['oid']}"}}} for of in asked["objects"]]
            return self.send_json({"transfer": "basic", "objects": objects}, body=True)
        self.send(404, b"", body=True, headers={"X-Error-Code": "EntryNotFound"})

    def commit(self, name: str, sent: bytes) -> None:
        """Take the lines of a commit: contents of small files, and names of large ones that were uploaded before."""
        files = self.server.pushed.setdefault(name, {})
        for line in map(json.loads, sent.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.blobs[value["oid"]]
        url = f"{self.server.url}/{name}/commit/{'c' * 40}"
        self.send_json({"commitUrl": url, "commitOid": "c" * 40, "hookOutput": ""}, body=True)

    def sent(self) -> bytes:
        """Return what the request carries, in one piece or in chunks."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

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
