"""The README is run: its Python in one session, its commands as far as they need no network; links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid import experiments

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
QML = Path(sys.executable).with_name("qml")


def test_python_blocks_run(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("qiskit_ibm_runtime")
    pytest.importorskip("pennylane")
    pytest.importorskip("qiskit_aer")
    names = {}
    for block in PYTHON:
        exec(compile(block, "README.md", "exec"), names)
    assert len(PYTHON) == 7
    out = capsys.readouterr().out
    assert "grad_fn" in out and "the model, surrogate" in out
    assert names["quantum"].weights.grad.abs().sum() > 0


def test_commands_exist():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"^    make (\w+)", TEXT, re.MULTILINE)) == {"demo", "test"} <= set(targets)


def test_compare_command_runs(tmp_path):
    (command,) = re.findall(r"^    qml (compare digits .*?)  +#", TEXT, re.MULTILINE)
    shrunk = re.sub(r"--seeds \d+", "--seeds 1", command).split()
    options = ["--epochs", "1", "--jobs", "1", "--out", str(tmp_path / "run")]
    done = subprocess.run([QML, *shrunk, *options], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "reuploading" in done.stdout
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))], ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_page_is_linked():
    assert {f"docs/{page.name}" for page in ROOT.glob("docs/*.md")} <= set(re.findall(r"\]\(([^)#]+)\)", TEXT))


def test_names_of_models_and_templates_are_complete():
    models = {p.stem for p in (ROOT / "hybrid" / "models").glob("[!_]*.py")}
    templates = {p.stem for p in (ROOT / "circuits" / "templates").glob("[!_]*.py")}
    assert models == set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE))
    assert templates <= set(re.findall(r"`(\w+)`", TEXT))


def test_names_of_experiments_are_complete():
    assert set(experiments.names()) <= set(re.findall(r"`([\w-]+)`", TEXT))


def test_run_lists_and_its_options_exist(tmp_path):
    commands = re.findall(r"^    qml (run.*?)(?:  +#|$)", TEXT, re.MULTILINE)
    assert commands == ["run", "run NAME --quick", "run --all --quick"]
    done = subprocess.run([QML, "run", "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    section = TEXT.partition("## Papers, run again")[2].partition("\n## ")[0]
    options = set(re.findall(r"--\w+", section))
    assert len(options) == 9 and options <= set(re.findall(r"--\w+", done.stdout)), done.stderr
