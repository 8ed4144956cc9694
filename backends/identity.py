"""Caches: by identity, cheaper than comparing circuits and observables at every call; and of constant tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack


@contextmanager
def constants() -> Iterator[None]:
    """Make tensors that outlive the call that makes them: outside of inference mode and of torch.func transforms."""
    with torch.inference_mode(False), temporarily_clear_interpreter_stack():
        yield


class _Same:
    """Parts that are equal only to themselves; they are kept alive, so that no other takes their identity."""

    __slots__ = ("_hash", "parts")

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts = parts
        self._hash = hash(tuple(map(id, parts)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: Any) -> bool:
        return all(a is b for a, b in zip(self.parts, other.parts, strict=True))


def once(function: Callable[..., Any], *parts: Any) -> Any:
    """Return ``function(*parts)``, computed once for the very same parts."""
    return _value(_Same((function, *parts)))


@lru_cache(maxsize=1024)
def _value(key: _Same) -> Any:
    function, *parts = key.parts
    return function(*parts)
