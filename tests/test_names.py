import pytest

import backends
from backends import ParameterShift, Spsa, Statevector
from backends.names import NAMES


@pytest.mark.parametrize(
    "spec, backend",
    [
        ("statevector", Statevector()),
        ("statevector:", Statevector()),
        ("statevector:backprop", Statevector("backprop")),
        ("statevector:gradient=backprop", Statevector("backprop")),
        ("statevector:gradient='adjoint'", Statevector("adjoint")),
    ],
)
def test_name_with_options(spec, backend):
    assert backends.get(spec) == backend


def test_values_are_as_in_python_and_bare_words_are_strings(monkeypatch):
    monkeypatch.setattr(backends, "Statevector", lambda *values, **named: (values, named))
    got = backends.get("statevector:lightning.qubit,4,shots=1000,precision=1e-3,seed=None,name='a b',noise=ibm:x")
    named = {"shots": 1000, "precision": 1e-3, "seed": None, "name": "a b", "noise": "ibm:x"}
    assert got == (("lightning.qubit", 4), named)


def test_pennylane_devices():
    pytest.importorskip("pennylane")
    backend = backends.get("pennylane:default.qubit,shots=100,diff_method=spsa,seed=3")
    assert isinstance(backend, backends.PennyLane)
    assert (backend.device, backend.shots, backend.gradient) == ("default.qubit", 100, Spsa(seed=3))


def test_qiskit():
    pytest.importorskip("qiskit")
    backend = backends.get("qiskit:precision=0.01")
    assert isinstance(backend, backends.QiskitEstimator)
    assert backend.precision == 0.01 and backend.gradient == ParameterShift()


def test_a_wrapper_stands_before_what_it_wraps():
    pytest.importorskip("qiskit_aer")
    backend = backends.get("zne:aer:shots=100,noise=depolarizing:0.1,seed=5", seed=1)
    assert isinstance(backend, backends.ZNE) and backend.scale_factors == (1, 3, 5)
    alone = backends.get("aer:shots=100,noise=depolarizing:0.1,seed=5", seed=1)
    assert repr(backend.backend) == repr(alone) and backend.backend.seeds.seed == alone.seeds.seed
    with pytest.raises(ValueError, match="got Statevector to extrapolate, expected a backend whose noise can be scale"):
        backends.get("zne:statevector")


def test_a_backend_that_draws_gets_the_seed_of_its_run(monkeypatch):
    def drawing(method="automatic", shots=None, seed=None):
        return method, shots, seed

    monkeypatch.setattr(backends, "Aer", drawing)
    seeds = [backends.get(f"aer:shots=100{own}", run)[2] for own in ("", ",seed=1", ",seed=2") for run in (0, 1)]
    assert len(set(seeds)) == 6 and seeds[:2] == [backends.get("aer:shots=100", run)[2] for run in (0, 1)]
    assert backends.get("aer:x,100,5", 1) == backends.get("aer:shots=100,seed=5,method=x", 1)
    assert backends.get("aer:shots=100,seed=5")[2] == 5
    assert backends.get("aer", 1)[2] is None  # exact
    assert backends.get("statevector", 1) == Statevector()


def test_unknown_name_lists_the_known_ones():
    text = f"got the backend 'aer2', expected one of {', '.join(NAMES)}, with options as in name:key=value"
    with pytest.raises(ValueError, match=text):
        backends.get("aer2:shots=3")


@pytest.mark.parametrize("options", ["shots=3", "adjoint,backprop", "adjoint,gradient=backprop"])
def test_options_it_does_not_take(options):
    text = f"got options '{options}' for the backend 'statevector', which it does not take"
    with pytest.raises(ValueError, match=text):
        backends.get(f"statevector:{options}")


def test_parts_of_a_value_are_not_options():
    text = (
        r"got 'readout:0.1' after an option with a name in 'noise=depolarizing:0.1,readout:0.1', expected key=value: "
        r"where it belongs to the value before, join them by '\+'"
    )
    with pytest.raises(ValueError, match=text):
        backends.get("statevector:noise=depolarizing:0.1,readout:0.1")


def test_wrong_value_of_an_option():
    with pytest.raises(ValueError, match="got gradient='shift', expected 'adjoint' or 'backprop'"):
        backends.get("statevector:gradient=shift")


@pytest.mark.parametrize("name", NAMES.values())
def test_every_name_is_public(name):
    assert name in backends.__all__
