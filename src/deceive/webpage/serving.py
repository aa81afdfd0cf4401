"""A local HTTP server for the files listed in a folder."""

import gzip
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from deceive.common.errors import InputError
from deceive.common.files import read_json

HOST = "127.0.0.1"
LIST = "build.json"  # in the folder; its "files" are the names of the files to serve

Later = Mapping[str, Callable[[], bytes]]
"""Files by their names, with functions that make them; they may raise `InputError`."""

FAILED = "it has to be downloaded, and that failed"
"""What a visitor reads, as the reason of status 503."""

_MOST = 64  # open connections; one more closes the oldest

# Set here, because the system's own table of types may be wrong.
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_BYTES = "application/octet-stream"  # anything else
_HEADERS = {
    "Cache-Control": "no-cache",  # always show the newest build
    "Content-Security-Policy": "frame-ancestors 'none'",  # the pages set the rest themselves
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def server(
    folder: Path,
    port: int = 0,
    *,
    later: Later | None = None,
    failed: Callable[[str], None] = lambda text: None,
    patience: float = 20.0,
) -> ThreadingHTTPServer:
    """An HTTP server on 127.0.0.1, bound but not yet running; port 0 takes any free port.

    It serves only the files listed in `folder`, as they are now: they are read here, so no request
    reaches the disk. It answers GET and HEAD, and only requests whose Host is this machine, against
    DNS rebinding.

    Args:
        folder: the files, with their list.
        port: of 127.0.0.1.
        later: listed files that are made when they are first asked for.
        failed: is told why one of those can't be made; its visitor gets status 503.
        patience: a connection that is silent for so many seconds is closed.

    Raises:
        InputError: when the folder has no list, a listed file is missing or outside the folder, or
            the port is taken.
    """
    made = {f"/{name}": make for name, make in (later or {}).items()}
    files = _Files(_read(folder, made), made)
    try:
        return _Server((HOST, port), partial(_Handler, files, failed, patience))
    except (OSError, OverflowError) as error:
        raise InputError(f"--port: expected a free port, got {port}; {error}") from error


class _Files:
    """Contents by their paths in URLs; some are made when they are first asked for."""

    def __init__(self, there: dict[str, bytes], later: Later) -> None:
        self._there, self._later = there, later
        self._making = threading.Lock()

    def get(self, path: str) -> bytes | None:
        """A file's content; None if there is no such file. `InputError` if it can't be made."""
        if path not in self._later:
            return self._there.get(path)
        with self._making:
            if path not in self._there:
                self._there[path] = self._later[path]()
            return self._there[path]


def _read(folder: Path, later: Later) -> dict[str, bytes]:
    """The listed files, by their path in a URL: `/name`."""
    listed = read_json(folder / LIST, "the list of a built page")
    try:
        there = {f"/{name}": name for name in listed["files"] if f"/{name}" not in later}
        return {path: _inside(folder, name).read_bytes() for path, name in there.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: expected a built page with its {LIST}; {error}") from error


def _inside(folder: Path, name: str) -> Path:
    path = (folder / name).resolve(strict=True)
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{name} is outside the folder")
    return path


class _Server(ThreadingHTTPServer):
    """Limits connections, so that idle ones can't block visitors or use up threads."""

    request_queue_size = 1024

    def __init__(self, *arguments: Any) -> None:
        self._open: dict[socket.socket, None] = {}  # oldest first
        self._lock = threading.Lock()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open[request] = None
            if len(self._open) > _MOST:
                oldest = next(iter(self._open))
                del self._open[oldest]
                _hang_up(oldest)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a closed connection is no error
            super().handle_error(request, client_address)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # already closed
        connection.shutdown(socket.SHUT_RDWR)  # its thread closes it


class _Handler(BaseHTTPRequestHandler):
    default_request_version = "HTTP/1.0"  # so every answer has a status line

    def __init__(
        self, files: _Files, failed: Callable[[str], None], patience: float, *arguments: Any
    ) -> None:
        self._files = files
        self._failed = failed
        self._patience = patience
        super().__init__(*arguments)

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self._patience)

    def do_GET(self) -> None:
        content = self._found()
        if content is not None:
            self.wfile.write(content)

    def do_HEAD(self) -> None:
        self._found()

    def _found(self) -> bytes | None:
        """The requested file, after sending its headers; None after sending an error."""
        port = self.connection.getsockname()[1]
        own = {f"{name}:{port}" for name in (HOST, "localhost", "[::1]")}
        hosts = [host.strip().lower() for host in self.headers.get_all("Host", [])]
        if len(hosts) != 1 or hosts[0] not in own:
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, f"Ask for {HOST}:{port}")
            return None
        path = unquote(self.path.partition("?")[0])
        path = "/index.html" if path == "/" else path
        try:
            content = self._files.get(path)
        except InputError as error:
            self._failed(str(error))
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, FAILED)
            return None
        if content is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        kind = _TYPES.get(Path(path).suffix, _BYTES)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        if kind != _BYTES:
            self.send_header("Vary", "Accept-Encoding")
            if "gzip" in self.headers.get("Accept-Encoding", ""):
                content = gzip.compress(content, 6, mtime=0)
                self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return content

    def end_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self) -> str:
        return "deceive"

    def log_message(self, format: str, *args: object) -> None:
        pass
