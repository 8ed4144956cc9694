import pytest

pytest.importorskip("qiskit_ibm_runtime")

from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.fake_provider import FakeGuadalupeV2, FakeManilaV2

from backends.ibm_estimators import Options, estimator


def made(options, device=None):
    device = device or FakeManilaV2()
    return estimator(options, device, device, 5, [], None)


def test_the_newer_generation_on_narrow_devices_the_older_on_wide_ones():
    assert Options().generation(FakeManilaV2()) == "client"
    assert Options().generation(FakeGuadalupeV2()) == Options().generation(AerSimulator()) == "legacy"
    assert Options(estimator="legacy").generation(FakeManilaV2()) == "legacy"
    assert Options(estimator="client").generation(FakeGuadalupeV2()) == "client"
    assert type(made(Options())).__module__.startswith("qiskit_ibm_runtime.executor_estimator")
    assert type(made(Options(), FakeGuadalupeV2())).__module__ == "qiskit_ibm_runtime.estimator"


def test_nothing_is_mitigated_unless_it_is_asked_for():
    final = made(Options(shots=100)).finalize_options()
    assert (final.default_shots, final.resilience_level, final.simulator.seed_simulator) == (100, 0, 5)
    assert not (final.resilience.measure_mitigation or final.resilience.zne_mitigation or final.twirling.enable_gates)
    assert not (final.twirling.enable_measure or final.dynamical_decoupling.enable)


def test_every_option_reaches_the_estimator():
    options = Options(300, 1, (1, 2, 3), "linear", True, "XY4")
    final = made(options).finalize_options()
    assert (final.default_shots, final.resilience_level, final.resilience.measure_mitigation) == (300, 1, True)
    assert final.resilience.zne_mitigation and tuple(final.resilience.zne.noise_factors) == (1, 2, 3)
    assert final.resilience.zne.extrapolator == "linear"
    assert final.twirling.enable_gates and final.twirling.enable_measure
    assert final.dynamical_decoupling.enable and final.dynamical_decoupling.sequence_type == "XY4"


@pytest.mark.parametrize(
    ("options", "factors"),
    [({}, (1,)), ({"zne": True}, (1, 3, 5)), ({"resilience_level": 2}, (1, 3, 5)), ({"zne": [1, 1.5]}, (1, 1.5))],
)
def test_noise_factors_are_those_that_run(options, factors):
    final = made(Options(**options)).finalize_options()
    assert Options(**options).noise_factors == factors
    assert bool(final.resilience.zne_mitigation) == (factors != (1,))
    if factors != (1,):
        assert tuple(final.resilience.zne.noise_factors) == factors


@pytest.mark.parametrize(
    "options", [{"resilience_level": 1}, {"zne": True}, {"twirling": True}, {"dynamical_decoupling": True}]
)
def test_mitigation_that_a_simulation_would_leave_out_is_refused(options):
    text = "got error mitigation on fake_guadalupe, expected none: the simulation of its 16 qubits leaves it out"
    with pytest.raises(ValueError, match=text):
        Options(**options).generation(FakeGuadalupeV2())
    with pytest.raises(ValueError, match="got error mitigation on fake_manila"):
        Options(**options, estimator="legacy").generation(FakeManilaV2())
    assert Options(**options).generation(FakeManilaV2()) == "client"


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("shots", 0, "a positive integer"),
        ("shots", True, "a positive integer"),
        ("shots", 1.5, "a positive integer"),
        ("resilience_level", 3, "0, 1 or 2"),
        ("zne", 3, r"True, False or noise factors >= 1 such as \(1, 3, 5\)"),
        ("zne", (1,), r"True, False or noise factors >= 1"),
        ("zne", (0.5, 1), r"True, False or noise factors >= 1"),
        ("extrapolator", "cubic", "one or some of linear, exponential"),
        ("twirling", "pauli", "True, False or None"),
        ("dynamical_decoupling", "YY", "True, False or one of XX, XpXm, XY4"),
        ("estimator", "new", "'auto', 'client' or 'legacy'"),
    ],
)
def test_wrong_options(option, value, expected):
    with pytest.raises(ValueError, match=rf"got {option}=.*, expected {expected}"):
        Options(**{option: value})
