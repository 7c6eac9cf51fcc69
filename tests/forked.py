"""Several processes at once, forked from the test's own: nothing is imported or loaded again."""

from __future__ import annotations

import os
import traceback
import warnings
from pathlib import Path


def start(do):
    """Run a function in a process of its own; return its number."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # threads that stay behind do not matter
        process = os.fork()
    if process:
        return process
    try:
        do()
    except BaseException:  # noqa: BLE001  whatever it is, this process ends here
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def wait(process):
    """Wait for its end; return its exit code, or the number of the signal below 0."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def together(*functions):
    """Run functions at once, each in its process; return their exit codes."""
    processes = [start(function) for function in functions]
    return [wait(process) for process in processes]


def note(file, text):
    """Append a line, whole, whoever else does."""
    with Path(file).open("ab", buffering=0) as log:
        log.write(f"{text}\n".encode())
