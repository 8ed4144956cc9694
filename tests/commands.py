"""The command ``qml`` as a user runs it: in a process of its own, killed or interrupted at a chosen moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from hybrid.cli import main

ROOT = Path(__file__).resolve().parents[1]
QML = [sys.executable, "-m", "hybrid"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}

LONG = 600  # seconds: a limit for what hangs, far from what a slow machine needs

INTERRUPTED = "qml: Interrupted; the same command goes on where it was.\n"


def qml(*arguments, cwd=ROOT):
    return subprocess.run([*QML, *arguments], env=ENVIRONMENT, cwd=cwd, capture_output=True, text=True, timeout=LONG)


def start(*arguments, begin="", folder=None, ignore=False):
    """Start the command in a process group of its own, as a terminal does; each process begins with the code given.

    It goes into the folder, and stops the process at a chosen moment; a test that waited could come too late.
    """
    environment = dict(ENVIRONMENT)
    if begin:
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(begin)
        environment["PYTHONPATH"] = f"{folder}{os.pathsep}{ROOT}"
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    ctrl_c = partial(signal.signal, signal.SIGINT, signal.SIG_IGN if ignore else signal.SIG_DFL)  # not as in this suite
    return subprocess.Popen([*QML, *arguments], env=environment, start_new_session=True, preexec_fn=ctrl_c, **pipe)


def finish(process):
    """Return the exit code, stdout and stderr."""
    stdout, stderr = process.communicate(timeout=LONG)
    return process.returncode, stdout, stderr


# Stops the process before it gives the record after the n-th its name.
STOP = """
import os, sys, time

n_left = {n_records}

def stop(event, arguments):
    global n_left
    if event == "os.rename" and str(arguments[1]).endswith(".json"):
        n_left -= 1
        if n_left < 0:
            {kill}
            while True:
                time.sleep(0.01)

sys.addaudithook(stop)
"""
KILL, CTRL_C = "os.kill(os.getpid(), 9)", "os.killpg(0, 2)"

# Does something at the moment when the process imports a module.
ON_IMPORT = """
import os, sys
from _signal import raise_signal

class Finder:
    def find_spec(name, path=None, target=None):
        if name == {module!r} and {worker} == ("joblib.externals.loky.backend.popen_loky_posix" in sys.orig_argv):
            {action}

sys.meta_path.insert(0, Finder)
"""


def on_import(module, action, worker=False):
    return ON_IMPORT.format(module=module, action=action, worker=worker)


def content(out):
    """Name, bytes and time of every finished record."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.glob("units/*.json")}


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command in this process: exit code, stdout, stderr; with pytest's monkeypatch at hand."""

    def call(*arguments):
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["qml", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        return stopped.value.code, *capsys.readouterr()

    call.chdir, call.setattr, call.setenv = monkeypatch.chdir, monkeypatch.setattr, monkeypatch.setenv
    return call
