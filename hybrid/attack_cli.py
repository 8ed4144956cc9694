"""The command ``qml attack``: how robust hybrid models are, and whether that is the quantum part's doing."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from hybrid import options
from hybrid.data_cli import loaded
from hybrid.stop import kept_in, trained, wrong_input

if TYPE_CHECKING:
    from hybrid.compare import Comparison

T = TypeVar("T")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("attack")(attack)


def attack(
    data: options.Data,
    models: options.Models = "all",
    method: Annotated[str, typer.Option(help="Attacks, comma-separated: fgsm, pgd.")] = "fgsm,pgd",
    norm: Annotated[str, typer.Option(help="Norm of the ball that an attack keeps to: inf or 2.")] = "inf",
    eps: Annotated[
        str | None, typer.Option(help="Radii, comma-separated; pixels go from 0 to 1.", show_default="by norm")
    ] = None,
    n_steps: Annotated[int, typer.Option(help="Steps of PGD.")] = 20,
    restarts: Annotated[int, typer.Option(help="Random points that PGD starts from, beside the sample itself.")] = 1,
    above: Annotated[
        float | None, typer.Option(help="Attack only pixels above this value.", show_default="all pixels")
    ] = None,
    n_attacked: Annotated[int, typer.Option(help="Test samples to attack at most.")] = 200,
    harden: Annotated[
        float | None, typer.Option(help="Train all once more, against PGD of this radius.", show_default="no")
    ] = None,
    seeds: options.Seeds = 3,
    epochs: options.Epochs = 20,
    batch_size: options.BatchSize = 32,
    lr: options.LearningRate = 0.01,
    n_train: options.NTrain = None,
    test_size: options.TestSize = 0.2,
    backend: options.Backend = "statevector",
    out: Annotated[Path | None, typer.Option(help="Output folder.", show_default="runs/<data>-attack")] = None,
    jobs: options.Jobs = None,
    scheduler: options.Scheduler = None,
) -> None:
    """Attack hybrid models, their controls and classical baselines alike, and show what is left of their accuracy.

    The models are those of 'qml compare', trained on the same splits; their weights are kept in the output folder, so
    that other attacks on them train nothing again. Stop it whenever you like: the same command goes on where it was.
    """
    with wrong_input():
        from hybrid.robustness import plan, run

        dataset = loaded(data)
        planned = plan(
            dataset,
            options.chosen(models),
            methods=_listed(method, str),
            norm=norm,
            eps=None if eps is None else _listed(eps, _radius),
            n_steps=n_steps,
            restarts=restarts,
            above=above,
            n_attacked=n_attacked,
            harden=harden,
            seeds=seeds,
            epochs=epochs,
            lr=lr,
            batch_size=batch_size,
            test_size=test_size,
            n_train=n_train,
            backend=backend,
            out=out or Path("runs") / f"{dataset.name}-attack",
            jobs=jobs,
            scheduler=scheduler,
            command=shlex.join(["qml", *sys.argv[1:]]),
        )
    with kept_in(planned.out):
        _report(trained(planned, run, "attacked models"))


def _listed(text: str, kind: Callable[[str], T]) -> list[T]:
    return [kind(part.strip()) for part in text.split(",") if part.strip()]


def _radius(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"got {text!r} in --eps, expected numbers above 0: --eps 0.05,0.1") from None


def _report(found: Comparison) -> None:
    from rich.console import Console

    from hybrid import robustness_report as report

    console = Console()
    for table in report.tables(found):
        console.print(table)
    for sentence in report.sentences(found):
        console.print(f"\n{sentence}", highlight=False, markup=False)
    page = next(file for file in report.write(found) if file.suffix == ".html")
    console.print(f"\nReport: {page}", highlight=False, markup=False, soft_wrap=True)
