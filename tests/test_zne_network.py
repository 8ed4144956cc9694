"""backends/zne_network.py: the network is the one that torch would train, and never sees a noise-free value."""

import pytest
import torch
from tolerances import close
from torch import nn

from backends import zne_network
from backends.zne_network import network

P = (0.01, 0.03, 0.05, 0.1)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(zne_network, "STEPS", 60)


def values():
    p = torch.tensor(P, dtype=torch.float64)[:, None]
    return torch.tensor([0.9, -0.3, 2.0]) * (-p * torch.tensor([3.0, 5.0, 20.0])).exp()


def by_torch(y, member, seed):
    """Train one network of the ensemble as modules, alone."""
    parameters = [p[member, 0].detach() for p in zne_network._first_parameters(y[:, None], seed)]
    net = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    for own, given in zip(net.parameters(), parameters, strict=True):
        own.data = given.T.reshape(own.shape).clone()
    x, mean, scale = torch.tensor(P, dtype=torch.float64)[:, None] / 0.1, y.mean(), y.std(correction=0)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(x), (y[:, None] - mean) / scale).backward()
        optimizer.step()
    return (net(torch.zeros(1, 1, dtype=torch.float64)) * scale + mean).item()


@pytest.mark.usefixtures("short")
def test_it_is_an_ensemble_of_networks_as_torch_trains_them():
    found = network(P, values(), seed=3)
    for k, y in enumerate(values().T):
        each = torch.tensor([by_torch(y, member, 3) for member in range(5)], dtype=torch.float64)
        assert close(found.values[k], each.mean(), 1e-9) and close(found.stderr[k], each.std(), 1e-9)


@pytest.mark.usefixtures("short")
def test_a_value_does_not_depend_on_those_beside_it(monkeypatch):
    whole = network(P, values().reshape(4, 3, 1))
    monkeypatch.setattr(zne_network, "_AT_ONCE", 1)
    assert whole.values.shape == (3, 1)
    assert close(whole.values[:, 0], network(P, values()).values, 1e-9)
    assert close(whole.values[1], network(P, values()[:, 1:2]).values, 1e-9)


@pytest.mark.usefixtures("short")
def test_the_seed_fixes_it_and_torchs_generator_is_left_alone():
    state = torch.random.get_rng_state()
    first, again, other = (network(P, values(), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.values, again.values) and not torch.equal(first.values, other.values)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_trains_where_no_gradients_are_kept(mode):
    with mode():
        found = network(P, values())
    assert torch.equal(found.values, network(P, values()).values) and not found.values.requires_grad


def test_it_fits_and_comes_near():
    """At full length: near the noise-free value of a smooth curve, with a spread that is not zero."""
    y = values()[:, :1]
    found = network(P, y)
    assert abs(found.values.item() - 0.9) < 0.01 < 0.9 - y[0].item() and 0 < found.stderr.item() < 0.05


def test_values_that_are_all_the_same_stay_so():
    assert close(network(P, torch.full((4, 1), 0.25, dtype=torch.float64)).values, [0.25], 0.01)


def test_the_noise_free_value_is_never_seen():
    for strengths in ((0.0, 0.1, 0.2, 0.3), (0.1, -0.1, 0.2, 0.3)):
        text = rf"got the strength {min(strengths)}, expected positive ones: the network must not see the noise-free"
        with pytest.raises(ValueError, match=text):
            network(strengths, values())
