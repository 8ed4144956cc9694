"""Compiled functions on the disk: read where they are fresh, compiled again where they are not."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import test_threads
from numba import config
from numba.core import caching

from backends.statevector import disk, kinds, sweeps

ROOT = Path(__file__).parents[1]
TIMEOUT = 120  # seconds


def double(numbers):
    for i in range(len(numbers)):
        numbers[i] *= 2


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder that functions are kept in."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def compiled(dtype=np.float64):
    """Call the function of a new process, as it were; return whether it was compiled, not read."""
    function, numbers = disk.kept(double), np.ones(2, dtype)
    function(numbers)
    assert numbers.tolist() == [2, 2]
    assert sum(function.stats.cache_hits.values()) + sum(function.stats.cache_misses.values()) <= 1
    return not function.stats.cache_hits


def test_compiled_once_for_every_type():
    assert [compiled(), compiled(np.float32), compiled(), compiled(np.float32)] == [True, True, False, False]


@pytest.mark.parametrize("changed", range(len(disk.SOURCES)))
def test_compiled_again_after_any_source_has_changed(monkeypatch, tmp_path, changed):
    copies = [tmp_path / path.name for path in disk.SOURCES]
    for copy, path in zip(copies, disk.SOURCES, strict=True):
        copy.write_bytes(path.read_bytes())
    monkeypatch.setattr(disk, "SOURCES", tuple(copies))
    assert [compiled(), compiled()] == [True, False]
    copies[changed].write_bytes(copies[changed].read_bytes() + b"# changed")
    assert [compiled(), compiled()] == [True, False]


def test_the_sources_are_all_files_that_the_passes_call_into():
    modules, found = [sweeps], set()
    for module in modules:
        found.add(Path(module.__file__))
        functions = [f.py_func for f in vars(module).values() if hasattr(f, "py_func")]
        functions += [f._defn for f in vars(module).values() if hasattr(f, "_defn")]  # intrinsics
        modules += {sys.modules[f.__module__] for f in functions} - set(modules)
    assert found | {Path(kinds.__file__)} == set(disk.SOURCES)  # kinds has numbers alone


def test_two_types_never_share_a_file(folder, monkeypatch):
    monkeypatch.setattr(disk._Files, "_load_index", lambda self: {})  # as where both processes find nothing
    compiled(), compiled(np.float32)
    assert len(list(folder.rglob("*.nbc"))) == 2


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("method", ["_save_data", "_save_index"])
def test_a_full_disk(monkeypatch, method):
    monkeypatch.setattr(disk._Files, method, full)
    assert compiled() and compiled()


def test_no_folder_to_write_to(monkeypatch):
    monkeypatch.setattr(caching._SourceFileBackedLocatorMixin, "ensure_cache_path", full, raising=False)
    assert compiled() and compiled()


def test_a_folder_that_may_only_be_read(folder):
    assert compiled()
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o500 if path.is_dir() else 0o400)
    if os.access(folder, os.W_OK):
        pytest.skip("root may write everywhere")
    assert compiled(np.float32)


def test_a_second_process_compiles_nothing():
    test_threads.trained()
    code = """
from backends.statevector import threads
threads.PATIENCE = 60  # a slow disk is no compiler
import test_threads
test_threads.trained()
from backends.statevector import sweeps, turns
functions = {**vars(turns), **vars(sweeps)}
passes = {name: f.stats for name, f in functions.items() if hasattr(f, "stats") and f.stats.cache_path}
print(*(name for name in passes if passes[name].cache_hits), sum(len(s.cache_misses) for s in passes.values()))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert not done.returncode and not done.stderr, done.stderr
    assert {"forward", "backward"} <= set(done.stdout.split()) and done.stdout.split()[-1] == "0"
