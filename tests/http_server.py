"""A web server on this machine that can be told to misbehave."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Site:
    """What the server serves, and how.

    Attributes:
        address: of the server, without a slash at the end.
        files: path -> bytes.
        etag: what it says of every file's version; None says nothing.
        ranges: whether it honours a Range.
        if_range: whether it honours an If-Range; if not, it sends the rest of whatever it has.
        cuts: after how many bytes of a body each of the next requests is cut; none of them: not.
        declared: what it says is the length of a body, instead of its length; "" says nothing.
        statuses: what the next requests are answered with instead of a file.
        redirects: path -> where it sends you.
        endless: go on sending after the body.
        content_range: what it says of the part that it sends, instead of the truth.
        parts: the most bytes of a part that it sends where a Range is asked for; None is all.
        requests: (path, headers) of every request so far.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    etag: str | None = '"1"'
    ranges: bool = True
    if_range: bool = True
    cuts: list[int] = field(default_factory=list)
    declared: str | None = None
    statuses: list[int] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    endless: bool = False
    content_range: str | None = None
    parts: int | None = None
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@contextmanager
def served(certificate: Path | None = None) -> Iterator[Site]:
    """A site that is there while the block runs; with a certificate and its key in a file, it speaks TLS."""
    site = Site()
    handler = type("Handler", (_Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # Without a handshake at once: a client that breaks it off must not disturb the thread that accepts.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
    site.address = f"http{'s' * bool(certificate)}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.requests.append((self.path, dict(self.headers)))
        if site.statuses:
            self._empty(site.statuses.pop(0))
        elif self.path in site.redirects:
            self._empty(302, Location=site.redirects[self.path])
        elif self.path not in site.files:
            self._empty(404)
        else:
            self._send(site.files[self.path])

    def do_HEAD(self) -> None:
        site = self.site
        if self.path not in site.files:
            self._empty(404)
            return
        self.send_response(200)
        if site.etag:
            self.send_header("ETag", site.etag)
        self.send_header("Content-Length", str(len(site.files[self.path])))
        self.end_headers()

    def _empty(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, body: bytes) -> None:
        site, start, end = self.site, 0, len(body)
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = not site.if_range or self.headers.get("If-Range", site.etag) == site.etag
        if asked and site.ranges and same:
            start = int(asked[1])
            if start >= len(body):
                self._empty(416)
                return
            self.send_response(206)
            end = len(body) if site.parts is None else min(len(body), start + site.parts)
            self.send_header("Content-Range", site.content_range or f"bytes {start}-{end - 1}/{len(body)}")
        else:
            self.send_response(200)
        if site.etag:
            self.send_header("ETag", site.etag)
        rest = body[start:end]
        if site.declared != "":
            self.send_header("Content-Length", site.declared or str(len(rest)))
        self.end_headers()
        try:
            self.wfile.write(rest[: site.cuts.pop(0)] if site.cuts else rest)
            while site.endless:
                self.wfile.write(bytes(1 << 16))
        except OSError:
            pass  # the other side has had enough

    def log_message(self, format: str, *args: object) -> None:
        pass
