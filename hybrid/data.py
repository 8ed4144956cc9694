"""Data sets for classification, all as one :class:`Dataset`: by name, from folders and files, from OpenML.

IDX is the format of MNIST (LeCun, Cortes and Burges): two zero bytes, a type code, the number of dimensions, the
dimensions as big-endian 32-bit integers, then the values. MedMNIST-type files (arXiv 2110.14795) hold
``{train,val,test}_{images,labels}``; the Keras kind holds ``{x,y}_{train,test}``. CIFAR's binary files hold one or two
bytes of classes, the last one the finer, and 3072 of pixels for every image, plane by plane.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hybrid import catalogue, fetching

Array = np.ndarray

SKLEARN = ("breast_cancer", "digits", "iris", "wine")
FORMS = (
    "a folder with MNIST-type IDX files (train-images-idx3-ubyte, train-labels-idx1-ubyte, .gz or not)",
    "a folder cifar-10-batches-bin or cifar-100-binary, CIFAR's binary version",
    "a MedMNIST-type .npz file (train_images, train_labels, test_images, test_labels; or x_train, y_train, …)",
    "openml:NAME, fetched from openml.org by scikit-learn",
)

_IDX_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


@dataclass(frozen=True, eq=False)
class Dataset:
    """One classification data set, unscaled.

    Parameters
    ----------
    name
        Short name, used in reports and as the default output folder.
    X
        Features, float32 ``(n, n_features)``; images are flattened, see `image_shape`.
    y
        Classes, int64 ``(n,)``, from 0 to ``n_classes - 1``.
    X_test, y_test
        The official test part, in the same form, or None where there is none.
    class_names
        One name per class.
    image_shape
        Shape of one image, such as ``(28, 28)``, in colour ``(3, 32, 32)``, or None for a table.
    note
        In which way a set loaded by name is not the official one.

    Raises
    ------
    ValueError
        If the classes are not integers.
    """

    name: str
    X: Array
    y: Array
    X_test: Array | None
    y_test: Array | None
    class_names: tuple[str, ...]
    image_shape: tuple[int, ...] | None
    note: str = ""

    def __post_init__(self) -> None:
        for labels in (self.y, self.y_test):
            if labels is not None and np.asarray(labels).dtype.kind not in "iu":
                raise ValueError(
                    f"{self.name} has labels of type {np.asarray(labels).dtype}: expected classes as integers from 0; "
                    "number them with np.unique(y, return_inverse=True)[1], a quantity with np.digitize."
                )

    @property
    def n_features(self) -> int:
        """Number of features of one sample."""
        return int(self.X.shape[1])

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of shapes and values, as 64 hexadecimal digits: equal for equal content, whatever the name."""
        digest = hashlib.sha256()
        for array in (self.X, self.y, self.X_test, self.y_test):
            digest.update(b"none" if array is None else str((array.shape, array.dtype.str)).encode())
            digest.update(b"" if array is None else np.ascontiguousarray(array).data)
        return digest.hexdigest()


class Split(NamedTuple):
    """A train and a test part; `resampled` says whether another seed gives another test part."""

    X: Array
    y: Array
    X_test: Array
    y_test: Array
    resampled: bool


def load(name: str | Path, folder: str | Path | None = None) -> Dataset:
    """Load a data set by name or from disk.

    Parameters
    ----------
    name
        ``digits``, ``breast_cancer``, ``wine`` or ``iris`` (part of scikit-learn, no download); an image set
        (``mnist``, ``fashion-mnist``, ``cifar10``, ``cifar100``, ``breastmnist``, ``pneumoniamnist``, ``mednist``),
        looked for on disk and else fetched once and cached; the path of a folder with IDX or CIFAR files or of an
        ``.npz`` file; or ``openml:NAME``.
    folder
        Where an image set is looked for and a relative path starts; if None, the working directory, and then the
        folder that the environment variable ``QML_DATA`` names.

    Returns
    -------
    Dataset
        Unscaled features and classes. A validation part on disk is left aside: nothing is chosen with it. Colour
        images in files, uint8 (H, W, 3), become (3, H, W).

    Raises
    ------
    ValueError
        If the name is unknown, files are missing or broken, the data are empty, not numeric or not finite, or a set is
        neither on disk nor to be had from the network.
    OSError
        If a file cannot be read.
    """
    name = str(name)
    if name in SKLEARN:
        return _from_sklearn(name)
    if name in catalogue.KNOWN:
        return _by_name(name, catalogue.find(name, *catalogue.folders(folder)) or fetching.fetch(name))
    if name.startswith("openml:"):
        return _from_openml(name.removeprefix("openml:"))
    paths = [each / name for each in catalogue.folders(folder)]
    return _from_disk(name, next((path for path in paths if path.exists()), paths[0]))


