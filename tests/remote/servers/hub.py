"""A small Hugging Face hub of one model repository: what `hf://` asks of it. It speaks as the hub's HTTP API does."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

REPOSITORY = "someone/model"


@contextmanager
def hub() -> Iterator[tuple[int, dict[str, bytes]]]:
    """The port of a hub that is there while the block runs, and its files: path -> bytes."""
    files: dict[str, bytes] = {}
    handler = type("Handler", (_Handler,), {"files": files})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1], files
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    files: dict[str, bytes]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        query = parse_qs(urlsplit(self.path).query)
        api = f"/api/models/{REPOSITORY}"
        if found := re.fullmatch(rf"/{REPOSITORY}/resolve/[^/]+/(.+)", path):
            self._file(found[1])
        elif found := re.fullmatch(rf"{api}/tree/[^/]+(?:/(.*))?", path):
            recursive = query.get("recursive", ["false"])[0].lower() in ("true", "1")
            entries = self._tree(found[1] or "", recursive)
            self._json(entries) if entries or not found[1] else self._missing("EntryNotFound")
        elif path == api or path.startswith(f"{api}/revision/"):
            self._json({"id": REPOSITORY, "modelId": REPOSITORY, "sha": "0" * 40, "private": False, "tags": []})
        else:
            self._missing("RepoNotFound")

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if "/paths-info/" in path:
            if self.headers.get("Content-Type", "").startswith("application/json"):
                paths = json.loads(body)["paths"]
            else:
                paths = parse_qs(body).get("paths", [])
            self._json([entry for entry in self._tree("", recursive=True) if entry["path"] in paths])
        elif "/preupload/" in path:
            names = [file["path"] for file in json.loads(body)["files"]]
            self._json({"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]})
        elif "/commit/" in path:
            for line in filter(None, body.splitlines()):
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
                elif entry["key"] == "deletedFile":
                    self.files.pop(entry["value"]["path"], None)
            self._json(
                {
                    "success": True,
                    "commitOid": "0" * 40,
                    "commitUrl": f"https://huggingface.co/{REPOSITORY}/commit/{0:040}",
                }
            )
        else:
            self._missing("RepoNotFound")

    def _tree(self, folder: str, recursive: bool) -> list[dict[str, object]]:
        below = f"{folder}/" if folder else ""
        found: dict[str, dict[str, object]] = {}
        for path, content in self.files.items():
            if not path.startswith(below):
                continue
            parts = path.removeprefix(below).split("/")
            for depth in range(1, len(parts) if recursive else min(2, len(parts))):
                name = below + "/".join(parts[:depth])
                found[name] = {"type": "directory", "oid": "1" * 40, "size": 0, "path": name}
            if recursive or len(parts) == 1:
                oid = hashlib.sha1(content).hexdigest()
                found[path] = {"type": "file", "oid": oid, "size": len(content), "path": path}
        return list(found.values())

    def _file(self, name: str) -> None:
        if name not in self.files:
            self._missing("EntryNotFound")
            return
        content = self.files[name]
        start, end, status = 0, len(content), 200
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, end, status = int(asked[1]), min(end, int(asked[2] or end) + 1), 206
        self.send_response(status)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(end - start))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[start:end])

    def _json(self, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _missing(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass
