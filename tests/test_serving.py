"""The page's server, asked over real sockets."""

import http.client
import socket
import struct
import threading
from contextlib import ExitStack, contextmanager

import pytest

from deceive import InputError
from deceive.webpage.built import write_list
from deceive.webpage.serving import server
from worlds.commands import run

PAGE = b"<!doctype html><title>a page</title>"
ASK = b"GET / HTTP/1.0\r\nHost: 127.0.0.1:%d\r\n\r\n"


@pytest.fixture
def folder(tmp_path):
    """A built page of three files, beside something that is none of its business."""
    folder = tmp_path / "dist"
    (folder / "networks").mkdir(parents=True)
    (folder / "index.html").write_bytes(PAGE)
    (folder / "networks" / "a b.onnx").write_bytes(bytes(range(256)))
    (folder / "page.js").write_bytes(b"1;")
    write_list(folder, sources="")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "later.txt").write_text("put here after the build")
    return folder


@contextmanager
def running(folder, **options):
    with server(folder, **options) as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield one
        finally:
            one.shutdown()
            thread.join()


@pytest.fixture
def port(folder):
    with running(folder) as one:
        yield one.server_port


def ask(port, path, method="GET", **headers):
    """Status, headers and content."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def say(port, said):
    """All that comes back for these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_listed_files_are_given_out_whole_and_as_what_they_are(port):
    for path, kind, content in (
        ("/", "text/html; charset=utf-8", PAGE),
        ("/index.html?a=1", "text/html; charset=utf-8", PAGE),
        ("/networks/a%20b.onnx", "application/octet-stream", bytes(range(256))),
        ("/page.js", "text/javascript; charset=utf-8", b"1;"),
    ):
        status, headers, came = ask(port, path)
        assert (status, headers["Content-Type"], came) == (200, kind, content)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"


def test_head_is_the_same_without_the_content(port):
    (status, headers, came), (_, got, _) = ask(port, "/", "HEAD"), ask(port, "/")
    assert (status, came, headers["Content-Length"]) == (200, b"", str(len(PAGE)))
    assert headers.keys() == got.keys()


@pytest.mark.parametrize(
    "path",
    [
        *("/networks", "/networks/", "/later.txt", "/build.json", "/../secret.txt"),
        *("/..%2fsecret.txt", "/%00", "/index.html%00", "/index.html/", "/%ff%fe", "*"),
        "/" + "a" * 60_000,
    ],
)
def test_anything_else_is_not_there_and_no_traceback(port, path, capfd):
    status, _, came = ask(port, path)
    assert status == 404
    assert b"secret" not in came
    assert ask(port, "/")[0] == 200
    assert capfd.readouterr().err == ""


def test_links_that_lead_out_are_refused_and_links_made_later_not_followed(folder, tmp_path):
    with running(folder) as one:
        (folder / "page.js").unlink()
        (folder / "page.js").symlink_to(tmp_path / "secret.txt")
        assert ask(one.server_port, "/page.js")[2] == b"1;"
    with pytest.raises(InputError, match=r"expected a built page.*; page.js is outside the folder"):
        server(folder)


def test_only_its_own_names_are_answered(port):
    # Another site's name that was led to this machine must not read from it.
    for host in (f"127.0.0.1:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
        assert ask(port, "/", Host=host)[0] == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"localhost:{port + 1}", ""):
        status, _, came = ask(port, "/", Host=host)
        assert (status, PAGE in came) == (421, False)
    assert b" 421 " in say(port, b"GET / HTTP/1.0\r\n\r\n")
    two = b"Host: localhost:%d\r\n" % port + b"Host: evil.example\r\n"
    assert b" 421 " in say(port, b"GET / HTTP/1.0\r\n" + two + b"\r\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "NONE"])
def test_nothing_but_get_and_head_is_done(port, method):
    status, _, came = ask(port, "/", method)
    assert (status, PAGE in came) == (501, False)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"\r\n", b""),
        (b"\xff\xfe\x00\r\n\r\n", b"400"),
        (b"GET / HTTP/x.y\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"505"),
        (b"GET http://[ HTTP/1.0\r\nHost: localhost:PORT\r\n\r\n", b"404"),
        (b"GET /" + b"a" * 65_532, b"414"),
        (b"GET / HTTP/1.0\r\nHost: " + b"a" * 65_531, b"431"),
        (b"GET / HTTP/1.0\r\n" + b"a: b\r\n" * 101, b"431"),
    ],
)
def test_bad_requests_are_said_to_be_bad_and_no_traceback(port, said, status, capfd):
    said = said.replace(b"PORT", b"%d" % port)
    assert say(port, said).partition(b" ")[2][:3] == status
    assert ask(port, "/")[0] == 200
    assert capfd.readouterr().err == ""


def test_visitors_that_hang_up_leave_no_traceback(port, capfd):
    for said in (b"", b"GET", b"GET / HTTP/1.0\r\nHost: ", ASK % port):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(said)
        connection.close()  # with a reset
    assert ask(port, "/")[0] == 200
    assert capfd.readouterr().err == ""


def test_two_hundred_idle_connections_do_not_keep_a_visitor_waiting(port):
    with ExitStack() as idle:
        others = [
            idle.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            for _ in range(200)
        ]
        others[-1].sendall(b"GET / HT")
        assert ask(port, "/")[2] == PAGE
        # All but the last 63 were hung up on, and the last may go on.
        assert [other.recv(1) for other in others[:137]] == [b""] * 137
        others[-1].sendall(ASK[len("GET / HT") :] % port)
        assert others[-1].recv(12) == b"HTTP/1.0 200"


def test_a_connection_that_says_nothing_is_hung_up_on(folder):
    with (
        running(folder, patience=0.05) as one,
        socket.create_connection(("127.0.0.1", one.server_port), timeout=10) as idle,
    ):
        idle.sendall(b"GET /")
        assert idle.recv(1) == b""


def test_what_is_no_built_page_is_one_sentence(folder):
    for files in (
        "{",
        "[]",
        "{}",
        "[" * 100_000,
        '{"files": 3}',
        '{"files": [3]}',
        '{"files": ["no"]}',
    ):
        (folder / "build.json").write_text(files)
        with pytest.raises(InputError, match=r"dist.*: expected .* built page"):
            server(folder)
    (folder / "build.json").unlink()
    with pytest.raises(InputError, match=r"build.json: expected the list of a built page"):
        server(folder)


def test_a_port_that_is_taken_is_one_sentence(folder):
    with server(folder) as first, pytest.raises(InputError, match="--port: expected a free port"):
        server(folder, first.server_port)
    with pytest.raises(InputError, match="--port: expected a free port, got 70000"):
        server(folder, 70_000)


def test_a_port_that_cannot_be_is_said_before_the_page_is_built(capsys):
    code, out, err = run(capsys, "page", "--port", "70000")
    assert (code, out) == (2, "")
    assert err.endswith("--port: expected a whole number below 65,536, got 70,000\n")
