"""The command ``qml`` as a user runs it: in a process of its own, killed, interrupted, and run again."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from functools import partial
from pathlib import Path

import pytest

from hybrid import __main__ as entry
from hybrid import baselines, models
from hybrid.cli import main
from hybrid.compare import compare
from hybrid.data import load

ROOT = Path(__file__).resolve().parents[1]
QML = [sys.executable, "-m", "hybrid"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}

# Seven units of a few tenths of a second each, so that there is time to kill between them.
QUICK = ["compare", "iris", "--models", "reuploading", "--seeds", "1", "--epochs", "15", "--batch-size", "8"]
N_UNITS = 7
LONG = 600  # seconds: a limit for what hangs, far from what a slow machine needs
ONE_MODEL = ["--models", "reuploading", "--seeds", "1", "--epochs", "2", "--jobs", "1"]


def qml(*arguments, cwd=ROOT):
    return subprocess.run([*QML, *arguments], env=ENVIRONMENT, cwd=cwd, capture_output=True, text=True, timeout=LONG)


def start(out, *arguments, jobs=1):
    """Start the quick comparison in a process group of its own, as a terminal does."""
    command = [*QML, *QUICK, "--out", str(out), "--jobs", str(jobs), *arguments]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a suite run in the background ignores Ctrl-C
    return subprocess.Popen(command, env=ENVIRONMENT, start_new_session=True, preexec_fn=heard, **pipe)


def wait_for(out, n_records, process):
    """Wait until so many units are finished."""
    while len(list(out.glob("units/*.json"))) < n_records:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def content(out):
    """Name, bytes and time of every finished record."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.glob("units/*.json")}


def numbers(out):
    """The accuracy and the predictions of every record."""
    records = [json.loads(both[0]) for both in content(out).values()]
    return {record["key"]: (record["test_accuracy"], record["predictions"]) for record in records}


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command in this process: exit code, stdout, stderr; with pytest's monkeypatch at hand."""

    def call(*arguments):
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["qml", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        return stopped.value.code, *capsys.readouterr()

    call.chdir, call.setattr = monkeypatch.chdir, monkeypatch.setattr
    return call


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What the quick comparison finds when nobody disturbs it."""
    out = tmp_path_factory.mktemp("undisturbed")
    compare(load("iris"), ["reuploading"], seeds=1, epochs=15, batch_size=8, out=out, jobs=1, show=False)
    return numbers(out)


# --- stopping and going on -----------------------------------------------------------------------------------------


def stop(process, out, n_records, number):
    """Wait for so many finished units, then interrupt every process, as a terminal does, or kill the main one."""
    wait_for(out, n_records, process)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.kill()
    return process.communicate(timeout=LONG)


def test_stopped_at_several_moments_it_goes_on_and_finds_the_same_numbers(tmp_path, undisturbed):
    kept = {}
    for n_records, number, jobs in ((1, signal.SIGKILL, 2), (3, signal.SIGINT, 1), (4, signal.SIGKILL, 1)):
        process = start(tmp_path, jobs=jobs)
        _, stderr = stop(process, tmp_path, n_records, number)
        found = content(tmp_path)
        assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL), stderr
        assert n_records <= len(found) < N_UNITS, "stopped too late to be a test"
        assert {name: found[name] for name in kept} == kept, "a finished record was touched"
        kept = found
    stdout, stderr = start(tmp_path).communicate(timeout=LONG)
    final = content(tmp_path)
    assert {name: final[name] for name in kept} == kept
    assert len(stderr.splitlines()) == N_UNITS - len(kept), "a finished unit was trained again"
    assert numbers(tmp_path) == undisturbed
    assert "logistic_regression" in stdout
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"units", "report.md", "report.html", "accuracy.png", "differences.png", "learning_curves.png"}


def test_ctrl_c_says_what_is_kept(tmp_path, undisturbed):
    process = start(tmp_path, jobs=2)
    stdout, stderr = stop(process, tmp_path, 2, signal.SIGINT)
    kept = len(content(tmp_path))
    assert process.returncode == 130 and stdout == "" and 2 <= kept < N_UNITS
    text = f"Interrupted: {kept} of {N_UNITS} trainings are kept in {tmp_path}; the same command goes on where it was."
    assert stderr.splitlines()[-1] == f"qml: {text}"
    said = sum(bool(re.match(rf"\d/{N_UNITS} ", line)) for line in stderr.splitlines())
    assert said in (kept - 1, kept), "the signal may come between a record and its line"
    assert all(undisturbed[key] == found for key, found in numbers(tmp_path).items())


# Sends Ctrl-C to the process itself, at the moment when it imports the module that INTERRUPT_AT names.
INTERRUPT = """
import os, sys
from _signal import SIGINT, raise_signal

class Interrupt:
    def find_spec(name, path=None, target=None):
        if name == os.environ["INTERRUPT_AT"]:
            raise_signal(SIGINT)

sys.meta_path.insert(0, Interrupt)
"""


def interrupted_at(module, folder, *arguments, ignore=False):
    (folder / "sitecustomize.py").write_text(INTERRUPT)
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "INTERRUPT_AT": module}
    ctrl_c = partial(signal.signal, signal.SIGINT, signal.SIG_IGN if ignore else signal.SIG_DFL)
    return subprocess.run(
        [*QML, *arguments], env=environment, preexec_fn=ctrl_c, capture_output=True, text=True, timeout=LONG
    )


STARTING = ["signal", "hybrid.cli", "typer", "numpy", "hybrid.compare", "torch", "sklearn", "hybrid.models.reuploading"]


@pytest.mark.parametrize("module", STARTING)
def test_ctrl_c_while_it_starts(module, tmp_path):
    done = interrupted_at(module, tmp_path, *QUICK, "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "qml: Interrupted; the same command goes on where it was.\n"
    assert not (tmp_path / "out").exists()


def test_ctrl_c_while_it_reports(tmp_path, undisturbed):
    done = interrupted_at("matplotlib", tmp_path, *QUICK, "--out", str(tmp_path / "out"), "--jobs", "1")
    assert done.returncode == 130
    assert done.stderr.splitlines()[N_UNITS:] == ["qml: Interrupted; the same command goes on where it was."]
    assert numbers(tmp_path / "out") == undisturbed


def test_ctrl_c_is_ignored_where_the_shell_says_so(tmp_path):
    done = interrupted_at("typer", tmp_path, "data", ignore=True)
    assert (done.returncode, done.stderr) == (0, "") and "digits" in done.stdout


def test_the_installed_command_is_the_same():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"qml": f"hybrid.__main__:{entry.main.__name__}"}


def test_two_at_once_on_one_folder(tmp_path, undisturbed):
    both = [start(tmp_path), start(tmp_path)]
    outputs = [process.communicate(timeout=LONG) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert numbers(tmp_path) == undisturbed
    assert not list(tmp_path.glob("**/*.tmp"))
    assert all("logistic_regression" in stdout for stdout, _ in outputs)


