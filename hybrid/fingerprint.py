"""One hash of all that a model is built from, the same in every process, so that a record is reused for it alone.

A function or class of an imported module is known by the text of that module and of all modules of this package that it
imports, wherever in it; one of a notebook or a script by its code and by the globals that the code refers to. Default
arguments, closures, arguments bound by :class:`functools.partial` and attributes of callable objects count by their
content, wherever they are.
"""

from __future__ import annotations

import ast
import copyreg
import functools
import hashlib
import importlib.util
import inspect
import platform
import sys
from collections.abc import Callable, Iterator
from dis import get_instructions
from pathlib import Path
from types import CodeType, EllipsisType, FunctionType, MethodType, ModuleType, NoneType
from typing import Any

import numpy as np
import torch
from torch import nn

from circuits import Circuit

Children = list[tuple[str, Any]]

_PLAIN = (NoneType, bool, int, float, complex, str, bytes, EllipsisType)

# What Python and its tools write into a class, beside what its author did.
_BOOKKEEPING = {
    "__abstractmethods__", "__annotations__", "__dataclass_fields__", "__dataclass_params__", "__dict__", "__doc__",
    "__firstlineno__", "__module__", "__orig_bases__", "__parameters__", "__slotnames__", "__static_attributes__",
    "__weakref__", "_abc_impl",
}  # fmt: skip

# Modules of this package that run, keep and report, but decide no number.
_MACHINERY = {
    "hybrid.checks", "hybrid.claims", "hybrid.compare", "hybrid.experiment", "hybrid.findings", "hybrid.fingerprint",
    "hybrid.pages", "hybrid.progress", "hybrid.records", "hybrid.report", "hybrid.running", "hybrid.statistics",
    "hybrid.workers",
}  # fmt: skip


def fingerprint(build: Callable[..., Any]) -> str:
    """Return the sha256 of a build and of the code that trains it, as 64 hexadecimal digits.

    Parameters
    ----------
    build
        A function, a :class:`functools.partial` or a callable object. What it depends on may be plain values and
        containers of them, NumPy arrays, torch tensors, circuits, functions, classes, modules, and objects that
        consist of these.

    Raises
    ------
    TypeError
        If it depends on something whose content cannot be read.
    """
    return hashlib.sha256(_library() + _Reader().digest(build, _name(build))).hexdigest()


class _Reader:
    """Hashes values by content; what was met before is known by its number, so that cycles end."""

    def __init__(self) -> None:
        self.met: dict[int, tuple[int, Any]] = {}  # the value too: while it is kept, no other one has its id

    def digest(self, value: Any, where: str) -> bytes:
        if id(value) in self.met:
            return _sha("met", str(self.met[id(value)][0]))
        text, children = _describe(value, where)
        if children and not isinstance(value, tuple | CodeType):  # equal ones may or may not be one object
            self.met[id(value)] = len(self.met), value
        parts = [_sha(name) + self.digest(child, f"{where}: {name}" if name else where) for name, child in children]
        return _sha(type(value).__qualname__, text, *parts)


def _describe(value: Any, where: str) -> tuple[str, Children]:
    """Return what a value is, as text, and the values that it consists of or refers to, in a fixed order."""
    found = _describe_data(value) or _describe_code(value) or _describe_object(value)
    if found is None:
        raise TypeError(
            f"got {where} of type {type(value).__qualname__}, expected what can be hashed by its content (numbers, "
            "strings, arrays, tensors, circuits, functions, classes, objects and containers of these), so that a "
            "changed model is trained again: make it inside the build function, or pass it as an argument with a "
            "plain value"
        )
    return found


def _describe_data(value: Any) -> tuple[str, Children] | None:
    kind = type(value)
    if kind in _PLAIN:
        return repr(value), []
    if kind in (list, tuple):
        return "", [("", item) for item in value]
    if kind is dict:
        return "", [(key if type(key) is str else "", pair) for key, pair in zip(value, value.items(), strict=True)]
    if kind in (set, frozenset) and all(map(_is_plain, value)):
        return "", [("", item) for item in sorted(value, key=lambda item: (type(item).__name__, repr(item)))]
    if kind is Circuit:
        return value.fingerprint, []
    return _describe_array(value)


def _is_plain(value: Any) -> bool:
    return type(value) in _PLAIN or (type(value) is tuple and all(map(_is_plain, value)))


def _describe_array(value: Any) -> tuple[str, Children] | None:
    if type(value) in (torch.Tensor, nn.Parameter) and value.layout == torch.strided and not value.is_meta:
        content = value.detach().cpu().resolve_conj().resolve_neg().reshape(-1).view(torch.uint8).numpy()
        return f"{value.dtype} {tuple(value.shape)} {value.requires_grad} {_sha(content.tobytes()).hex()}", []
    if type(value) is not np.ndarray and not isinstance(value, np.generic):
        return None
    if value.dtype.hasobject:
        return str(value.shape), [("", value.tolist())]
    return f"{value.dtype.descr} {value.shape} {_sha(value.tobytes()).hex()}", []


