"""The set-up in the Makefile: once, again when the pins change, afresh after a kill. A stand-in plays Python's part."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Plays the interpreter of the machine and of .venv: notes what it is asked to do, and fails or is killed on demand.
STAND_IN = """#!/bin/sh
case "$*" in
--version) echo "Python 3.99.0" ;;
"-m venv"*) echo "venv" >> log; rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; touch "$4/fresh" ;;
"-m pip install"*) shift 3; echo "pip $*" >> log; [ -z "$PIP_ENDS" ] || eval "$PIP_ENDS" ;;
"-m pytest"*) shift 2; echo "pytest $*" >> log ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "python"
    python.write_text(STAND_IN)
    python.chmod(0o755)
    return tmp_path


def make(checkout, *arguments, **environment):
    (checkout / "log").write_text("")
    environment = {"PATH": os.environ["PATH"], "PYTHON": str(checkout / "python"), **environment}
    return subprocess.run(["make", *arguments], cwd=checkout, env=environment, capture_output=True, text=True)


def steps(checkout):
    return [line.split()[0] for line in (checkout / "log").read_text().splitlines()]


def test_make_alone_lists_the_targets(checkout):
    done = make(checkout)
    assert done.stdout.startswith("make help")
    targets = ["help", "demo", "test", "lint", "bench", "bench-peers", "bench-cliffs", "bench-gpu", "clean"]
    assert [line.split()[1] for line in done.stdout.splitlines()] == targets


def test_set_up_happens_once_with_the_pins(checkout):
    done = make(checkout, "test", PIP_ARGS="--no-index", ARGS="-k word")
    assert done.returncode == 0, done.stderr
    assert "Making .venv with Python 3.99.0" in done.stdout
    _, pip, pytest_ = (checkout / "log").read_text().splitlines()
    assert pip == "pip -c constraints.txt --no-index -e .[dev]"
    assert pytest_.endswith("-k word")
    make(checkout, "test")
    assert steps(checkout) == ["pytest"]


def test_set_up_is_brought_up_to_date_when_the_pins_change(checkout):
    make(checkout, "test")
    stamp = (checkout / ".venv/.dev").stat().st_mtime
    os.utime(checkout / "constraints.txt", (stamp + 10, stamp + 10))
    make(checkout, "test")
    assert steps(checkout) == ["pip", "pytest"]


def test_demo_needs_no_set_up_after_test(checkout):
    make(checkout, "test")
    make(checkout, ".venv/.demo")
    assert steps(checkout) == []


def test_set_up_that_was_killed_starts_afresh(checkout):
    assert make(checkout, "test", PIP_ENDS="kill -9 $$").returncode == 2
    assert not (checkout / ".venv/.dev").exists()
    make(checkout, "test")
    assert steps(checkout) == ["venv", "pip", "pytest"]


def test_failed_install_keeps_the_environment(checkout):
    assert make(checkout, "test", PIP_ENDS="exit 1").returncode == 2
    assert (checkout / ".venv/fresh").exists()
    assert make(checkout, "test").returncode == 0
    assert steps(checkout) == ["pip", "pytest"]


def test_old_python_is_refused_in_one_line(checkout):
    done = make(checkout, "demo", PYTHON="false")
    assert done.returncode == 2
    expected = (
        "Python 3.11 or newer is needed, but false is older or missing: name one, as in make demo PYTHON=python3.12"
    )
    assert done.stderr.splitlines()[0] == expected
    assert not (checkout / ".venv").exists()


def test_peers_are_installed_once_each_in_its_own_environment(checkout):
    pins = checkout / "benchmarks/peers"
    pins.mkdir(parents=True)
    (pins / "near.txt").touch()
    (pins / "far.txt").touch()
    assert make(checkout, "bench-peers", PIP_ARGS="--no-index", PIP_ENDS="exit 1").returncode == 2
    done = make(checkout, "-k", "bench-peers", PIP_ARGS="--no-index")
    assert done.returncode == 0, done.stderr
    installs = [line for line in (checkout / "log").read_text().splitlines() if line.startswith("pip")]
    assert sorted(installs) == [f"pip --no-index -r benchmarks/peers/{name}.txt" for name in ("far", "near")]
    assert (checkout / "benchmarks/.peers/near/fresh").exists()
    make(checkout, "bench-peers")
    assert steps(checkout) == []
