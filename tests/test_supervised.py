"""An audit's process may end in any way: its parent returns only what it was told."""

import signal
import subprocess
import sys
import time

import pytest

TOLD = "from deceive.cli.supervised import supervised; import sys; sys.exit(supervised(work))"


# A job in the background may begin with these ignored.
USUAL = """
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""

# The parent goes on long after the child has begun.
LATE = """
fork = os.fork
def late():
    child = fork()
    time.sleep(0.3 if child else 0)
    return child
os.fork = late
"""


def supervise(work: str, *, before: str = "") -> subprocess.Popen[str]:
    """A process that supervises `work`, lines of Python without indentation."""
    lines = "".join(f"    {line}\n" for line in work.splitlines())
    imports = "import atexit, ctypes, os, posix, signal, time"
    code = f"{imports}\n{USUAL}{before}\ndef work():\n{lines}\n{TOLD}"
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize(
    ("work", "code", "said"),
    [
        ("return 0", 0, ""),
        ("return 3", 3, ""),
        ("atexit.register(lambda: os._exit(0))\nreturn 1", 1, ""),
        ("os.fork() or time.sleep(5)\nreturn 3", 3, ""),  # a child of its own stays behind
        ("os._exit(0)", 2, "it ended the process (exit code 0)"),
        ("posix._exit(0)", 2, "it ended the process (exit code 0)"),
        ("os.execv('/bin/true', ['true'])", 2, "it ended the process (exit code 0)"),
        ("ctypes.CDLL(None).exit(0)", 2, "it ended the process (exit code 0)"),
        ("os.fork() and os._exit(0)\ntime.sleep(2)", 2, "it ended the process (exit code 0)"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", 139, "killed by SIGSEGV"),
        ("raise SystemExit(0)", 70, "SystemExit"),
    ],
)
def test_only_a_code_that_was_sent_counts(work, code, said):
    with supervise(work) as process:
        assert process.wait(30) == code
        if said:
            assert said in process.stderr.read()


def test_signals_reach_the_work(tmp_path):
    place = str(tmp_path / "begun")
    wait = (
        f"try:\n    open({place!r}, 'w').close(); time.sleep(60)\n"
        "except KeyboardInterrupt:\n    return 130"
    )
    for sent, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with supervise(wait) as process:
            until(lambda: (tmp_path / "begun").exists())
            process.send_signal(sent)
            assert process.wait(30) == code
        (tmp_path / "begun").unlink()


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_at_the_very_beginning_reaches_the_work_too(name, code):
    work = f"try:\n    os.kill(os.getppid(), signal.{name}); time.sleep(60)\n"
    with supervise(work + "except KeyboardInterrupt:\n    return 130", before=LATE) as process:
        assert process.wait(30) == code


def test_the_work_ends_with_its_supervisor(tmp_path):
    place = str(tmp_path / "pid")
    with supervise(f"open({place!r}, 'w').write(str(os.getpid())); time.sleep(60)") as process:
        until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        process.kill()
    child = (tmp_path / "pid").read_text()
    until(lambda: not is_running(child))


def until(happens):
    for _ in range(600):
        if happens():
            return
        time.sleep(0.05)
    raise AssertionError("expected it to happen within 30 s")


def is_running(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
