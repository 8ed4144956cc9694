import pytest
import torch
from dense_backend import DenseBackend
from priced import Device

from backends import FiniteDifference, ParameterShift, Spsa, Statevector
from backends.planning import NOTHING, Cost, OverBudget, check_budget, is_priced, shots_that_fit
from circuits import CRY, RX, RY, Circuit, inputs, weights, z_each
from qml import QuantumLayer

X, W = inputs(2), weights(3)
CIRCUIT = Circuit(2, [RX(X[0], 0), RY(X[1] * W[2], 1), RY(W[0], 0), CRY(W[1], 0, 1)], 2, 3)


def layer(**options):
    return QuantumLayer(CIRCUIT, z_each(2), Device(**options))


@pytest.mark.parametrize(
    ("gradient", "input_gradients", "rows"),
    [
        (ParameterShift(), False, 1 + 2 + 2 + 4),
        (ParameterShift(), True, 1 + 2 + 2 + 2 + 4),
        (FiniteDifference(), False, 1 + 2 * 3),
        (Spsa(n_directions=3), True, 1 + 2 * 3),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_a_plan_has_the_rows_that_a_step_evaluates(gradient, input_gradients, rows):
    made = layer(gradient=gradient)
    plan = made.plan(8, steps=5, input_gradients=input_gradients)
    assert made.backend.calls == []  # nothing was sent
    made(torch.zeros(8, 2, requires_grad=input_gradients)).sum().backward()
    assert plan.step.rows == sum(made.backend.calls) == 8 * rows
    assert plan.step == Cost(8 * rows, 16 * rows, 8000 * rows, -(-8 * rows // 100), 8.0 * rows)
    assert plan.total == plan.step * 5 and plan.steps == 5


def test_what_only_predicts_or_is_frozen_is_planned_so():
    made = layer()
    assert made.eval().plan(8, input_gradients=True).step.rows == 8
    made.train().weights.requires_grad_(False)
    assert made.plan(8).step.rows == 8 and made.plan(8, input_gradients=True).step.rows == 8 * (1 + 4)


def test_a_plan_leaves_random_numbers_alone():
    made = layer(gradient=Spsa())
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    made.plan(8)
    with torch.no_grad():
        made.plan(8)
    assert torch.equal(torch.rand(2), expected)
    seeded = Spsa(seed=1)
    layer(gradient=seeded).plan(8)
    assert seeded.calls == 0


def test_a_plan_is_a_table():
    lines = str(layer().plan(8, steps=10, price_per_second=1.6)).splitlines()
    assert lines[0] == "On ours:"
    assert [line.split() for line in lines[1:]] == [
        ["one", "step", "10", "steps"],
        ["circuits", "144", "1,440"],
        ["rows", "72", "720"],
        ["shots", "72,000", "720,000"],
        ["jobs", "1", "10"],
        ["QPU", "seconds", "(estimated)", "72.0", "720.0"],
        ["price", "115.20", "1,152.00"],
    ]
    assert "price" not in str(layer().plan(8)) and layer().plan(8).price is None


@pytest.mark.parametrize(
    ("budget", "spent", "text", "steps"),
    [
        (None, 0.0, "", None),
        (720.0, 0.0, "budget: 720.0 s, 0.0 s of it used: enough", 10),
        (720.0, 360.0, "360.0 s of it used: enough for 5 of 10 steps, or for all of them with shots=500", 5),
        (720.0, 720.0, "720.0 s of it used: enough for 0 of 10 steps", 0),
    ],
)
def test_a_plan_says_what_the_budget_is_enough_for(budget, spent, text, steps):
    plan = layer(budget_seconds=budget, spent=spent).plan(8, steps=10)
    assert plan.affordable_steps == steps
    assert str(plan).endswith(text)


@pytest.mark.parametrize("steps", [0, -1, 1.5, True])
def test_wrong_steps(steps):
    with pytest.raises(ValueError, match=f"got steps={steps}, expected a positive integer"):
        layer().plan(8, steps)


def test_what_costs_nothing_has_no_plan():
    made = QuantumLayer(CIRCUIT)
    with pytest.raises(ValueError, match=r"got .*Statevector.*, which runs here and costs nothing, expected a device"):
        made.plan(8)
    assert is_priced(Device()) and not is_priced(Statevector()) and not is_priced(DenseBackend())


def test_costs_add_up():
    one = Cost(1, 2, 3, 4, 5.0)
    assert one + one == one * 2 and sum([one, one, one], start=NOTHING) == one * 3


def test_a_budget_stops_in_time():
    check_budget(100.0, 0.0, None, 1000)
    check_budget(60.0, 40.0, 100.0, 1000)
    check_budget(0.0, 170.0, 100.0, 1000)  # what is paid for
    text = (
        "got a step of about 60 s of QPU time with 70 of 100 s used, expected at most 30 s: nothing was sent; "
        "use shots=500, which fits once, give fewer samples, or raise budget_seconds to 130"
    )
    with pytest.raises(OverBudget, match=text):
        check_budget(60.0, 70.0, 100.0, 1000)
    with pytest.raises(OverBudget, match="expected at most 0 s: nothing was sent; give fewer samples"):
        check_budget(60.0, 170.0, 100.0, 1000)


@pytest.mark.parametrize(("seconds", "left", "shots"), [(10.0, 5.0, 50), (10.0, -1.0, 0), (0.0, 5.0, 100)])
def test_shots_that_fit(seconds, left, shots):
    assert shots_that_fit(100, seconds, left) == shots