def from_arrays(X: Any, y: Any, X_test: Any = None, y_test: Any = None, *, name: str = "data") -> Dataset:
    """Return arrays as a data set.

    Parameters
    ----------
    X, y
        Samples, numbers of any shape ``(n, …)``, and the class of each, numbers or text.
    X_test, y_test
        An official test part.
    name
        Used in reports.

    Raises
    ------
    ValueError
        If shapes do not fit, there is one class only, or values are not finite.
    """
    return _dataset(name, _samples(X), y, X_test if X_test is None else _samples(X_test), y_test)


def _samples(X: Any) -> Array:
    try:
        return np.asarray(X)
    except ValueError as error:
        raise ValueError(
            f"got samples that are no array ({error}), expected numbers of one shape, (n, …): "
            "give samples and classes as two arguments, X and y"
        ) from error


def split(dataset: Dataset, seed: int, test_size: float = 0.2, n_train: int | None = None) -> Split:
    """Divide a data set into a train and a test part, with the same share of every class in both.

    Parameters
    ----------
    dataset
        With an official test part that part is used, whatever the seed; otherwise the data are divided at random.
    seed
        Fixes the division.
    test_size
        Share of the test part, between 0 and 1, where there is no official one.
    n_train
        Keep only this many training samples, drawn with the seed and stratified; None keeps all.

    Returns
    -------
    Split
        Unscaled; scale with what the train part alone says.

    Raises
    ------
    ValueError
        If a class has fewer than two samples, or a part would be too small to hold every class.
    """
    if dataset.X_test is not None and dataset.y_test is not None:
        parts = Split(dataset.X, dataset.y, dataset.X_test, dataset.y_test, resampled=False)
    else:
        X, X_test, y, y_test = _stratified(dataset, dataset.X, dataset.y, _share(dataset, test_size), seed)
        parts = Split(X, y, X_test, y_test, resampled=True)
    if n_train is None or n_train == len(parts.y):
        return parts
    k, n = dataset.n_classes, len(parts.y)
    if not k <= n_train <= n - k:
        raise ValueError(
            f"n_train is {n_train}, but {dataset.name} has {n} training samples in {k} classes: "
            f"give a number from {k} to {n - k}, or leave it out to use all {n}."
        )
    _, X, _, y = _stratified(dataset, parts.X, parts.y, n_train, seed)
    return parts._replace(X=X, y=y)


def _share(dataset: Dataset, test_size: float) -> int:
    n, k = len(dataset.y), dataset.n_classes
    n_test = ceil(test_size * n) if 0 < test_size < 1 else 0
    if not k <= n_test <= n - k:
        raise ValueError(
            f"test_size is {test_size}, but {dataset.name} has {n} samples in {k} classes: "
            f"give a share from {ceil(1000 * k / n) / 1000} to {(1000 * (n - k) // n) / 1000}."
        )
    return n_test


def _stratified(dataset: Dataset, X: Array, y: Array, n_second: int, seed: int) -> list[Array]:
    from sklearn.model_selection import train_test_split

    counts = np.bincount(y, minlength=dataset.n_classes)
    if counts.min() < 2:
        raise ValueError(
            f"Class {dataset.class_names[counts.argmin()]!r} of {dataset.name} has {counts.min()} training sample(s): "
            "a stratified split needs two or more of each class; remove the class or add samples."
        )
    return train_test_split(X, y, test_size=n_second, random_state=seed, stratify=y)


def _by_name(name: str, place: Path) -> Dataset:
    found = _from_disk(name, place)
    catalogue.check(name, place, found.image_shape)
    n_test = 0 if found.y_test is None else len(found.y_test)
    return replace(found, name=name, note=catalogue.note(name, place, len(found.y), n_test))


def _from_disk(name: str, path: Path) -> Dataset:
    if path.is_dir():
        return _from_cifar(path) if path.name.startswith(catalogue.CIFAR) else _from_idx(path)
    if path.is_file() and path.suffix == ".npz":
        return _from_npz(path)
    raise ValueError(
        f"Unknown data set {name!r}: expected one of {', '.join((*SKLEARN, *catalogue.KNOWN))}, {'; '.join(FORMS)}. "
        f"There is no folder and no .npz file at {path}."
    )