# --- output --------------------------------------------------------------------------------------------------------


def test_the_default_output_folder_and_what_is_printed(tmp_path, run):
    run.chdir(tmp_path)
    code, stdout, stderr = run(
        "compare", "iris", "--models", "reuploading", "--seeds", "2", "--epochs", "1", "--jobs", "1"
    )
    out = tmp_path / "runs" / "iris"
    assert code == 0 and len(content(out)) == 14 and len(stderr.splitlines()) == 14
    assert "iris: 120 training and 30 test samples" in stdout
    assert "the quantum part of reuploading" in stdout.replace("\n", " ")
    assert stdout.rstrip().endswith(f"Report: {out / 'report.html'}")
    assert "qml compare iris --models reuploading --seeds 2" in (out / "report.md").read_text()


def test_help_shows_every_option_with_its_default_and_is_quick():
    start = time.perf_counter()
    text = qml("compare", "--help").stdout
    assert time.perf_counter() - start < 2
    for option, default in {
        "models": "all", "seeds": "3", "epochs": "20", "batch-size": "32", "lr": "0.01", "n-train": "(all)",
        "test-size": "0.2", "backend": "statevector", "out": "(runs/<data>)", "jobs": "(number of cores)",
        "scheduler": "(none)",
    }.items():  # fmt: skip
        assert re.search(rf"--{option} <.*?\[default: {re.escape(default)}\]", re.sub(r"[\s│]+", " ", text)), option


