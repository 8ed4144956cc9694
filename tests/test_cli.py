"""The command ``qml`` as a user runs it: in a process of its own, killed, interrupted, and run again."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from commands import CTRL_C, ENVIRONMENT, INTERRUPTED, KILL, ROOT, STOP, content, finish, on_import, qml, start

from backends.jobs import Failed
from hybrid import __main__ as entry
from hybrid import baselines, models, records
from hybrid.compare import compare, plan
from hybrid.data import load

QUICK = ["compare", "iris", "--models", "reuploading", "--seeds", "1", "--epochs", "15", "--batch-size", "8"]
N_UNITS = 7
ONE_MODEL = ["--models", "reuploading", "--seeds", "1", "--epochs", "2", "--jobs", "1"]


def quick(out, jobs=1):
    return [*QUICK, "--out", str(out), "--jobs", str(jobs)]


def numbers(out):
    """The accuracy and the predictions of every record."""
    records = [json.loads(both[0]) for both in content(out).values()]
    return {record["key"]: (record["test_accuracy"], record["predictions"]) for record in records}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What the quick comparison finds when nobody disturbs it."""
    out = tmp_path_factory.mktemp("undisturbed")
    compare(load("iris"), ["reuploading"], seeds=1, epochs=15, batch_size=8, out=out, jobs=1, show=False)
    return numbers(out)


# --- stopping and going on -----------------------------------------------------------------------------------------


def test_stopped_at_several_moments_it_goes_on_and_finds_the_same_numbers(tmp_path, undisturbed):
    out, kept = tmp_path / "out", {}
    for n_records, kill, jobs in ((1, KILL, 2), (2, CTRL_C, 1), (1, KILL, 1)):
        begin = STOP.format(n_records=n_records, kill=kill)
        code, _, stderr = finish(start(*quick(out, jobs), begin=begin, folder=tmp_path / "begin"))
        found = content(out)
        assert code == (130 if kill is CTRL_C else -signal.SIGKILL), stderr
        assert len(found) == len(kept) + n_records
        assert {name: found[name] for name in kept} == kept, "a finished record was touched"
        kept = found
    code, stdout, stderr = finish(start(*quick(out)))
    final = content(out)
    assert {name: final[name] for name in kept} == kept
    assert len(stderr.splitlines()) == N_UNITS - len(kept), "a finished unit was trained again"
    assert numbers(out) == undisturbed
    assert code == 0 and "logistic_regression" in stdout
    names = {path.name for path in out.iterdir()}
    assert names == {"units", "report.md", "report.html", "accuracy.png", "differences.png", "learning_curves.png"}


def test_ctrl_c_says_what_is_kept(tmp_path, undisturbed):
    out = tmp_path / "out"
    begin = STOP.format(n_records=2, kill=CTRL_C)
    code, stdout, stderr = finish(start(*quick(out, jobs=2), begin=begin, folder=tmp_path / "begin"))
    assert (code, stdout) == (130, "")
    *said, last = stderr.splitlines()
    kept = f"2 of {N_UNITS} trainings are kept in {out}"
    assert last == f"qml: Interrupted: {kept}; the same command goes on where it was."
    assert [line[:4] for line in said] == [f"1/{N_UNITS} ", f"2/{N_UNITS} "]
    assert len(content(out)) == 2
    assert all(undisturbed[key] == found for key, found in numbers(out).items())


STARTING = ["signal", "hybrid.cli", "typer", "numpy", "hybrid.compare", "torch", "sklearn", "hybrid.models.reuploading"]


@pytest.mark.parametrize("module", STARTING)
def test_ctrl_c_while_it_starts(module, tmp_path):
    begin = on_import(module, "raise_signal(2)")
    process = start(*quick(tmp_path / "out"), begin=begin, folder=tmp_path / "begin")
    assert finish(process) == (130, "", INTERRUPTED)
    assert not (tmp_path / "out").exists()


def test_ctrl_c_while_its_workers_start(tmp_path):
    out = tmp_path / "out"
    begin = on_import("pickle", CTRL_C, worker=True)
    done = finish(start(*quick(out, jobs=2), begin=begin, folder=tmp_path / "begin"))
    kept = f"0 of {N_UNITS} trainings are kept in {out}"
    assert done == (130, "", f"qml: Interrupted: {kept}; the same command goes on where it was.\n")


def test_ctrl_c_while_it_reports(tmp_path, undisturbed):
    begin = on_import("matplotlib", "raise_signal(2)")
    code, _, stderr = finish(start(*quick(tmp_path / "out"), begin=begin, folder=tmp_path / "begin"))
    assert code == 130 and stderr.splitlines(keepends=True)[N_UNITS:] == [INTERRUPTED]
    assert numbers(tmp_path / "out") == undisturbed


def test_ctrl_c_is_ignored_where_the_shell_says_so(tmp_path):
    process = start("data", begin=on_import("typer", "raise_signal(2)"), folder=tmp_path, ignore=True)
    code, stdout, stderr = finish(process)
    assert (code, stderr) == (0, "") and "digits" in stdout


def test_the_installed_command_is_the_same():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"qml": f"hybrid.__main__:{entry.main.__name__}"}


def test_two_at_once_on_one_folder(tmp_path, undisturbed):
    outputs = [finish(process) for process in [start(*quick(tmp_path)), start(*quick(tmp_path))]]
    assert [code for code, _, _ in outputs] == [0, 0], outputs
    assert numbers(tmp_path) == undisturbed
    assert not list(tmp_path.glob("**/*.tmp"))
    assert all("logistic_regression" in stdout for _, stdout, _ in outputs)


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