def _from_sklearn(name: str) -> Dataset:
    import sklearn.datasets

    bunch = getattr(sklearn.datasets, f"load_{name}")()
    return _dataset(name, bunch.get("images", bunch.data), bunch.target, class_names=bunch.target_names)


def _from_openml(name: str) -> Dataset:
    from sklearn.datasets import fetch_openml

    try:
        bunch = fetch_openml(name, as_frame=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"OpenML has not delivered {name!r}: {error} Check the name and the network.") from error
    return _dataset(name, bunch.data, bunch.target)


def _from_npz(path: Path) -> Dataset:
    arrays = {key: _planes(array) for key, array in _read_npz(path).items()}
    for x, y, x_test, y_test in (
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("x_train", "y_train", "x_test", "y_test"),
    ):
        if x in arrays and y in arrays:
            tests = (arrays.get(x_test), arrays.get(y_test))
            return _dataset(path.stem, arrays[x], arrays[y], *tests, class_names=arrays.get("class_names"))
    raise ValueError(
        f"{path} holds the arrays {', '.join(arrays) or '(none)'}: expected train_images and train_labels, "
        "or x_train and y_train; rename the arrays."
    )


def _read_npz(path: Path) -> Mapping[str, Array]:
    if not zipfile.is_zipfile(path):
        raise _unreadable(path, "not a complete zip archive")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {key: _array(archive[key]) for key in archive.files}
    except Exception as error:  # on damaged bytes zipfile and NumPy raise errors of almost any kind
        if "Object arrays" not in str(error):
            raise _unreadable(path, error) from error
        raise ValueError(
            f"{path} holds an array of Python objects, which is never unpickled: save plain numeric arrays instead."
        ) from error


def _planes(array: Array) -> Array:
    """Return colour images, uint8 (N, H, W, 3), as (N, 3, H, W); all else as it is."""
    in_colour = array.dtype == np.uint8 and array.ndim == 4 and array.shape[-1] == 3 != array.shape[1]
    return array.transpose(0, 3, 1, 2) if in_colour else array


def _array(content: Any) -> Array:
    array = np.asarray(content)
    if array.dtype.kind == "U":
        "".join(array.flat).encode()  # raises an error where damaged bytes are not text
    return array


def _unreadable(path: Path, why: object) -> ValueError:
    return ValueError(f"{path} is not a readable .npz file ({' '.join(str(why).split())}): download it again.")


def _from_idx(folder: Path) -> Dataset:
    found = [catalogue.idx(folder, part, kind) for part in ("train", "t10k") for kind in ("images", "labels")]
    if found[0] is None or found[1] is None:
        raise ValueError(
            f"No MNIST-type files in {folder}: expected train-images-idx3-ubyte and train-labels-idx1-ubyte, "
            "with or without .gz; give the folder that holds them."
        )
    arrays = [None if path is None else _read_idx(path) for path in found]
    return _dataset(folder.resolve().name, *arrays)


def _from_cifar(folder: Path) -> Dataset:
    """Read CIFAR-10 (one byte of classes) or CIFAR-100 (a coarse and a fine one)."""
    files = list(catalogue.files(folder))
    tests = [file for file in files if file.name.startswith("test")]
    if not 0 < len(tests) < len(files):
        raise ValueError(
            f"got the files {', '.join(file.name for file in files) or '(none)'} in {folder}, expected CIFAR's binary "
            "files, train and test part: unpack the archive again"
        )
    n_labels = 2 if tests[0].name == "test.bin" else 1
    parts = [[_read_cifar(file, n_labels) for file in each] for each in (files[: -len(tests)], tests)]
    (X, y), (X_test, y_test) = (_images_and_labels(np.concatenate(part), n_labels) for part in parts)
    return _dataset(folder.name, X, y, X_test, y_test)


def _images_and_labels(rows: Array, n_labels: int) -> tuple[Array, Array]:
    return rows[:, n_labels:].reshape(-1, 3, 32, 32), rows[:, n_labels - 1]


def _read_cifar(path: Path, n_labels: int) -> Array:
    content = np.fromfile(path, np.uint8)
    if not len(content) or len(content) % (n_labels + 3072):
        raise ValueError(
            f"{path} holds {len(content)} bytes, expected a multiple of {n_labels + 3072}, one image each: "
            "download it again."
        )
    return content.reshape(-1, n_labels + 3072)


