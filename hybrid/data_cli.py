"""The command ``qml data``: list the data sets, and fetch those that are known by name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid import listing
from hybrid.stop import wrong_input

if TYPE_CHECKING:
    from hybrid.data import Dataset


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("data")(data)


def data(
    names: Annotated[
        str | None, typer.Argument(help="Image sets to fetch, comma-separated; without them all data are listed.")
    ] = None,
) -> None:
    """List the data sets and the forms of data that can be read, or fetch image sets."""
    if names is None:
        return _list()
    with wrong_input():
        from hybrid import fetching

        chosen = [name.strip() for name in names.split(",") if name.strip()]
        for name in chosen:
            _check(name)
        for name in chosen:
            print(f"{name}: {fetching.fetch(name)}")
    print(f"For the experiments: qml run --all --data {fetching.cache()}")


def loaded(name: str) -> Dataset:
    """Load a data set as :func:`hybrid.data.load` does, and say in which way it is not the official one."""
    from hybrid.data import load

    found = load(name)
    if found.note:
        print(f"Note: {found.note}", file=sys.stderr)
    return found


def _list() -> None:
    from hybrid.catalogue import KNOWN, VARIABLE
    from hybrid.data import FORMS, SKLEARN

    listing.show("By name", [f"{name} (part of scikit-learn, no download)" for name in SKLEARN])
    title = f"Image sets by name, from the working directory or the folder that {VARIABLE} names, or else fetched once"
    listing.show(title, [name if known.source else f"{name} (not fetched)" for name, known in KNOWN.items()])
    listing.show("Or", list(FORMS))


def _check(name: str) -> None:
    from hybrid.catalogue import KNOWN

    if name not in KNOWN:
        raise ValueError(f"Unknown image set {name!r}: expected one of {', '.join(KNOWN)}.")
