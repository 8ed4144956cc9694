"""Attack hybrid models, their controls and classical baselines alike, and keep what is left of their accuracy.

The rows are those of :mod:`hybrid.compare`, trained as there, but from pixels: values from 0 to 1, with the scaling to
mean 0 and variance 1 in the model. Images have one mean and one variance for all pixels; with those of every pixel, one
that is nearly always 0 is scaled up a hundredfold, and an attack finds the scaling and not the model. Where asked, each
row is trained once more against PGD ("hardened"). Then some samples of the test part are attacked with growing radii.

A finished unit (model × seed, plain or hardened) is one record on disk, and its weights are another file: what was
stopped goes on where it was, and another attack on the same models trains nothing again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from torch import nn

from circuits.checks import whole
from hybrid import attacks, checkpoints, checks, compare, progress, records, running, training, units
from hybrid.attacks import Normalised, Robustness
from hybrid.compare import Build, Comparison, Plan
from hybrid.data import Dataset, Split, split
from hybrid.fingerprint import fingerprint
from hybrid.progress import Tell
from hybrid.records import Record, Unit

METHODS: dict[str, Callable[..., attacks.Attack]] = {"fgsm": attacks.fgsm, "pgd": attacks.pgd}

#: Radii if none are given, by norm.
RADII = {"inf": (0.01, 0.02, 0.05, 0.1, 0.2), "2": (0.1, 0.2, 0.5, 1.0, 2.0)}

#: Steps of the attack that a model is hardened against.
HARDENING_STEPS = 7


@dataclass(frozen=True)
class Trained(Unit):
    """Everything that determines the weights of one model.

    Parameters
    ----------
    hardened, hardened_norm
        Radius and norm of the attack that it is trained against; None for a plain training.
    """

    hardened: float | None
    hardened_norm: str | None


@dataclass(frozen=True)
class Attacked(Trained):
    """Everything that determines the robust accuracy of one model.

    Parameters
    ----------
    methods
        Names of attacks.
    norm, eps, n_steps, restarts
        As for :func:`hybrid.attacks.pgd`; radii ascending.
    above
        Only pixels above this value may change; None for all.
    n_attacked
        How many samples of the test part to attack at most.
    """

    schema = 1
    contents = {  # noqa: RUF012 (no field)
        "schema": int, "key": str, "unit": dict, "data": str, "n_train": int, "n_pool": int, "n_test": int,
        "n_attacked": int, "resampled": bool, "parameters": dict, "seconds": float, "attack_seconds": float,
        "curves": dict, "versions": dict,
    }  # fmt: skip

    methods: tuple[str, ...]
    norm: str
    eps: tuple[float, ...]
    n_steps: int
    restarts: int
    above: float | None
    n_attacked: int

    @property
    def trained(self) -> Trained:
        """What determines the weights alone."""
        return Trained(**{field.name: getattr(self, field.name) for field in fields(Trained)})

    @property
    def label(self) -> str:
        """What the row is called in words."""
        return records.label(*self.row) + ("" if self.hardened is None else ", hardened")


def plan(
    dataset: Dataset,
    models: Iterable[str] | Mapping[str, Build] | None = None,
    *,
    methods: Iterable[str] = tuple(METHODS),
    norm: str = "inf",
    eps: Iterable[float] | None = None,
    n_steps: int = 20,
    restarts: int = 1,
    above: float | None = None,
    n_attacked: int = 200,
    harden: float | None = None,
    seeds: int | Iterable[int] = 3,
    epochs: int = 20,
    lr: float = 0.01,
    batch_size: int = 32,
    test_size: float = 0.2,
    n_train: int | None = None,
    backend: str = "statevector",
    out: str | Path,
    jobs: int | None = None,
    scheduler: str | None = None,
    command: str | None = None,
) -> Plan:
    """Check everything, and the records that are already there, before anything is trained or attacked.

    Parameters
    ----------
    methods
        Names of attacks: ``fgsm``, ``pgd``.
    norm, n_steps, restarts
        As for :func:`hybrid.attacks.pgd`.
    eps
        Radii above 0, where an image's pixels, or the train part of each feature of a table, go from 0 to 1;
        some that suit the norm if None.
    above
        Change only pixels above this value; all if None.
    n_attacked
        Attack at most so many samples of the test part, drawn with the seed.
    harden
        Train every model once more, against PGD of this radius.
    dataset, models, seeds, epochs, lr, batch_size, test_size, n_train, backend, out, jobs, scheduler, command
        As for :func:`hybrid.compare.plan`.

    Returns
    -------
    Plan
        For :func:`run`.

    Raises
    ------
    ValueError, TypeError, ImportError
        If something is wrong.
    """
    chosen = _fields(methods, norm, eps, n_steps, restarts, above, n_attacked)
    radius = None if harden is None else checks.positive("harden", checks.number("harden", harden))
    base = compare.plan(
        dataset, models, seeds=seeds, epochs=epochs, lr=lr, batch_size=batch_size, test_size=test_size,
        n_train=n_train, backend=backend, out=out, jobs=jobs, scheduler=scheduler, command=command,
    )  # fmt: skip
    found = tuple(_units(base, radius, norm, chosen))
    records.check(base.out, found)
    return replace(base, units=found)


def run(plan: Plan, show: bool = True) -> Comparison:
    """Train and attack the units of a plan that have no record yet, and return the records of all.

    Parameters
    ----------
    plan
        What :func:`plan` returns.
    show
        Show the progress on stderr.

    Returns
    -------
    Comparison
        To be read with :func:`scored`, and written with :mod:`hybrid.robustness_report`.

    Raises
    ------
    FloatingPointError
        If the loss of a model is not finite.
    CheckpointError
        If kept weights are damaged.
    OSError
        If the Dask scheduler does not answer, or workers are lost.
    """

    def call(unit: Any, folder: Path) -> Any:
        return joblib.delayed(attempt)(unit, plan.builds[unit.row], plan.dataset, folder, plan.out)

    def said(record: Record) -> str:
        means = [
            f"{100 * np.mean(curve['accuracy'][1:]):.1f} % under {name}" for name, curve in record["curves"].items()
        ]
        clean = next(iter(record["curves"].values()))["accuracy"][0]
        return f"{100 * clean:.1f} % clean, {', '.join(means)}"

    labels = {unit.key: f"{unit.label}, seed {unit.seed}" for unit in _attacked(plan.units)}
    found = running.finish(plan, call, labels, said, show, shared=plan.dataset)
    return Comparison(plan.out, plan.command, plan.units, found)


def scored(found: Comparison, method: str, hardened: bool = False) -> Comparison:
    """Return the plain or the hardened rows as a comparison of mean robust accuracies over the radii above 0.

    What :mod:`hybrid.statistics` says of test accuracies, it says of these.
    """
    chosen = [i for i, unit in enumerate(_attacked(found.units)) if (unit.hardened is not None) == hardened]
    kept = [found.records[i] for i in chosen]
    scores = [{**record, "test_accuracy": float(np.mean(record["curves"][method]["accuracy"][1:]))} for record in kept]
    return replace(found, units=tuple(found.units[i] for i in chosen), records=tuple(scores))


def attempt(
    unit: Attacked, build: Build, dataset: Dataset, folder: Path, out: Path
) -> tuple[Attacked, Record | Exception]:
    """Train and attack one unit in whatever process this is; an error is returned, not raised."""
    name = f"{unit.label}, seed {unit.seed}"
    return running.attempt(unit, name, folder, lambda: measure(unit, build, dataset, folder, out))


def measure(unit: Attacked, build: Build, dataset: Dataset, folder: Path, out: Path) -> Record:
    """Train the model of one unit, or take its weights, attack it on one thread, and return its record.

    Parameters
    ----------
    unit
        What to train and how to attack it.
    build
        The function that builds the model of the unit's row.
    dataset
        The data whose fingerprint the unit names.
    folder
        Where to tell the epoch.
    out
        The folder of the records, for weights and checkpoints; none are kept where it is out of reach.
    """
    parts, bounds = pixels(dataset, split(dataset, unit.seed, unit.test_size, unit.n_train))
    tell = progress.teller(folder, unit.key)
    tell(0)
    chosen = np.random.default_rng(unit.seed).permutation(len(parts.y_test))[: unit.n_attacked]
    X, y = parts.X_test[chosen], parts.y_test[chosen]
    with training.alone(unit.seed):
        model, kept = _model(unit, build, dataset, parts, bounds, tell, out)
        start = time.perf_counter()
        curves = {method: _curve(unit, method, model, X, y, bounds) for method in unit.methods}
        seconds = time.perf_counter() - start
    return {
        "schema": unit.schema,
        "key": unit.key,
        "unit": asdict(unit),
        "data": dataset.name,
        "n_train": len(parts.y),
        "n_pool": len(dataset.y) - parts.resampled * len(parts.y_test),
        "n_test": len(parts.y_test),
        "n_attacked": len(y),
        "resampled": parts.resampled,
        **kept,
        "attack_seconds": seconds,
        "curves": {method: asdict(curve) for method, curve in curves.items()},
        "versions": units.versions(),
    }


def pixels(dataset: Dataset, parts: Split) -> tuple[Split, tuple[float, float] | None]:
    """Bring features to between 0 and 1, float32; return them with the bounds that an attack must keep.

    The pixels of an image by the least and the greatest value of all images, which the format of the images has; each
    feature of a table by those of the train part, without bounds.
    """
    if dataset.image_shape is None:
        low, high = parts.X.min(0), parts.X.max(0)
    else:
        images = [dataset.X] if dataset.X_test is None else [dataset.X, dataset.X_test]
        low, high = (np.array(end([end(part) for part in images])) for end in (np.min, np.max))
    span = np.where(high > low, high - low, 1)
    X, X_test = (((part - low) / span).astype(np.float32) for part in (parts.X, parts.X_test))
    scaled = parts._replace(X=X, X_test=X_test, y=np.array(parts.y), y_test=np.array(parts.y_test))
    return scaled, None if dataset.image_shape is None else (0.0, 1.0)


def _units(base: Plan, harden: float | None, norm: str, chosen: Mapping[str, Any]) -> Iterable[Attacked]:
    """Yield the plain units, and after each row its hardened ones."""
    sources = {row: fingerprint(partial(measure, build=build)) for row, build in base.builds.items()}
    for row in base.builds:
        plain = [unit for unit in base.units if unit.row == row]
        for radius in (None,) if harden is None else (None, harden):
            for unit in plain:
                common = asdict(unit) | {"source": sources[row], **chosen}
                yield Attacked(**common, hardened=radius, hardened_norm=None if radius is None else norm)


def _attacked(units: Sequence[Unit]) -> list[Attacked]:
    return [unit for unit in units if isinstance(unit, Attacked)]


def _curve(unit: Attacked, method: str, model: nn.Module, X: Any, y: Any, bounds: Any) -> Robustness:
    steps = {"n_steps": unit.n_steps, "restarts": unit.restarts} if method == "pgd" else {}
    mask = None if unit.above is None else np.greater(X, unit.above)
    settings = {"norm": unit.norm, "bounds": bounds, "mask": mask, "seed": unit.seed, **steps}
    return attacks.robust_accuracy(model, X, y, unit.eps, METHODS[method], **settings)


def _model(
    unit: Attacked, build: Build, dataset: Dataset, parts: Split, bounds: Any, tell: Tell, out: Path
) -> tuple[nn.Module, dict[str, Any]]:
    """Return the trained model of a unit with its parameters and seconds.

    It is built anew from its weights also where it was trained just now, so that shots are the same either way.
    """
    file = out / "units" / f"{unit.trained.key}.weights"
    state = checkpoints.read(file) if file.parent.is_dir() else None
    if state is None:
        state = _train(unit, build, dataset, parts, bounds, tell, out)
        if file.parent.is_dir():
            checkpoints.write(file, state)
            records.checkpoint(out, unit.trained).unlink(missing_ok=True)
    model = Normalised(_untrained(unit, build, dataset), *_scaling(dataset, parts))
    model.load_state_dict(state.pop("weights"))
    return model, state


def _untrained(unit: Attacked, build: Build, dataset: Dataset) -> nn.Module:
    if unit.variant == "baseline":
        return nn.Linear(dataset.n_features, dataset.n_classes)
    module: nn.Module = units.model(unit, build, dataset.n_features, dataset.n_classes)
    return module


def _train(
    unit: Attacked, build: Build, dataset: Dataset, parts: Split, bounds: Any, tell: Tell, out: Path
) -> dict[str, Any]:
    """Train the model of a unit; return its weights, its numbers of parameters and the seconds.

    scikit-learn fits logistic regression, except against an attack, which is made anew in every step.
    """
    mean, std = _scaling(dataset, parts)
    if unit.variant == "baseline" and unit.hardened is None:
        start = time.perf_counter()
        fitted = build(dataset.n_features, dataset.n_classes).fit((parts.X - mean) / std, parts.y)
        model, seconds = Normalised(attacks.as_module(fitted), mean, std), time.perf_counter() - start
        return _state(model, units.count_parameters(fitted), seconds)
    checkpoint = records.checkpoint(out, unit.trained)
    trained = training.fit(
        lambda: Normalised(_untrained(unit, build, dataset), mean, std),
        parts.X,
        parts.y,
        seed=unit.seed,
        epochs=unit.epochs,
        lr=unit.lr,
        batch_size=unit.batch_size,
        on_epoch=lambda epoch: tell(int(epoch["epoch"]), unit.epochs),
        name=f"{unit.label} (seed {unit.seed})",
        checkpoint=checkpoint if checkpoint.parent.is_dir() else None,
        attack=_hardening(unit, bounds),
    )
    model = trained.net.module_
    return _state(model, units.count_parameters(model), trained.seconds)


def _state(model: nn.Module, parameters: dict[str, int], seconds: float) -> dict[str, Any]:
    return {"weights": model.state_dict(), "parameters": parameters, "seconds": seconds}


def _hardening(unit: Trained, bounds: tuple[float, float] | None) -> attacks.Attack | None:
    if unit.hardened is None or unit.hardened_norm is None:
        return None
    return attacks.pgd(unit.hardened, unit.hardened_norm, HARDENING_STEPS, restarts=0, bounds=bounds)


def _scaling(dataset: Dataset, parts: Split) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation in the train part, of each feature or of all pixels; 1 if constant."""
    axis = 0 if dataset.image_shape is None else None
    std = parts.X.std(axis)
    return parts.X.mean(axis), np.where(std > 0, std, 1)