def _describe_code(value: Any) -> tuple[str, Children] | None:
    match value:
        case FunctionType():
            return _describe_function(value)
        case type():
            return _describe_class(value)
        case CodeType():
            return _bytecode(value), [("", constant) for constant in value.co_consts]
        case ModuleType() if (known := _module(value.__name__)) is not None:
            return known, []
        case functools.partial():
            return "", [("", value.func), ("", value.args), ("", value.keywords)]
        case MethodType():
            return "", [("", value.__func__), ("", value.__self__)]
        case property():
            return "", [("", value.fget), ("", value.fset), ("", value.fdel)]
        case functools.cached_property():
            return "", [("", value.func)]
        case staticmethod() | classmethod() | functools._lru_cache_wrapper():
            return "", [("", value.__wrapped__)]
        case np.ufunc() if value in vars(np).values():
            return str(value), [("", np)]
    return None


def _describe_function(function: FunctionType) -> tuple[str, Children]:
    code, scope = function.__code__, function.__globals__
    known = _module(scope.get("__name__", "__main__"))
    children: Children = [("", function.__defaults__), ("", function.__kwdefaults__), *vars(function).items()]
    children += zip(code.co_freevars, map(_content, function.__closure__ or ()), strict=True)
    if known is None:
        children += [(name, scope[name]) for name in sorted(set(_global_names(code)) & scope.keys())]
    if known is None or "<" in function.__qualname__:  # the names of lambdas and local functions say too little
        children.append(("", code))
    return f"{function.__qualname__} {known}", children


def _describe_class(cls: type) -> tuple[str, Children]:
    known = _module(cls.__module__)
    if known is not None and "<" not in cls.__qualname__:
        return f"{cls.__qualname__} {known}", []
    names = sorted(vars(cls).keys() - _BOOKKEEPING)
    return cls.__qualname__, [("", cls.__bases__), *((name, vars(cls)[name]) for name in names)]


def _describe_object(value: Any) -> tuple[str, Children] | None:
    """Describe an object as pickle sees it: a name in a module, an attribute, or a class with arguments and state."""
    try:
        reduced = None if isinstance(value, set | frozenset) else value.__reduce_ex__(2)  # of a set, in any order
    except Exception:  # whatever an object raises here, it cannot be read
        return None
    match reduced:
        case str(name) if getattr(sys.modules.get(getattr(value, "__module__", "")), name, None) is value:
            return name, [("", sys.modules[value.__module__])]
        case (function, (owner, str(name))) if function is getattr:
            return name, [("", owner)]
        case (copyreg.__newobj__, (cls, *arguments), *state) | (type() as cls, arguments, *state):  # type: ignore[attr-defined]
            return "", [("", cls), ("", arguments), *_state(cls, *state)]
    return None


def _state(cls: type, attributes: Any = None, items: Any = None, pairs: Any = None) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of an object, but for cached properties, and what it holds as a list or a dict."""
    for part in attributes if isinstance(attributes, tuple) else (attributes,):
        for name, value in part.items() if isinstance(part, dict) else [("", part)]:
            if not isinstance(inspect.getattr_static(cls, name, None), functools.cached_property):
                yield name, value
    yield from (("", item) for held in (items, pairs) for item in held or ())


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return ...


def _global_names(code: CodeType) -> Iterator[str]:
    for instruction in get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def _bytecode(code: CodeType) -> str:
    """Write out what a code object does, without the places it came from."""
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    names = code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars
    return repr((counts, names, code.co_code, code.co_exceptiontable))


def _module(name: str) -> str | None:
    """Return what tells an imported module from its other versions; None for a notebook or script."""
    module, top = sys.modules.get(name), sys.modules.get(name.partition(".")[0])
    if name == "__main__" or module is None:
        return None
    version = platform.python_version() if name in sys.stdlib_module_names else getattr(top, "__version__", None)
    try:
        source = inspect.getsource(module)
        return f"{name} {version} {source} {_imported(source)}"
    except (OSError, TypeError):  # compiled, or made by hand
        return None if version is None else f"{name} {version}"


def _imported(source: str) -> list[str]:
    """Return the texts of the modules of this package that a source imports, and of those that they import."""
    found: dict[str, str] = {}
    left = [*_imports(source)]
    while left:
        name = left.pop()
        file = None if name in found else _file(name)
        if file is not None:
            found[name] = file.read_text()
            left += _imports(found[name])
    return [f"{name} {found[name]}" for name in sorted(found)]


def _imports(source: str) -> Iterator[str]:
    """Yield what may be modules of this package."""
    for node in ast.walk(ast.parse(source)) if "hybrid" in source else ():
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def _file(name: str) -> Path | None:
    """Return the file of a module of this package that may decide numbers; None for any other name."""
    if not name.startswith("hybrid.") or name in _MACHINERY:
        return None
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # of a name in a module, the module is no package
        return None
    return None if spec is None or spec.origin is None else Path(spec.origin)


def _name(build: Any) -> str:
    return str(getattr(build, "__qualname__", type(build).__qualname__))


def _sha(*parts: str | bytes) -> bytes:
    encoded = [part.encode(errors="backslashreplace") if isinstance(part, str) else part for part in parts]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in encoded)).digest()


@functools.cache
def _library() -> bytes:
    """Hash the files that decide the numbers, so that records of another version are told from those of this one."""
    import backends
    import circuits
    import qml

    folders = [Path(str(package.__file__)).parent for package in (circuits, backends, qml)]
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    files += [
        Path(__file__).with_name(f"{name}.py") for name in ("batches", "checkpoints", "data", "training", "units")
    ]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).digest()
