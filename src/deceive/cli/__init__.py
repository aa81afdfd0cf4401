"""The command line: parse, call, print.

Exit codes: 0 done; 1 not every candidate fools the network, or an audit found more gibberish than
allowed; 2 bad input, or no room to write; 3 an audit is incomplete or has warnings; 4 another of
several processes is gone; 70 a bug in deceive; 130 interrupted; 141 the reader of stdout is gone.
"""

import os
import sys
import traceback


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    code = 70
    try:
        from deceive.cli.outcome import outcome

        if arguments is not None:
            code = outcome(arguments)
        elif sys.argv[1:2] in (["audit"], ["guard"]):  # foreign code must not set the exit code
            _wait_without_work()
            from deceive.cli.supervised import supervised

            code = supervised(lambda: outcome(sys.argv[1:]))
        else:
            code = outcome(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    except BaseException:  # Python would exit with 1, which means a finding
        traceback.print_exc()
    sys.exit(code)


def _wait_without_work() -> None:
    """Let OpenMP's threads sleep while they wait, unless the environment says otherwise.

    Beside other work, threads that wait busily slow small networks down fivefold, and the audit
    would plan for that. It has to be set before torch is imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
