"""A proxy in front of a server that makes it slow, answers some requests with errors and cuts some answers."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Headers between two hosts only.
_HOP = ("connection", "transfer-encoding", "content-length", "keep-alive")


@dataclass
class Weather:
    """How bad it is.

    Attributes:
        address: of the proxy.
        latency: seconds before each answer.
        error_every: each so-manieth request is answered with 500; 0 is none.
        cut_every: of each so-manieth answer with a body only half is sent.
        counts: how often each happened.
    """

    address: str = ""
    latency: float = 0.0
    error_every: int = 0
    cut_every: int = 0
    counts: dict[str, int] = field(default_factory=lambda: {"requests": 0, "errors": 0, "cuts": 0})


@contextmanager
def in_front_of(host: str, port: int) -> Iterator[Weather]:
    """A proxy that is there while the block runs."""
    weather = Weather()
    handler = type("Handler", (_Handler,), {"weather": weather, "upstream": (host, port)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    weather.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield weather
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    weather: Weather
    upstream: tuple[str, int]
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        weather, counts = self.weather, self.weather.counts
        body = self._body()
        counts["requests"] += 1
        time.sleep(weather.latency)
        if weather.error_every and counts["requests"] % weather.error_every == 0:
            counts["errors"] += 1
            self.send_response(500)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        there = http.client.HTTPConnection(*self.upstream, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        if body or self.command in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = str(len(body))
        there.request(self.command, self.path, body, headers)
        answer = there.getresponse()
        content = answer.read()
        there.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, value.replace(f"http://{self.upstream[0]}:{self.upstream[1]}", weather.address))
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if weather.cut_every and len(content) > 1 and counts["requests"] % weather.cut_every == 0:
            counts["cuts"] += 1
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        else:
            self.wfile.write(content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _pass_on  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass
