import errno
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from deceive.common.errors import InputError, WriteError
from deceive.common.files import (
    check_writable,
    read_json,
    remove_temporaries,
    replacing,
    write_text,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")


@pytest.fixture
def umask():
    """One that keeps others out."""
    before = os.umask(0o027)
    yield
    os.umask(before)


def device(path, number):
    """Another name of a device of Linux's: 3 is null, 7 is full."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, number))
        path.open("wb").close()
    except OSError:
        pytest.skip("no devices can be made here")
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_a_new_file_gets_what_the_umask_leaves_and_an_old_one_keeps_its_mode(tmp_path):
    path = tmp_path / "new.txt"
    write_text(path, "new")
    assert mode_of(path) == 0o640
    for mode in (0o600, 0o664, 0o755):
        path.chmod(mode)
        write_text(path, "newer")
        assert mode_of(path) == mode
    assert names(tmp_path) == ["new.txt"]


@as_root
def test_an_old_file_keeps_its_owner(tmp_path):
    path = tmp_path / "theirs.txt"
    path.touch()
    os.chown(path, 4321, 1234)
    write_text(path, "text")
    assert (path.stat().st_uid, path.stat().st_gid) == (4321, 1234)


def test_a_symlink_is_followed_and_stays_one(tmp_path):
    link, dangling = tmp_path / "link.txt", tmp_path / "dangling.txt"
    (tmp_path / "real.txt").write_text("old")
    link.symlink_to("real.txt")
    dangling.symlink_to("deep/later.txt")
    write_text(link, "new")
    write_text(dangling, "made")
    assert link.is_symlink()
    assert dangling.is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"
    assert (tmp_path / "deep/later.txt").read_text() == "made"


def test_other_hard_links_keep_the_old_content(tmp_path):
    (tmp_path / "one.txt").write_text("old")
    (tmp_path / "other.txt").hardlink_to(tmp_path / "one.txt")
    write_text(tmp_path / "one.txt", "new")
    assert (tmp_path / "other.txt").read_text() == "old"


def test_a_fifo_is_written_through(tmp_path):
    path, read = tmp_path / "pipe.npz", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_text()), daemon=True)
    reader.start()
    check_writable(path)
    write_text(path, "text")
    reader.join(10)
    assert read == ["text"]
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert names(tmp_path) == ["pipe.npz"]


def test_a_device_is_written_through(tmp_path):
    null = device(tmp_path / "null", 3)
    check_writable(null)
    write_text(null, "text")
    assert stat.S_ISCHR(null.stat().st_mode)
    with pytest.raises(WriteError, match="null: expected a file or a new path, got a device"):
        check_writable(null, streams=False)


def test_a_full_device_is_one_sentence(tmp_path):
    with pytest.raises(WriteError, match=r"full: expected a writable path; No space left"):
        write_text(device(tmp_path / "full", 7), "text")


def test_what_a_descriptor_leads_to_is_gone_on_with_and_not_replaced(tmp_path):
    """As `… --out /dev/stdout >> table.md`: what is in the table stays."""
    path = tmp_path / "table.md"
    path.write_text("old, ")
    with path.open("a") as file:
        link = tmp_path / "stdout"
        link.symlink_to(f"/proc/self/fd/{file.fileno()}")
        if not link.exists():
            pytest.skip("descriptors have no names here")
        write_text(link, "new, ")
        write_text(Path(f"/dev/fd/{file.fileno()}"), "newer")
    assert path.read_text() == "old, new, newer"


@pytest.mark.parametrize("kind", ["folder", "socket"])
def test_what_is_no_place_for_a_file_is_refused(kind, tmp_path):
    place = tmp_path / "place"
    if kind == "folder":
        place.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(place))
    before = place.stat()
    for call in (check_writable, lambda path: write_text(path, "text")):
        with pytest.raises(WriteError, match=f"place: expected a file or a new path, got a {kind}"):
            call(place)
    assert place.stat().st_ino == before.st_ino
    assert names(tmp_path) == ["place"]


BAD_PLACES = {
    "x" * 256: "File name too long",
    "missing/" + "x" * 256: "File name too long",
    "missing/" + "x" * 256 + "/file": "File name too long",
    "loop": "Too many levels of symbolic links",
    "loop/file": "Too many levels of symbolic links",
    "file/below": "Not a directory",
    "file/far/below": "Not a directory",
    "null\0": "without a null character, got '.*null.x00'",
    "\udcff": r"expected a path in UTF-8 .* got '.*\\udcff'",
}


@pytest.mark.parametrize("name", BAD_PLACES, ids=ascii)
def test_a_place_that_cannot_be_is_one_sentence_before_anything_is_made(name, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    for call in (check_writable, lambda path: write_text(path, "text")):
        with pytest.raises(WriteError, match=BAD_PLACES[name]) as refusal:
            call(tmp_path / name)
        assert "\n" not in str(refusal.value)
        str(refusal.value).encode()
        assert names(tmp_path) == ["file", "loop"]


def test_a_name_as_long_as_names_may_be(tmp_path):
    path = tmp_path / ("x" * 251 + ".txt")
    check_writable(path)
    write_text(path, "text")
    assert names(tmp_path) == [path.name]


def test_looking_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "far" / "away" / "file.txt")
    assert names(tmp_path) == []


AS_ANOTHER_USER = """
import os, sys
from pathlib import Path
from deceive.common.errors import WriteError
from deceive.common.files import check_writable, write_text
os.setuid(65534)
for call in (check_writable, lambda path: write_text(path, "text")):
    for name in ("closed/file.txt", "read-only.txt"):
        try:
            call(Path(sys.argv[1]) / name)
        except WriteError as error:
            print(error)
"""


@as_root
def test_a_closed_folder_and_a_read_only_file_are_one_sentence(open_folder):
    (open_folder / "closed").mkdir(mode=0o755)
    (open_folder / "read-only.txt").write_text("old")
    (open_folder / "read-only.txt").chmod(0o444)
    said = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER_USER, open_folder],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert [line.rpartition("; ")[2] for line in said] == [
        "Permission denied",
        "it is read-only",
    ] * 2
    assert (open_folder / "read-only.txt").read_text() == "old"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_what_the_system_refuses_while_writing_is_one_sentence(number, tmp_path, monkeypatch):
    (tmp_path / "file.txt").write_text("old")

    def refuse(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(WriteError, match=rf"file\.txt: .*; {os.strerror(number)}$"):
        write_text(tmp_path / "file.txt", "new")
    assert (tmp_path / "file.txt").read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_a_limit_on_the_size_of_files_is_one_sentence(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(WriteError, match=r"large\.txt: .*; File too large"):
            write_text(tmp_path / "large.txt", "x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == []


@pytest.mark.parametrize("refused", ["chmod", "fsync"])
def test_a_file_system_without_permissions_or_syncing_will_do(refused, tmp_path, monkeypatch):
    (tmp_path / "file.txt").touch(mode=0o600)

    def refuse(*_, **__):
        raise OSError(errno.EPERM if refused == "chmod" else errno.EINVAL, "no such thing")

    monkeypatch.setattr(os, refused, refuse)
    write_text(tmp_path / "file.txt", "new")
    assert (tmp_path / "file.txt").read_text() == "new"


def test_what_is_synced_is_open_for_writing(tmp_path, monkeypatch):
    """As Windows has it."""
    fcntl = pytest.importorskip("fcntl")
    ways = []
    monkeypatch.setattr(os, "fsync", lambda fd: ways.append(fcntl.fcntl(fd, fcntl.F_GETFL)))
    write_text(tmp_path / "file.txt", "new")
    assert [way & os.O_ACCMODE for way in ways] == [os.O_RDWR]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "file.txt").write_text("old")

    def fail():
        with replacing(tmp_path / "file.txt") as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (tmp_path / "file.txt").read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_what_a_kill_leaves_is_found_again(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "kept.tmp").touch()
    with replacing(tmp_path / "deep" / "file.txt") as temporary:
        temporary.with_name(temporary.name.replace(".tmp", "0.tmp")).touch()
    remove_temporaries(tmp_path)
    assert names(tmp_path / "deep") == ["file.txt", "kept.tmp"]


def test_what_an_old_kill_left_beside_a_file_is_removed(tmp_path):
    old, young, foreign = (".deceive-0123456789ab.tmp", ".deceive-ba9876543210.tmp", "mine.tmp")
    for name in (old, young, foreign, ".deceive-notes.tmp"):
        (tmp_path / name).touch()
    for name in (old, foreign, ".deceive-notes.tmp"):
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".deceive-aaaaaaaaaaaa.tmp").mkdir()
    check_writable(tmp_path / "file.txt")
    kept = [".deceive-aaaaaaaaaaaa.tmp", young, ".deceive-notes.tmp", foreign]
    assert names(tmp_path) == sorted(kept)


def test_a_stream_is_read_only_where_it_is_asked_for(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with pytest.raises(InputError, match=r"fifo: expected a JSON object, got a FIFO"):
        read_json(path)
    writer = threading.Thread(target=lambda: path.write_text('{"a": 1}'), daemon=True)
    writer.start()
    assert read_json(path, streams=True) == {"a": 1}
    writer.join(10)