def test_help_shows_every_option_with_its_default():
    text = qml("compare", "--help").stdout
    for option, default in {
        "models": "all", "seeds": "3", "epochs": "20", "batch-size": "32", "lr": "0.01", "n-train": "(all)",
        "test-size": "0.2", "backend": "statevector", "out": "(runs/<data>)", "jobs": "(number of cores)",
        "scheduler": "(none)",
    }.items():  # fmt: skip
        assert re.search(rf"--{option} <.*?\[default: {re.escape(default)}\]", re.sub(r"[\s│]+", " ", text)), option


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "--help"], ["models"], ["run"], ["run", "--help"]])
def test_what_only_lists_loads_nothing_heavy(arguments):
    code = f"import atexit, sys; atexit.register(lambda: print(*sys.modules)); sys.argv[1:] = {arguments}"
    code += "; from hybrid.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "hybrid.cli" in loaded
    assert loaded & {"torch", "sklearn", "matplotlib", "numpy", "scipy", "joblib"} == set()


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
        (["iris", "--jobs", "0"], r"got jobs=0, expected an integer of at least 1: pass jobs=1, for example"),
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
    assert run("train") == (
        2,
        "",
        "qml: No such command 'train'. Expected one of compare, models, data, attack, backends, plan, run, jobs.\n",
    )


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_damaged_checkpoint_is_one_line(tmp_path, run, jobs):
    out = tmp_path / "out"
    settings = {"seeds": 1, "epochs": 2, "lr": 0.01, "batch_size": 32, "test_size": 0.2, "n_train": None}
    unit = plan(load("iris"), ["reuploading"], **settings, backend="statevector", out=out).units[0]
    records.checkpoint(out, unit).write_text("damaged")
    code, _, err = run("compare", "iris", *ONE_MODEL[:-1], jobs, "--out", str(out))
    message = rf"qml: got the checkpoint {records.checkpoint(out, unit)}, which cannot be read \(.*\), expected .*"
    assert code == 1 and re.fullmatch(message, err.splitlines()[-1])


def test_a_job_that_failed_is_one_line(tmp_path, run):
    def fail(*_):
        raise Failed("job d1 failed: the device was recalibrated")

    run.setattr("hybrid.compare.run", fail)
    found = run("compare", "iris", *ONE_MODEL, "--out", str(tmp_path / "out"))
    assert found == (1, "", "qml: job d1 failed: the device was recalibrated\n")


def test_wrong_input_in_a_process_of_its_own(tmp_path):
    done = qml("compare", "no-such-data", cwd=tmp_path)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert not list(tmp_path.iterdir())


def test_a_broken_data_file_is_one_line(tmp_path, run):
    path = tmp_path / "tiny.npz"
    np.savez(path, x_train=np.zeros((4, 2)), y_train=[0, 1, 0, 1], class_names="cat, dog")
    message = "qml: tiny has class_names of shape (): expected a list of one name per class.\n"
    assert run("compare", str(path)) == (2, "", message)


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


@pytest.mark.parametrize("name", ["report.md", "report.html", "accuracy.png"])
def test_a_folder_in_the_place_of_a_report_is_one_line(name, tmp_path, run):
    (tmp_path / name).mkdir()
    code, _, stderr = run("compare", "iris", *ONE_MODEL, "--out", str(tmp_path))
    kept = f"What is finished is kept in {tmp_path}; the same command goes on where it was."
    assert code == 1 and len(content(tmp_path)) == N_UNITS
    assert stderr.splitlines()[N_UNITS:] == [
        f"qml: Cannot write {tmp_path / name} (Is a directory): make room for it. {kept}"
    ]
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("finished", [True, False])
def test_a_full_disk_is_one_line(finished, tmp_path, run):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    command = ["compare", "iris", *ONE_MODEL, "--out", str(tmp_path)]
    if finished:
        run(*command)
    run.setattr(os, "fsync", full)
    code, _, stderr = run(*command)
    file = re.escape(str(tmp_path)) + ("/accuracy.png" if finished else r"/units/\w+\.json")
    kept = f"What is finished is kept in {re.escape(str(tmp_path))}; the same command goes on where it was."
    assert code == 1
    assert re.fullmatch(rf"qml: Cannot write {file} \(No space left on device\): make room for it\. {kept}\n", stderr)


def test_a_scheduler_that_does_not_answer_is_one_line(tmp_path, run):
    distributed = pytest.importorskip("distributed", reason="the Dask test needs the package distributed")

    def refuse(address, **options):
        raise OSError(f"Timed out trying to connect to {address}.")

    run.setattr(distributed, "Client", refuse)
    options = [*ONE_MODEL, "--scheduler", "tcp://127.0.0.1:1", "--out", str(tmp_path)]
    code, stdout, stderr = run("compare", "iris", *options)
    assert (code, stdout, len(stderr.splitlines())) == (1, "", 1)
    assert stderr.startswith("qml: Timed out trying to connect to tcp://127.0.0.1:1. What is finished is kept in")


def test_a_worker_that_is_killed_is_one_line(tmp_path):
    out = tmp_path / "out"
    begin = on_import("hybrid.units", KILL, worker=True)
    code, stdout, stderr = finish(start(*quick(out, jobs=2), begin=begin, folder=tmp_path / "begin"))
    assert (code, stdout, len(stderr.splitlines())) == (1, "", 1), stderr
    assert stderr.startswith("qml: A worker process died, killed or out of memory: if it happens again, use fewer jobs")
    assert stderr.endswith(f"What is finished is kept in {out}; the same command goes on where it was.\n")
