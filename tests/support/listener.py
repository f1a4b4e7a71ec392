"""An HTTP server of another party: it records requests and answers as a test says."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Reply = tuple[int, Mapping[str, str], bytes]


@dataclass(frozen=True)
class Heard:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By lower-case name; values of the same name are joined by commas."""
    body: bytes


@dataclass
class Listener:
    """The server; `reply` may be changed while it runs, `raw` writes the answer itself."""

    port: int = 0
    reply: Callable[[Heard], Reply] = lambda _heard: (200, {}, b"")
    raw: Callable[[BaseHTTPRequestHandler], None] | None = None
    heard: list[Heard] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def listening(tls: ssl.SSLContext | None = None) -> Iterator[Listener]:
    """The server on a free port of this machine."""
    listener = Listener()

    class ListenerHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(size)
            if len(body) < size:
                return  # its sender was killed within the request
            headers = {name.lower(): ", ".join(self.headers.get_all(name, [])) for name in self.headers}
            heard = Heard(self.command, self.path, headers, body)
            listener.heard.append(heard)
            if listener.raw is not None:
                listener.raw(self)
                return
            status, extra, content = listener.reply(heard)
            self.send_response_only(status)
            own = {"Server": self.version_string(), "Date": self.date_time_string(), "Content-Length": len(content)}
            for name, value in {**own, **extra}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815  # named by the library, after the method of a request
        do_REPORT = do_GET  # noqa: N815  # as above

        def log_message(self, *_arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_arguments: object) -> None:
            pass  # a client may hang up at any time

    server = Server(("127.0.0.1", 0), ListenerHandler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    listener.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
