"""Image sets known by name: where they lie in a data folder, what the official ones are, and where they come from.

Checksums are those of torchvision and of the package medmnist. OpenML keeps the official test part at the end.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: Record of MedMNIST v2 (arXiv:2110.14795) in its 28 × 28 version, by the package medmnist.
ZENODO = "https://zenodo.org/records/10519652/files"

#: Names the folder in which data are looked for after the working directory.
VARIABLE = "QML_DATA"

#: How the folders of CIFAR's binary version are called: cifar-10-batches-bin, cifar-100-binary.
CIFAR = "cifar-"

_CIFAR = ("data_batch_*.bin", "train.bin", "test_batch.bin", "test.bin")
_IDX = ("train-images", "train-labels", "t10k-images", "t10k-labels")


@dataclass(frozen=True)
class Known:
    """One image set.

    Parameters
    ----------
    shape
        Of one image: (H, W), or (C, H, W) in colour.
    places
        Files and folders under a data folder, best first.
    n_train
        Size of the official train part; None where there is no official division.
    test_counts
        Images of each class in the official test part.
    source
        ``openml:NAME``, an address, or None for a set that is only read from disk.
    md5
        Of the official files, by name.
    """

    shape: tuple[int, ...]
    places: tuple[str, ...]
    n_train: int | None = None
    test_counts: tuple[int, ...] = ()
    source: str | None = None
    md5: Mapping[str, str] = field(default_factory=dict)


def _idx_md5(*sums: str) -> dict[str, str]:
    return {f"{part}-idx{3 if 'images' in part else 1}-ubyte.gz": md5 for part, md5 in zip(_IDX, sums, strict=True)}


def _med(name: str, n_train: int, test_counts: tuple[int, ...], md5: str) -> Known:
    file = f"{name}.npz"
    return Known((28, 28), (file, f"medmnist/{file}"), n_train, test_counts, f"{ZENODO}/{file}", {file: md5})


KNOWN: dict[str, Known] = {
    "mnist": Known(
        (28, 28),
        ("mnist", "MNIST/raw", "mnist/mnist.npz", "."),
        60_000,
        (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
        "openml:mnist_784",
        _idx_md5(
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
    ),
    "fashion-mnist": Known(
        (28, 28),
        ("fashion-mnist", "FashionMNIST/raw", "fashion-mnist/fashion-mnist.npz"),
        60_000,
        (1000,) * 10,
        "openml:Fashion-MNIST",
        _idx_md5(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    ),
    "cifar10": Known(
        (3, 32, 32),
        ("cifar10/cifar10.npz", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10/cifar10_subset.npz"),
        50_000,
        (1000,) * 10,
        "openml:CIFAR_10",
    ),
    "cifar100": Known(
        (3, 32, 32),
        ("cifar100/cifar100.npz", "cifar-100-binary", "cifar100/cifar-100-binary", "cifar100/cifar100_subset.npz"),
        50_000,
        (100,) * 100,
    ),
    "breastmnist": _med("breastmnist", 546, (42, 114), "750601b1f35ba3300ea97c75c52ff8f6"),
    "pneumoniamnist": _med("pneumoniamnist", 4708, (234, 390), "28209eda62fecd6e6a2d98b1501bb15f"),
    "mednist": Known((64, 64), ("mednist/mednist.npz", "mednist/mednist_subset.npz")),
}


def folders(folder: str | Path | None = None) -> list[Path]:
    """Return where data are looked for: a folder, or the working directory and the one that ``QML_DATA`` names."""
    if folder is not None:
        return [Path(folder)]
    return [Path("."), *(Path(each) for each in [os.environ.get(VARIABLE)] if each)]


def find(name: str, *folders: Path) -> Path | None:
    """Return the file or folder of a set under one of several data folders, or None."""
    places = (folder / place for folder in folders for place in KNOWN[name].places)
    return next((place for place in places if next(files(place), None)), None)


def files(place: Path) -> Iterator[Path]:
    """Yield the files of a set: one ``.npz`` file, CIFAR's binary files, or IDX files; those to train on first."""
    if place.is_file():
        yield place
    elif place.name.startswith(CIFAR):
        yield from (file for name in _CIFAR for file in sorted(place.glob(name)))
    else:
        yield from (file for file in (idx(place, *part.split("-")) for part in _IDX) if file is not None)


def idx(folder: Path, part: str, kind: str) -> Path | None:
    """Return the IDX file of a part (``train``, ``t10k``, also called ``test``) and a kind (``images``, ``labels``)."""
    parts = ("test", "t10k") if part == "t10k" else (part,)
    return next((file for each in parts for file in sorted(folder.glob(f"{each}-{kind}?idx?-ubyte*"))), None)


def check(name: str, place: Path, shape: tuple[int, ...] | None) -> None:
    """Refuse what is another set: by the shape of its images, and by checksums.

    Raises
    ------
    ValueError
        If it is.
    """
    expected = KNOWN[name].shape
    if shape != expected:
        raise ValueError(f"got images of shape {shape} in {place}, expected {expected} for {name}: is it another set?")
    for file, md5 in _checksums(name, place):
        for other, known in KNOWN.items():
            if other != name and md5 in known.md5.values():
                raise ValueError(
                    f"got {file}, a file of {other}, expected {name}: move it to a folder {other} and name its parent"
                )


def note(name: str, place: Path, n_train: int, n_test: int) -> str:
    """Say in which way a set on disk is not the official one; nothing where it is, or where that is not known."""
    known, said = KNOWN[name], []
    official = (known.n_train, sum(known.test_counts))
    if known.n_train is not None and (n_train, n_test) != official:
        sizes = f"{n_train:,} of {known.n_train:,} training and {n_test:,} of {official[1]:,} test images"
        said.append(f"{place} holds {sizes}")
    said += [f"{file} is not the official file, by its md5" for file in changed(name, place)]
    return "; ".join(said)


def changed(name: str, place: Path) -> list[Path]:
    """Return the files of a set that are not the official ones, by their md5, where that is known."""
    return [file for file, md5 in _checksums(name, place) if md5 != KNOWN[name].md5[file.name]]


def md5(content: bytes) -> str:
    """Return the md5 of a file's content, as publishers of data give it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _checksums(name: str, place: Path) -> list[tuple[Path, str]]:
    """Return the md5 of every file whose official one is known."""
    return [(file, md5(file.read_bytes())) for file in files(place) if file.name in KNOWN[name].md5]
