"""Backends by name, for the command line: ``pennylane:lightning.qubit``, ``aer:shots=4096,noise=manila``.

One that cuts circuits has the most qubits of a fragment, then the backend that runs them: ``cut:5:aer:shots=4096``.
One that extrapolates noise stands before the noisy one: ``zne:aer:noise=manila``.

What stands between commas is one option, so parts of a value are joined by ``+``:
``aer:noise=depolarizing:0.01+readout:0.02``.
"""

from __future__ import annotations

import ast
from importlib import import_module
from inspect import BoundArguments, signature
from typing import Any

import numpy as np

from backends.base import Backend

# Name on the command line -> public name in this package.
NAMES = {
    "statevector": "Statevector",
    "aer": "Aer",
    "pennylane": "PennyLane",
    "qiskit": "QiskitEstimator",
    "ibm": "IBM",
    "cut": "Cut",
    "zne": "ZNE",
}


def get(spec: str, seed: int | None = None) -> Backend:
    """Return the backend that a name describes.

    Parameters
    ----------
    spec : str
        ``name`` or ``name:option,option``; an option is ``value`` or ``key=value``, values as in Python, bare words
        taken as strings. ``zne`` and ``cut`` take a backend.
    seed : int, optional
        Of one run among several: a backend that draws shots gets it, mixed with the seed in ``spec`` (0 if it has
        none), so that runs have shots of their own.

    Raises
    ------
    ValueError
        If the name is unknown, naming the valid ones, the backend does not take the options, or its noise cannot
        be scaled.
    ModuleNotFoundError
        If the backend's library is not installed, naming the extra.
    """
    name, _, rest = spec.partition(":")
    if name not in NAMES:
        known = ", ".join(NAMES)
        raise ValueError(f"got the backend {name!r}, expected one of {known}, with options as in name:key=value")
    backend = getattr(import_module("backends"), NAMES[name])
    if name == "cut":
        return backend(*_fragments(rest, seed))
    if name == "zne":
        return _extrapolated(backend, get(rest, seed))
    options = [option.split("=", 1) for option in rest.split(",") if option]
    _check_order(rest, options)
    positional = [_value(option[0]) for option in options if len(option) == 1]
    keywords = {option[0]: _value(option[1]) for option in options if len(option) == 2}
    try:
        bound = signature(backend).bind(*positional, **keywords)
        _give_seed(bound, seed)
        return backend(*bound.args, **bound.kwargs)
    except TypeError as error:
        raise ValueError(f"got options {rest!r} for the backend {name!r}, which it does not take: {error}") from error


def _fragments(rest: str, seed: int | None) -> tuple[Backend, int]:
    """Return the backend of fragments and the most qubits of one."""
    size, _, inner = rest.partition(":")
    if not size.isdigit() or not inner:
        raise ValueError(f"got the backend 'cut:{rest}', expected the qubits of a fragment and a backend: cut:5:aer")
    return get(inner, seed), int(size)


def _extrapolated(zne: Any, backend: Backend) -> Backend:
    try:
        return zne(backend)
    except TypeError as error:
        raise ValueError(str(error)) from error


def _give_seed(bound: BoundArguments, seed: int | None) -> None:
    """Add the seed of one run to the arguments of a backend that draws."""
    defaults = {name: parameter.default for name, parameter in bound.signature.parameters.items()}
    given = defaults | bound.arguments
    if seed is None or given.get("shots") is None or "seed" not in defaults:
        return
    own = np.random.SeedSequence(given["seed"] or 0, spawn_key=(seed,))
    bound.arguments["seed"] = int(own.generate_state(1)[0])


def _check_order(rest: str, options: list[list[str]]) -> None:
    """Raise ValueError for ``noise=readout:0.1,depolarizing:0.1``, whose second part is not one of the noise."""
    named = [len(option) == 2 for option in options]
    late = next((k for k in range(1, len(named)) if named[k - 1] and not named[k]), None)
    if late is not None:
        raise ValueError(
            f"got {options[late][0]!r} after an option with a name in {rest!r}, expected key=value: where it belongs "
            "to the value before, join them by '+'"
        )


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
