"""The command ``qml``: compare hybrid models with honest baselines, list models and data sets."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.exceptions import TyperException

from hybrid import attack_cli, backends_cli, data_cli, jobs_cli, listing, options, run_cli
from hybrid.stop import Stop, kept_in, trained, wrong_input

if TYPE_CHECKING:
    from hybrid.compare import Comparison

app = typer.Typer(
    help="Train hybrid quantum-classical models and find out whether the quantum part helps.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.add_typer(jobs_cli.app, name="jobs")


@app.command("compare")
def compare(
    data: options.Data,
    models: options.Models = "all",
    seeds: options.Seeds = 3,
    epochs: options.Epochs = 20,
    batch_size: options.BatchSize = 32,
    lr: options.LearningRate = 0.01,
    n_train: options.NTrain = None,
    test_size: options.TestSize = 0.2,
    backend: options.Backend = "statevector",
    out: options.Out = None,
    jobs: options.Jobs = None,
    scheduler: options.Scheduler = None,
) -> None:
    """Train hybrid models, their controls and classical baselines, and say whether the quantum part helps.

    Every hybrid comes with its controls (quantum layer removed, replaced by a linear layer, without entanglement,
    frozen), an MLP of its size and logistic regression. Stop it whenever you like: the same command goes on where it
    was, and what is finished is kept.
    """
    with wrong_input():
        from hybrid.compare import plan, run

        dataset = data_cli.loaded(data)
        planned = plan(
            dataset,
            options.chosen(models),
            seeds=seeds,
            epochs=epochs,
            lr=lr,
            batch_size=batch_size,
            test_size=test_size,
            n_train=n_train,
            backend=backend,
            out=out or Path("runs") / dataset.name,
            jobs=jobs,
            scheduler=scheduler,
            command=shlex.join(["qml", *sys.argv[1:]]),
        )
    with kept_in(planned.out):
        _report(trained(planned, run, "trainings"))


@app.command("models")
def list_models() -> None:
    """List the hybrid models and the classical baselines."""
    from hybrid import baselines, models

    for title, package in (("Hybrid models", models), ("Classical baselines", baselines)):
        listing.show(title, listing.summaries(package))


data_cli.register(app)
attack_cli.register(app)
backends_cli.register(app)
run_cli.register(app)


def main() -> None:
    """Run the command line: wrong input is one line on stderr and exit code 2."""
    try:
        code = app(standalone_mode=False) or 0
    except Stop as stop:
        print(f"qml: {stop}", file=sys.stderr)
        code = stop.code
    except TyperException as error:
        print(f"qml: {_usage_error(error)}", file=sys.stderr)
        code = error.exit_code
    raise SystemExit(code)


def _usage_error(error: TyperException) -> str:
    text = error.format_message()
    if not text.startswith("No such command"):
        return text
    context: Any = error.ctx  # type: ignore[attr-defined]
    return f"{text} Expected one of {', '.join(context.command.list_commands(context))}."


def _report(comparison: Comparison) -> None:
    from rich.console import Console

    from hybrid import report, statistics

    console = Console()
    console.print(report.table(comparison))
    for verdict in statistics.verdicts(comparison):
        console.print(f"\n{verdict.sentence}", highlight=False)
    page = next(file for file in report.write(comparison) if file.suffix == ".html")
    console.print(f"\nReport: {page}", highlight=False, soft_wrap=True)
