"""The page in headless Chromium, for contests."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deceive.webpage.build import build
from deceive.webpage.serving import server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


@contextmanager
def browser() -> Iterator[tuple["Browser", str]]:
    """Chromium, and the URL of the page as it is built now."""
    from playwright.sync_api import sync_playwright

    folder = build()
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with server(folder) as serving, sync_playwright() as driver:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        found = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield found, f"http://127.0.0.1:{serving.server_port}/"
        found.close()
        serving.shutdown()
