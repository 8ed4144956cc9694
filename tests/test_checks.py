"""hybrid/checks.py and circuits/checks.py: what is taken, and what is refused in one line; others test the texts."""

from __future__ import annotations

import joblib
import numpy as np
import pytest

from circuits.checks import whole
from hybrid import checks


def test_seeds():
    assert checks.seeds(3) == [0, 1, 2] and checks.seeds([5, 3, 5]) == [5, 3]
    assert [type(seed) for seed in checks.seeds(np.arange(2))] == [int, int]


def test_jobs():
    assert checks.jobs(None) == joblib.cpu_count() and checks.jobs(np.int8(3)) == 3


def test_whole_numbers_are_returned_as_pythons_own():
    assert [(type(found), found) for found in (whole("n", np.int8(3)), whole("n", 0, 0, 0))] == [(int, 3), (int, 0)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), r"^got n=0, expected an integer of at least 1: pass n=1, for example$"),
        ((True,), "got n=True, expected an integer of at least 1"),
        ((2.0, 2), "got n=2.0, expected an integer of at least 2"),
        (("3",), "got n='3', expected an integer"),
        ((7, 0, 6), r"^got n=7, expected an integer from 0 to 6: pass n=0, for example$"),
    ],
)
def test_what_is_no_whole_number(arguments, message):
    with pytest.raises(ValueError, match=message):
        whole("n", *arguments)


def number(value):
    return checks.number("lr", value)


def kind(value):
    return checks.kind("x", value, int, "a number")


@pytest.mark.parametrize(
    ("check", "value", "error", "message"),
    [
        (checks.seeds, "01", ValueError, r"^seeds is '01': expected a number of seeds from 1, or a list of numbers"),
        (checks.jobs, 0, ValueError, r"got jobs=0, expected an integer of at least 1: pass jobs=1, for example"),
        (checks.jobs, 1.5, ValueError, r"got jobs=1\.5, expected an integer of at least 1: pass jobs=1"),
        (number, True, TypeError, r"^lr is True: expected a number, such as lr=0\.1\.$"),
        (kind, "", TypeError, r"^x is of type str: expected a number\.$"),
    ],
)
def test_what_is_refused(check, value, error, message):
    with pytest.raises(error, match=message):
        check(value)


def test_an_output_folder_is_made_with_its_folder_of_records(tmp_path):
    assert checks.writable(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b" / "units").is_dir() and not list((tmp_path / "a" / "b" / "units").iterdir())
