"""IBM's devices: the fake ones, which are models of real devices that run here, by their short names."""

from __future__ import annotations

import difflib
import inspect
from functools import lru_cache
from typing import Any

from qiskit.providers import BackendV2
from qiskit_ibm_runtime import fake_provider


@lru_cache(maxsize=1)
def fakes() -> dict[str, type[BackendV2]]:
    """Return the fake devices, short name -> class: ``"manila"`` for ``FakeManilaV2``."""
    found = inspect.getmembers(fake_provider, lambda item: inspect.isclass(item) and issubclass(item, BackendV2))
    return {_short(name): device for name, device in found}


@lru_cache(maxsize=8)
def fake(name: str) -> Any:
    """Return a fake device.

    Parameters
    ----------
    name : str
        For example ``"manila"``; ``"FakeManilaV2"`` and ``"fake_manila"`` are the same.

    Raises
    ------
    ValueError
        If there is none of that name; the message has names like it.
    """
    if _short(name) not in fakes():
        near = difflib.get_close_matches(_short(name), fakes()) or sorted(fakes())
        raise ValueError(f"got the fake device {name!r}, expected for example {', '.join(near[:5])}")
    return fakes()[_short(name)]()


def _short(name: str) -> str:
    return name.lower().removeprefix("fake").removeprefix("_").removesuffix("v2")
