"""README and docs are run: the Python of a page in one session, commands where they need no network; links lead on."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import qml
from hybrid import experiments

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
PAGES = {path.name: path.read_text() for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]}
ALL = "\n".join(PAGES.values())
QML = Path(sys.executable).with_name("qml")

# How many blocks of Python a page has, and what they print.
PYTHON = {
    "README.md": (2, ["grad_fn", "On fake_manila", "price"]),
    "backends.md": (2, ["grad_fn", "On fake_manila"]),
    "comparing.md": (2, ["the model, surrogate", "Robustness("]),
    "layers.md": (3, ["grad_fn"]),
}


def blocks(page):
    return re.findall(r"```python\n(.*?)```", PAGES[page], re.DOTALL)


@pytest.mark.parametrize("page", PYTHON)
def test_python_blocks_run(page, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("qiskit_ibm_runtime")
    pytest.importorskip("pennylane")
    pytest.importorskip("qiskit_aer")
    names = {}
    for block in blocks(page):
        exec(compile(block, page, "exec"), names)
    n_blocks, printed = PYTHON[page]
    out = capsys.readouterr().out
    assert len(blocks(page)) == n_blocks and all(text in out for text in printed), out
    if page == "README.md":
        assert names["quantum"].weights.grad.abs().sum() > 0


def test_no_page_with_python_is_forgotten():
    assert {page for page in PAGES if blocks(page)} == set(PYTHON)


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


def test_names_of_models_and_layers_are_complete():
    models = {p.stem for p in (ROOT / "hybrid" / "models").glob("[!_]*.py")}
    _, of_models, of_layers = re.split(r"^\| (?:model|layer) .*\n", TEXT, flags=re.MULTILINE)
    assert models == set(re.findall(r"^\| `(\w+)` \|", of_models, re.MULTILINE))
    layers = {name for name in qml.__all__ if isinstance(getattr(qml, name), type)} - {"SpecialUnitary"}
    cells = "".join(re.findall(r"^\| (`.*?) \|", of_layers, re.MULTILINE))
    assert {name for name in layers if not name.endswith("Cell")} == set(re.findall(r"`(\w+)`", cells))
    assert {name.removeprefix("qml.") for name in re.findall(r"`([\w.]+)`", PAGES["layers.md"])} >= layers


def test_names_of_templates_and_baselines_are_complete():
    templates = {p.stem for p in (ROOT / "circuits" / "templates").glob("[!_]*.py")}
    assert templates <= set(re.findall(r"`(\w+)`", PAGES["layers.md"]))
    baselines = {p.stem for p in (ROOT / "hybrid" / "baselines").glob("[!_]*.py")}
    assert baselines <= set(re.findall(r"`(\w+)`", PAGES["comparing.md"]))


def test_names_of_experiments_are_complete():
    assert set(experiments.names()) <= set(re.findall(r"`([\w-]+)`", PAGES["papers.md"]))


def test_tutorials_are_complete():
    notebooks = {f"tutorials/{path.name}" for path in ROOT.glob("tutorials/*.ipynb")}
    assert notebooks == set(re.findall(r"\((tutorials/[^)]+)\)", TEXT))


def test_run_lists_and_its_options_exist(tmp_path):
    page = PAGES["papers.md"]
    commands = re.findall(r"^    qml (run.*?)(?:  +#|$)", page, re.MULTILINE)
    assert commands == ["run", "run NAME --quick", "run --all --quick"]
    done = subprocess.run([QML, "run", "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    options = set(re.findall(r"--\w+", page))
    assert len(options) == 10 and options <= set(re.findall(r"--\w+", done.stdout)), done.stderr


def test_plan_command_runs(tmp_path):
    (command,) = re.findall(r"`qml (plan .*?)`", ALL)
    done = subprocess.run([QML, *command.split()], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "0 of 21 trainings are finished" in done.stdout, done.stderr


def test_attack_command_is_understood(tmp_path):
    (command,) = re.findall(r"^    qml (attack digits .*?)  +#", ALL, re.MULTILINE)
    done = subprocess.run([QML, *command.split(), "--epochs", "0"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "got epochs=0" in done.stderr
