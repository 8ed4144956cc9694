"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

Data = Annotated[str, Argument(help="Data set: a name or a path, see 'qml data'.")]
Models = Annotated[str, Option(help="Hybrid models, comma-separated, see 'qml models'.")]
Seeds = Annotated[int, Option(help="Number of seeds: repetitions of everything.")]
Epochs = Annotated[int, Option(help="Passes through the training data.")]
BatchSize = Annotated[int, Option(help="Samples per training step.")]
LearningRate = Annotated[float, Option(help="Learning rate of Adam.")]
NTrain = Annotated[int | None, Option(help="Use only so many training samples.", show_default="all")]
TestSize = Annotated[float, Option(help="Share of the test part, if there is no official one.")]
Backend = Annotated[
    str, Option(help="Backend of the quantum layers, as aer:shots=4096,noise=manila; see 'qml backends'.")
]
Out = Annotated[Path | None, Option(help="Output folder.", show_default="runs/<data>")]
Jobs = Annotated[int | None, Option(help="Trainings at once.", show_default="number of cores")]
Scheduler = Annotated[
    str | None, Option(help="Dask scheduler to run on, such as tcp://10.0.0.1:8786.", show_default="none")
]


def chosen(models: str) -> list[str] | None:
    """Return the names of an option that lists models; None for all."""
    return None if models == "all" else [name.strip() for name in models.split(",") if name.strip()]
