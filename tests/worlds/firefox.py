"""Firefox without a driver: its own remote control, Marionette, over a socket."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_NAMES = ("firefox-esr", "firefox")
_PATIENCE = 60  # seconds


def found() -> str | None:
    """The path of a Firefox, if there is one."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Firefox:
    """A running Firefox: pages are opened, and JavaScript is run in them."""

    def __init__(self, port: int) -> None:
        self._socket = _connected(port)
        self._number = 0
        self._receive()  # it greets
        self._ask("WebDriver:NewSession", {})
        self._ask("WebDriver:SetTimeouts", {"script": 1000 * _PATIENCE})

    def open(self, url: str) -> None:
        """Open a page, and wait until it has been loaded."""
        self._ask("WebDriver:Navigate", {"url": url})

    def run(self, script: str) -> Any:
        """What the body of a function returns in the page; a promise is waited for."""
        return self._ask("WebDriver:ExecuteScript", {"script": script, "args": []})["value"]

    def until(self, condition: str) -> None:
        """Wait until an expression is true in the page."""
        end = time.monotonic() + _PATIENCE
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < end, f"{condition} did not come true"
            time.sleep(0.1)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _ask(self, command: str, parameters: dict[str, Any]) -> Any:
        self._number += 1
        message = json.dumps([0, self._number, command, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._receive()
        assert error is None, error
        return result

    def _receive(self) -> Any:
        size = b""
        while not size.endswith(b":"):
            size += self._socket.recv(1)
        content = b""
        while len(content) < int(size[:-1]):
            content += self._socket.recv(int(size[:-1]) - len(content))
        return json.loads(content)


def _connected(port: int) -> socket.socket:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        except OSError:
            assert time.monotonic() < end, "Firefox did not start"
            time.sleep(0.2)


@contextmanager
def firefox(path: str, profile: Path) -> Iterator[Firefox]:
    """A headless Firefox with a profile of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    profile.mkdir(parents=True)
    (profile / "user.js").write_text(f'user_pref("marionette.port", {port});\n')
    line = [path, "--headless", "--marionette", "--no-remote", "--profile", str(profile)]
    with (profile / "log").open("w") as log, subprocess.Popen(line, stdout=log, stderr=log) as run:
        try:
            running = Firefox(port)
            yield running
            running.close()
        finally:
            run.terminate()
