"""The page of an installed package in a browser: it lacks some weights, and says so when asked."""

import threading

import pytest

from deceive.common.errors import InputError
from deceive.storage.shipped import shipped_folder
from deceive.webpage.installed import page as page_of
from deceive.webpage.serving import server
from worlds.browser import TOLD, choose_network, deceived, draw_one, until


@pytest.fixture(scope="module")
def installed(dist, tmp_path_factory):
    """The URL of the page as an installed package serves it, offline, and what its user is told."""

    def weights_of(name):
        if name not in ("fast", "judge", "rounds-030000"):
            raise InputError(f"{name}: expected to download it")
        return shipped_folder() / f"{name}.safetensors"

    told, nowhere = [], tmp_path_factory.mktemp("nowhere")
    with (
        page_of(print, nowhere, dist.parent / "packed", weights_of) as (folder, later),
        server(folder, later=later, failed=told.append) as one,
    ):
        threading.Thread(target=one.serve_forever).start()
        yield f"http://127.0.0.1:{one.server_port}/", told
        one.shutdown()


@pytest.mark.shipped
@TOLD  # the browser says in its console that an answer was 503
def test_it_works_with_what_it_has_and_says_what_it_lacks(visit, installed):
    url, told = installed
    page = visit(url)
    draw_one(page)
    assert "sure that this is a 5" in deceived(page, 5)
    assert deceived(page, 5, network="rounds-030000")
    assert page.locator("#rounds canvas").count() > 10  # previews of all networks
    choose_network(page, "resist")
    page.click("#deceive-go")
    said = "“resist” could not be fetched: it has to be downloaded, and that failed."
    until(page, f"document.getElementById('deceive-said').textContent.includes('{said}')")
    assert "resist: expected to download it" in told
    links = page.locator("#notebooks a").evaluate_all("links => links.map((link) => link.href)")
    assert len(links) == 3
    assert all(link.startswith("https://") and "/tutorials/" in link for link in links)
