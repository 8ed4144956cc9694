"""Does the quantum part of your model help? The controls of any torch model with a quantum layer, trained alike.

Every row (the model and its controls of :mod:`hybrid.controls`) is trained with the same learning rates on the same
samples; the one that counts is chosen for each row and seed on a validation part of the train part, the same for all
rows. The trained model is then evaluated once more with a classical surrogate (:mod:`hybrid.surrogate`) in the place of
its circuits. Differences are tested in pairs, seed by seed.

One training is one record on disk: an audit that was stopped, however rudely, goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from backends import Statevector
from circuits.checks import whole
from hybrid import checks, controls, progress, records, report, running, statistics, surrogate, training, units
from hybrid.compare import Comparison, Plan, Row
from hybrid.controls import Source
from hybrid.data import Dataset, Split, from_arrays, split
from hybrid.dressed import CONTROLS
from hybrid.fingerprint import fingerprint
from hybrid.progress import Tell
from hybrid.records import Record, Unit
from hybrid.statistics import Verdict

if TYPE_CHECKING:
    from rich.table import Table

#: What sentences call the audited model.
NAME = "the model"

#: Share of the train part on which the learning rate is chosen.
VALID_SIZE = 0.2


@dataclass(frozen=True)
class Audit:
    """What an audit has found.

    Attributes
    ----------
    comparison
        The rows with the records of the chosen learning rates: ``comparison.rows``, ``comparison.accuracies(row)``.
    verdict
        ``outcome`` is ``helps``, ``hurts``, ``no evidence`` or ``one seed``; ``sentence`` says it in words;
        ``contrasts`` are the paired differences.
    tried
        The learning rates that every row was trained with.
    """

    comparison: Comparison
    verdict: Verdict
    tried: tuple[float, ...]

    @property
    def table(self) -> Table:
        """The table of all rows, to be printed with rich."""
        return report.table(self.comparison)

    @property
    def r2(self) -> list[list[float]]:
        """How well the surrogate reproduces every quantum layer on test samples (1 is perfect), one list per seed."""
        return [record["surrogate"]["r2"] for record in self.comparison.of((NAME, "hybrid"))]

    @property
    def learning_rates(self) -> dict[str, list[float]]:
        """The chosen learning rate of every row, one per seed."""
        pairs = [(unit.variant, unit.lr) for unit in self.comparison.units if unit.variant != "surrogate"]
        return {name: [lr for each, lr in pairs if each == name] for name in dict.fromkeys(name for name, _ in pairs)}

    def write(self, out: str | Path | None = None) -> list[Path]:
        """Write ``report.md``, ``report.html`` and plots, and return the files; each is written whole or not at all.

        Parameters
        ----------
        out
            A folder; that of the records if None.

        Raises
        ------
        OSError
            If it cannot be written to.
        """
        from hybrid import audit_report

        return audit_report.write(self, self.comparison.out if out is None else Path(out))

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=100, color_system=None, force_jupyter=False)
        with console.capture() as captured:
            console.print(self.table, self.verdict.sentence, highlight=False, markup=False)
        return captured.get()


def audit(
    model: Source,
    data: Any,
    y: Any = None,
    *,
    seeds: int | Iterable[int] = 5,
    epochs: int = 20,
    learning_rates: Iterable[float] = (0.003, 0.01, 0.03),
    batch_size: int = 32,
    test_size: float = 0.2,
    out: str | Path = "runs/audit",
    jobs: int | None = None,
    show: bool = True,
) -> Audit:
    """Ask whether the quantum layers of a model help: train it and its controls, and compare them on equal terms.

    The controls: the quantum layers removed (a fixed random projection where the widths differ), replaced by linear +
    tanh of the same widths, with their entanglers off, and (where weights of theirs are trained) frozen; see
    :mod:`hybrid.controls`. In the trained model a classical surrogate takes the place of the circuits, Fourier features
    where their angles are affine in the features and random ones elsewhere, without training the rest again; see
    :mod:`hybrid.surrogate`.

    Parameters
    ----------
    model
        A torch model with a :class:`qml.QuantumLayer` in it, alone or in parallel circuits, a quanvolution or recurrent
        layers, from float32 samples to the logits of every class, which is copied, and whose weights are drawn anew
        for every seed; or a function without arguments that builds it.
    data
        A :class:`hybrid.data.Dataset`, whose samples are flat; or an array of samples, of the shape that the model
        takes. Features are scaled to mean 0 and variance 1, as the samples to train on say.
    y
        The class of each sample, where `data` is an array.
    seeds
        How many seeds (0, 1, …), or the seeds themselves: of weights, order, and split where there is no official one.
    epochs, batch_size
        Passes through the data and samples per step, for every row alike.
    learning_rates
        Adam's learning rates to try, for every row alike.
    test_size
        Share of the test part where the data set has no official one.
    out
        Folder for the records; finished trainings found there are not repeated.
    jobs
        Trainings at once; the number of cores if None. Numbers do not depend on it.
    show
        Show the progress on stderr.

    Returns
    -------
    Audit
        ``print(audit)`` shows the table and the verdict, ``audit.write()`` writes a report.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If the model has no quantum layer, or one without a control; if data and model do not fit; or if a number, the
        output folder or a record found there is wrong.
    FloatingPointError
        If a training loss is not finite.

    Examples
    --------
    >>> quantum = QuantumLayer(data_reuploading(3, n_layers=2))
    >>> model = nn.Sequential(nn.Linear(4, quantum.in_features), nn.Tanh(), quantum, nn.Linear(3, 3))
    >>> print(hybrid.audit(model, hybrid.data.load("iris"), seeds=5))
    """
    dataset, shape = _data(data, y)
    rates, fields = _rates(learning_rates), _fields(dataset, epochs, batch_size, test_size)
    chosen, n_jobs = checks.seeds(seeds), checks.jobs(jobs)
    _parts(dataset, chosen[0], fields["test_size"])
    sources = {variant: partial(_row, model, variant, shape) for variant in _variants(model)}
    fields |= {"backend": _check_rows(sources, dataset), "source": _fingerprint(model, shape)}
    rows = [Unit(NAME, variant, seed=seed, lr=lr, **fields) for variant in sources for seed in chosen for lr in rates]
    out = checks.writable(out)
    records.check(out, rows)
    builds = {(NAME, variant): source for variant, source in sources.items()}
    return _result(_run(Plan(dataset, tuple(rows), builds, out, n_jobs, None, None), show))


def train(unit: Unit, source: Any, dataset: Dataset, folder: Path, checkpoint: Path | None = None) -> Record:
    """Train one row with one learning rate and one seed, on one thread, and return its record.

    Parameters
    ----------
    unit, dataset, folder, checkpoint
        As for :func:`hybrid.units.train`.
    source
        Builds the model of the row.

    Returns
    -------
    dict
        As of :func:`hybrid.units.train`, watched on the validation part; with ``valid_accuracy``, and of the model
        itself with ``surrogate``.
    """
    parts, valid = _parts(dataset, unit.seed, unit.test_size)
    with training.one_thread():
        fitted = _fit(unit, source, parts, valid, progress.teller(folder, unit.key), checkpoint)
        found = fitted.net.module_.eval()
        predictions = surrogate.predict(found, parts.X_test)
        fitted_surrogate = _surrogate(found, parts, unit.variant)
    return {
        "schema": records.SCHEMA,
        "key": unit.key,
        "unit": asdict(unit),
        "data": dataset.name,
        "n_train": len(parts.y),
        "n_pool": len(parts.y) + parts.resampled * len(valid[1]),
        "n_test": len(parts.y_test),
        "resampled": parts.resampled,
        "test_accuracy": _share(predictions, parts.y_test),
        "valid_accuracy": fitted.history[-1]["valid_accuracy"],
        "parameters": units.count_parameters(found),
        "seconds": fitted.seconds,
        "history": fitted.history,
        "predictions": predictions.tolist(),
        "surrogate": fitted_surrogate,
        "versions": units.versions(),
    }


def _data(data: Any, y: Any) -> tuple[Dataset, tuple[int, ...] | None]:
    """Return a data set, and the shape of a sample where the model takes no flat ones."""
    if not isinstance(data, Dataset):
        found = from_arrays(data, y)
        return found, found.image_shape
    if y is not None:
        raise ValueError("got a Dataset and y, expected a Dataset alone or two arrays: audit(model, dataset)")
    if len(np.unique(data.y)) < 2:
        raise ValueError(f"got one class only in {data.name}, expected samples of two or more: add the others")
    return data, None


def _fields(dataset: Dataset, epochs: Any, batch_size: Any, test_size: Any) -> dict[str, Any]:
    """Return what all trainings have in common, checked."""
    return {
        "data": dataset.fingerprint,
        "epochs": whole("epochs", epochs),
        "batch_size": whole("batch_size", batch_size),
        "test_size": checks.number("test_size", test_size),
        "n_train": None,
        "n_parameters": None,
    }


def _rates(rates: Any) -> list[float]:
    found = list(rates) if isinstance(rates, Iterable) and not isinstance(rates, str) else []
    if not found:
        raise ValueError(f"got learning_rates={rates!r}, expected one or more numbers: learning_rates=(0.01, 0.03)")
    return [checks.positive("learning_rates", checks.number("learning_rates", rate)) for rate in dict.fromkeys(found)]


def _parts(dataset: Dataset, seed: int, test_size: float) -> tuple[Split, tuple[np.ndarray, np.ndarray]]:
    """Return the samples to train and to test on, and those to choose the learning rate on, scaled.

    With an official test part the validation part is the same for every seed, so that seeds differ in the training
    alone.
    """
    whole = split(dataset, seed, test_size)
    inner = replace(dataset, X=whole.X, y=whole.y, X_test=None, y_test=None)
    divided = split(inner, seed if whole.resampled else 0, VALID_SIZE)
    tested = divided._replace(X_test=whole.X_test, y_test=whole.y_test, resampled=whole.resampled)
    valid = units.scaled(divided)
    return units.scaled(tested), (valid.X_test, valid.y_test)


def _variants(model: Source) -> list[str]:
    """Return the model and its controls; freezing says nothing where no quantum weight is trained."""
    found = controls.layers(_built(partial(controls.model, model)))
    trained = any(layer.weights.requires_grad and layer.weights.numel() for layer in found)
    return ["hybrid", *(control for control in CONTROLS if trained or control != "frozen")]


def _row(source: Source, variant: str, shape: tuple[int, ...] | None) -> nn.Module:
    found = controls.model(source, None if variant == "hybrid" else variant)
    return found if shape is None else nn.Sequential(nn.Unflatten(1, shape), found)


def _check_rows(sources: dict[str, Any], dataset: Dataset) -> str:
    """Try every row on two samples, on the simulator, before any training; return the names of the backends."""
    rows = {variant: _built(source) for variant, source in sources.items()}
    names = sorted({type(layer.backend).__name__ for row in rows.values() for layer in controls.layers(row)})
    for variant, row in rows.items():
        _check_row(variant, row, dataset)
    if not surrogate.calls(rows["hybrid"], dataset.X[:2]):
        raise ValueError(
            "got a model that never calls its qml.QuantumLayer, expected one that does: layer(x) in its forward"
        )
    for variant, row in rows.items():
        _check_trained(variant, row)
    return ", ".join(names)


def _built(source: Any) -> nn.Module:
    with training.alone(0):
        found: nn.Module = source()
    return found


def _named(variant: str) -> str:
    return "the model" if variant == "hybrid" else f"its control {variant!r}"


def _check_trained(variant: str, model: nn.Module) -> None:
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(
            f"got nothing to train in {_named(variant)}, expected weights beside those of the quantum layers, so that "
            "all rows can learn: put a linear layer behind them"
        )


def _check_row(variant: str, model: nn.Module, dataset: Dataset) -> None:
    row = _named(variant)
    if any(isinstance(parameter, UninitializedParameter) for parameter in model.parameters()):
        raise ValueError(
            "got a model with lazy layers, whose weights are not there yet, expected sizes: write Linear(n, m), "
            "or call the model once where it is built"
        )
    for layer in controls.layers(model):
        layer.to_backend(Statevector())
    try:
        with torch.no_grad():
            found = tuple(model.eval()(torch.as_tensor(dataset.X[:2])).shape)
    except Exception as error:
        raise ValueError(
            f"got an error from {row} on two samples of {dataset.n_features} features ({_line(error)}), expected "
            f"logits of shape (2, {dataset.n_classes}): give samples of the shape that the model takes, and a model "
            "that calls its quantum layers as modules and reads nothing else of them"
        ) from error
    if found != (2, dataset.n_classes):
        raise ValueError(
            f"got an output of shape {found} from {row} for two samples, expected (2, {dataset.n_classes}): one logit "
            f"for each of the {dataset.n_classes} classes"
        )


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _fingerprint(model: Source, shape: tuple[int, ...] | None) -> str:
    """Hash what is trained, and the code that trains it."""
    source: Any = _content(model) if isinstance(model, nn.Module) else model
    return fingerprint(partial(train, source=partial(_row, source, shape=shape)))


def _content(model: nn.Module) -> list[Any]:
    """Return what a model consists of, module by module, with the weights of seed 0: training does not change it.

    (What torch itself keeps in a module, as its hooks, is numbered by the process.)
    """
    with training.alone(0):
        found = controls.model(model)
    torchs = vars(nn.Module()).keys() | {"last_stderr"}
    own = [(name, module, vars(module)) for name, module in found.named_modules()]
    return [
        (name, type(module), {k: v for k, v in held.items() if k not in torchs}, held["_parameters"], held["_buffers"])
        for name, module, held in own
    ]


def _run(plan: Plan, show: bool) -> Comparison:
    def call(unit: Unit, folder: Path) -> Any:
        checkpoint = records.checkpoint(plan.out, unit)
        return joblib.delayed(_attempt)(unit, plan.builds[unit.row], plan.dataset, folder, checkpoint)

    def said(record: Record) -> str:
        return f"{100 * record['valid_accuracy']:.1f} % of the validation part in {record['seconds']:.1f} s"

    labels = {unit.key: _name(unit) for unit in plan.units}
    found = running.finish(plan, call, labels, said, show, shared=plan.dataset)
    return Comparison(plan.out, None, plan.units, found)


def _attempt(unit: Unit, source: Any, dataset: Dataset, folder: Path, checkpoint: Path) -> Any:
    return running.attempt(unit, _name(unit), folder, lambda: train(unit, source, dataset, folder, checkpoint))


def _name(unit: Unit) -> str:
    return f"{unit.variant}, learning rate {unit.lr:g}, seed {unit.seed}"


def _fit(
    unit: Unit,
    source: Any,
    parts: Split,
    valid: tuple[np.ndarray, np.ndarray],
    tell: Tell,
    checkpoint: Path | None,
) -> training.Fitted:
    tell(0, unit.epochs)
    return training.fit(
        source,
        parts.X,
        parts.y,
        seed=unit.seed,
        epochs=unit.epochs,
        lr=unit.lr,
        batch_size=unit.batch_size,
        valid=valid,
        on_epoch=lambda epoch: tell(int(epoch["epoch"]), unit.epochs),
        name=_name(unit),
        checkpoint=checkpoint,
    )


def _surrogate(model: nn.Module, parts: Split, variant: str) -> dict[str, Any] | None:
    """Fit the surrogate of the trained model, and say how well it does on the test part."""
    if variant != "hybrid":
        return None
    replaced, found = surrogate.surrogate(model, parts.X, parts.X_test)
    predictions = surrogate.predict(replaced, parts.X_test)
    counts = units.count_parameters(replaced)
    counts["classical"] += found["n_parameters"]
    return {
        **found,
        "parameters": counts,
        "test_accuracy": _share(predictions, parts.y_test),
        "predictions": predictions.tolist(),
    }


def _share(predictions: np.ndarray, y: np.ndarray) -> float:
    return float((predictions == y).mean())


def _result(trained: Comparison) -> Audit:
    chosen = [_chosen(trained, row, seed) for row in trained.rows for seed in _seeds(trained)]
    surrogates = [_surrogate_record(*pair) for pair in chosen if pair[0].variant == "hybrid"]
    found, kept = zip(*(*chosen, *surrogates), strict=True)
    comparison = Comparison(trained.out, None, found, kept)
    verdict = statistics.verdict(comparison, NAME)
    tried = tuple(dict.fromkeys(unit.lr for unit in trained.units))
    return Audit(comparison, replace(verdict, sentence=f"{verdict.sentence} {_fidelity(comparison)}"), tried)


def _seeds(comparison: Comparison) -> list[int]:
    return list(dict.fromkeys(unit.seed for unit in comparison.units))


def _chosen(trained: Comparison, row: Row, seed: int) -> tuple[Unit, Record]:
    """Return the training that is best on the validation part: by accuracy, then by loss."""

    def rank(pair: tuple[Unit, Record]) -> tuple[float, float]:
        return pair[1]["valid_accuracy"], -pair[1]["history"][-1]["valid_loss"]

    pairs = zip(trained.units, trained.records, strict=True)
    return max((pair for pair in pairs if (pair[0].row, pair[0].seed) == (row, seed)), key=rank)


def _surrogate_record(unit: Unit, record: Record) -> tuple[Unit, Record]:
    """Return the surrogate of a trained model as a row of its own; its seconds are those of the training it needs."""
    found = {name: record["surrogate"][name] for name in ("test_accuracy", "predictions", "parameters")}
    return replace(unit, variant="surrogate"), {**record, **found, "history": []}


def _fidelity(comparison: Comparison) -> str:
    found = [record["surrogate"] for record in comparison.of((NAME, "hybrid"))]
    r2 = [value for each in found for value in each["r2"]]
    kinds = " and ".join(dict.fromkeys(kind for each in found for kind in each["kinds"]))
    said = f"{np.mean(r2):.3f}" if len(r2) == 1 else f"{np.mean(r2):.3f} on average, {min(r2):.3f} at least"
    return f"The surrogate ({kinds} features) reproduces the trained quantum layer with R² = {said}, on test samples."