def _read_idx(path: Path) -> Array:
    content = path.read_bytes()
    try:
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a complete gzip file ({error}): download it again.") from error
    dtype, n_dims = _IDX_DTYPES.get(content[2] if len(content) > 3 else -1), content[3] if len(content) > 3 else 0
    if content[:2] != b"\0\0" or dtype is None or len(content) < 4 + 4 * n_dims:
        raise ValueError(
            f"{path} is not an IDX file: it begins with the bytes {content[:4].hex(' ') or '(none)'}, "
            "expected 00 00, a type code from 08 to 0e and the number of dimensions; check where it came from."
        )
    shape = struct.unpack_from(f">{n_dims}I", content, 4)
    expected = prod(shape) * np.dtype(dtype).itemsize
    if len(content) - 4 - 4 * n_dims != expected:
        raise ValueError(
            f"{path} holds {len(content) - 4 - 4 * n_dims} bytes of values, but its header promises {expected} "
            f"(shape {shape}): download it again."
        )
    return np.frombuffer(content, dtype, offset=4 + 4 * n_dims).reshape(shape)


def _dataset(
    name: str,
    X: Any,
    y: Any,
    X_test: Any = None,
    y_test: Any = None,
    class_names: Any = None,
) -> Dataset:
    """Check what was read and bring it into the one form; the border behind which nothing is checked again."""
    features = _features(name, X)
    labels = _labels(name, y, len(features))
    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(f"{name} has one class only, {classes[0]!s}: a classifier needs samples of two or more.")
    if (X_test is None) != (y_test is None):
        raise ValueError(f"{name} has test features or test labels, but not both: add the missing part.")
    if X_test is not None:
        X_test, y_test = _test_part(name, X_test, y_test, X.shape[1:], classes)
    return Dataset(
        name,
        features,
        np.searchsorted(classes, labels),
        X_test,
        y_test,
        _class_names(name, class_names, classes),
        tuple(X.shape[1:]) if X.ndim > 2 else None,
    )


def _features(name: str, X: Any) -> Array:
    X = np.asarray(X)
    if X.ndim < 2 or X.size == 0:
        raise ValueError(f"{name} has features of shape {X.shape}: expected at least one sample and one feature.")
    if X.dtype.kind not in "biuf":
        raise ValueError(f"{name} has features of type {X.dtype}: expected numbers; encode or drop the other columns.")
    if not np.isfinite(X).all():
        raise ValueError(
            f"{name} has {int((~np.isfinite(X)).sum())} NaN or infinite feature values: fill in or remove them first."
        )
    if np.abs(X).max() > np.finfo(np.float32).max:
        raise ValueError(f"{name} has feature values beyond the range of float32: divide them by a constant first.")
    return np.ascontiguousarray(X.reshape(len(X), -1), dtype=np.float32)


def _labels(name: str, y: Any, n: int) -> Array:
    y = np.asarray(y)
    if y.shape not in ((n,), (n, 1)):
        raise ValueError(f"{name} has labels of shape {y.shape} for {n} samples: expected one class per sample.")
    if y.dtype.kind not in "biufSU" and not all(isinstance(label, str) for label in y.flat):
        raise ValueError(
            f"{name} has labels of type {y.dtype}: expected numbers or text; remove the samples without a class."
        )
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{name} has NaN or infinite labels: remove the samples without a class.")
    if y.dtype.kind == "f" and (y % 1 != 0).any() and len(np.unique(y)) > min(20, n // 2):
        raise ValueError(
            f"{name} has {len(np.unique(y))} different labels such as {y[y % 1 != 0][0]}, which is a quantity: "
            "expected classes; put it into bins first, as np.digitize does."
        )
    return y.reshape(n)


def _test_part(name: str, X: Any, y: Any, shape: tuple[int, ...], classes: Array) -> tuple[Array, Array]:
    features = _features(f"The test part of {name}", X)
    labels = _labels(f"The test part of {name}", y, len(features))
    if X.shape[1:] != shape:
        raise ValueError(
            f"The test part of {name} has samples of shape {X.shape[1:]}, its train part {shape}: make them equal."
        )
    unknown = np.setdiff1d(labels, classes)
    if len(unknown):
        raise ValueError(
            f"The test part of {name} has the class {unknown[0]!s}, which the train part lacks: remove those samples."
        )
    return features, np.searchsorted(classes, labels)


def _class_names(name: str, names: Any, classes: Array) -> tuple[str, ...]:
    if names is not None and np.ndim(names) != 1:
        raise ValueError(f"{name} has class_names of shape {np.shape(names)}: expected a list of one name per class.")
    use = classes if names is None or len(names) != len(classes) else names
    return tuple(str(each) for each in use)