def _fields(
    methods: Any, norm: str, eps: Any, n_steps: int, restarts: int, above: Any, n_attacked: Any
) -> dict[str, Any]:
    """Return what is attacked and how, checked."""
    chosen = {
        "methods": _methods(methods),
        "norm": norm,
        "eps": _radii(norm, eps),
        "n_steps": whole("n_steps", n_steps),
        "restarts": whole("restarts", restarts, 0),
        "above": None if above is None else checks.number("above", above),
        "n_attacked": whole("n_attacked", n_attacked),
    }
    attacks.pgd(1.0, norm, n_steps, restarts)  # it refuses what it cannot do
    return chosen


def _methods(methods: Iterable[str]) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(methods))
    for name in chosen:
        if name not in METHODS:
            raise ValueError(f"Unknown attack {name!r}: expected one of {', '.join(METHODS)}.")
    if not chosen:
        raise ValueError(f"No attack given: expected one or more of {', '.join(METHODS)}.")
    return chosen


def _radii(norm: str, eps: Iterable[float] | None) -> tuple[float, ...]:
    if norm not in RADII:
        raise ValueError(f"norm is {norm!r}: expected one of {', '.join(RADII)}.")
    radii = RADII[norm] if eps is None else tuple(checks.positive("eps", checks.number("eps", each)) for each in eps)
    if not radii:
        raise ValueError("No radius given: expected one or more above 0, such as eps=[0.05, 0.1].")
    return tuple(sorted(set(radii)))