def test_importing_the_command_loads_nothing_heavy():
    code = "import sys, hybrid.cli; print([n for n in ('torch', 'sklearn', 'matplotlib', 'numpy') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == []


def test_models_lists_the_folders():
    lines = qml("models").stdout.splitlines()
    found = [line.split()[0] for line in lines if line.startswith("  ")]
    assert found == models.names() + baselines.names()
    assert "Cong et al." in next(line for line in lines if line.startswith("  qcnn "))


def test_data_lists_names_and_forms():
    text = qml("data").stdout
    assert all(word in text for word in ("digits", "breast_cancer", "wine", "iris", "IDX", ".npz", "openml:NAME"))


# --- wrong input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digit"], r"Unknown data set 'digit': expected one of breast_cancer, digits, iris, wine, .*"),
        (["iris", "--models", "qcnn,qcm"], r"Unknown model 'qcm': expected one of .*qcnn, reuploading.*"),
        (["iris", "--backend", "aerr"], r".*'aerr', expected one of statevector, .*"),
        (["iris", "--seeds", "0"], r"seeds is 0: expected .*"),
        (["iris", "--epochs", "many"], r"Invalid value for '--epochs': .*"),
        (["iris", "--lr", "-1"], r"lr is -1\.0: expected a positive number\."),
        (["iris", "--n-train", "1000"], r"n_train is 1000, but iris has 120 training samples .*"),
        (["iris", "--jobs", "0"], r"jobs is 0: expected a positive number\."),
        (["iris", "--out", "FILE"], r"Cannot write to the output folder .*FILE \(.*\): choose another one\."),
        (["iris", "--sedes", "3"], r"No such option: --sedes.*"),
        ([], r"Missing argument '.*data.*'\."),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(arguments, message, tmp_path, run):
    (tmp_path / "FILE").write_text("")
    run.chdir(tmp_path)
    code, stdout, stderr = run("compare", *arguments)
    assert code == 2 and stdout == ""
    assert re.fullmatch(f"qml: {message}\n", stderr), stderr
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]


def test_a_wrong_command_is_one_line_that_names_the_commands(run):
    assert run("train") == (2, "", "qml: No such command 'train'. Expected one of compare, models, data.\n")


def test_wrong_input_in_a_process_of_its_own(tmp_path):
    done = qml("compare", "no-such-data", cwd=tmp_path)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_is_one_line(tmp_path, run):
    code, _, stderr = run("compare", "iris", *ONE_MODEL, "--lr", "3e37", "--out", str(tmp_path))
    assert code == 1
    message = (
        r"qml: The training loss of reuploading.* is (nan|inf) in epoch [12]: expected a finite number; try a smaller"
    )
    assert re.match(message, stderr.splitlines()[-1])


def test_a_damaged_record_is_one_line(tmp_path, run):
    command = ["compare", "iris", *ONE_MODEL, "--out", str(tmp_path)]
    assert run(*command)[0] == 0
    victim = sorted(tmp_path.glob("units/*.json"))[0]
    victim.write_bytes(victim.read_bytes()[:50])
    code, stdout, stderr = run(*command)
    assert (code, stdout, len(stderr.splitlines())) == (2, "", 1)
    assert stderr.startswith(f"qml: {victim} is not the record of a finished unit")
    assert len(victim.read_bytes()) == 50


def test_a_scheduler_that_does_not_answer_is_one_line(tmp_path, run):
    distributed = pytest.importorskip("distributed", reason="the Dask test needs the package distributed")

    def refuse(address, **options):
        raise OSError(f"Timed out trying to connect to {address}.")

    run.setattr(distributed, "Client", refuse)
    options = [*ONE_MODEL, "--scheduler", "tcp://127.0.0.1:1", "--out", str(tmp_path)]
    code, stdout, stderr = run("compare", "iris", *options)
    assert (code, stdout, len(stderr.splitlines())) == (1, "", 1)
    assert stderr.startswith("qml: Timed out trying to connect to tcp://127.0.0.1:1. What is finished is kept in")
