"""hybrid/running.py: units without a record are run, errors come back with what they were about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import joblib
import pytest

from hybrid import progress, records, running


@dataclass(frozen=True)
class Number(records.Keyed):
    schema = 7
    contents = {"schema": int, "key": str, "unit": dict, "double": int}  # noqa: RUF012

    number: int


@dataclass(frozen=True)
class Numbers:
    units: tuple[Number, ...]
    out: Path
    jobs: int = 1
    scheduler: None = None


def doubled(unit, folder, ran):
    def work():
        ran.append(unit.number)
        progress.teller(folder, unit.key)(1, 2)
        if unit.number < 0:
            raise ValueError("negative")
        return {"schema": 7, "key": unit.key, "unit": {"number": unit.number}, "double": 2 * unit.number}

    return running.attempt(unit, f"number {unit.number}", folder, work)


def finish(out, *numbers, show=False):
    ran = []
    plan = Numbers(tuple(map(Number, numbers)), out)
    labels = {unit.key: str(unit.number) for unit in plan.units}
    call = lambda unit, folder: joblib.delayed(doubled)(unit, folder, ran)  # noqa: E731
    found = running.finish(plan, call, labels, lambda record: f"doubled to {record['double']}", show)
    return [record["double"] for record in found], ran


@pytest.fixture
def out(tmp_path):
    (tmp_path / "units").mkdir()
    return tmp_path


def test_only_what_has_no_record_is_run_and_all_records_come_back_in_order(out):
    assert finish(out, 1, 2) == ([2, 4], [1, 2])
    assert finish(out, 3, 2, 1) == ([6, 4, 2], [3])
    assert finish(out, 3, 1) == ([6, 2], [])
    assert records.n_finished(out, map(Number, (1, 2, 3, 4))) == 3


def test_each_is_said_when_it_is_finished(out, capsys):
    finish(out, 1)
    finish(out, 1, 2, show=True)
    assert capsys.readouterr().err == "2/2  2: doubled to 4\n"


def test_an_error_keeps_what_was_finished_before_and_says_what_it_is_about(out):
    with pytest.raises(ValueError, match="negative") as error:
        finish(out, 1, -1, 2)
    assert error.value.__notes__[0].startswith("number -1:\nTraceback")
    assert [records.finished(out, Number(number)) for number in (1, -1, 2)] == [True, False, False]


def test_a_unit_that_has_ended_is_no_longer_running(tmp_path):
    for number in (1, -1):
        doubled(Number(number), tmp_path, [])
        assert progress.running_units(tmp_path) == []


def test_the_schema_counts_in_the_key():
    @dataclass(frozen=True)
    class Other(Number):
        schema = 8

    assert Other(1).key != Number(1).key == Number(1).key
