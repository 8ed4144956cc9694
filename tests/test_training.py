"""hybrid/training.py against a training loop written out in torch, and as a scikit-learn classifier."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, OneCycleLR

from hybrid import training
from hybrid.attacks import Normalised, fgsm, pgd, robust_accuracy
from hybrid.baselines import mlp
from hybrid.checkpoints import CheckpointError
from hybrid.data import load

IRIS = load("iris")
X = StandardScaler().fit_transform(IRIS.X)
Y = IRIS.y


def small():
    return mlp.build(4, 3, n_parameters=60)


def by_hand(build, seed, epochs, lr, batch_size):
    """The same training as a plain torch loop."""
    torch.manual_seed(seed)
    model = build()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    order = torch.Generator().manual_seed(seed)
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    losses = []
    loader = torch.utils.data.DataLoader(data, batch_size, shuffle=True, generator=order)
    for _ in range(epochs):
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
        losses.append(total / len(Y))
    return model, losses


def test_fit_is_the_plain_torch_loop():
    fitted = training.fit(small, X, Y, seed=3, epochs=4, lr=0.02, batch_size=16)
    model, losses = by_hand(small, 3, 4, 0.02, 16)
    np.testing.assert_allclose([epoch["train_loss"] for epoch in fitted.history], losses, rtol=1e-5)
    for one, other in zip(fitted.net.module_.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_history():
    valid = (X[:50], Y[:50])
    fitted = training.fit(small, X, Y, epochs=3, valid=valid)
    assert [epoch["epoch"] for epoch in fitted.history] == [1, 2, 3]
    last = fitted.history[-1]
    assert set(last) == {"epoch", "train_loss", "valid_loss", "valid_accuracy", "seconds"}
    logits = fitted.net.module_(torch.from_numpy(X[:50]))
    accuracy = (logits.argmax(1).numpy() == Y[:50]).mean()
    assert last["valid_accuracy"] == pytest.approx(accuracy)
    assert last["valid_loss"] == pytest.approx(nn.functional.cross_entropy(logits, torch.from_numpy(Y[:50])).item())
    assert fitted.seconds == sum(epoch["seconds"] for epoch in fitted.history) > 0
    assert set(training.fit(small, X, Y, epochs=1).history[0]) == {"epoch", "train_loss", "seconds"}


def test_what_a_process_does_once_is_not_counted(monkeypatch):
    happened = []

    class Slow(nn.Linear):
        def forward(self, x):
            happened.append("run")
            return super().forward(x)

    clock = training.time.perf_counter
    monkeypatch.setattr(training.time, "perf_counter", lambda: happened.append("clock") or clock())
    training.fit(lambda: Slow(4, 3), X, Y, epochs=1)
    assert happened[:3] == ["run", "clock", "run"]


def test_watching_does_not_change_the_training():
    one = training.fit(small, X, Y, epochs=2, valid=(X, Y))
    other = training.fit(small, X, Y, epochs=2)
    assert [e["train_loss"] for e in one.history] == [e["train_loss"] for e in other.history]


def test_on_epoch_is_told_every_epoch():
    told = []
    fitted = training.fit(small, X, Y, epochs=3, on_epoch=told.append)
    assert told == fitted.history


class Spy(nn.Linear):
    """Remembers the batches it has seen, and draws random numbers as dropout does."""

    def __init__(self, draws):
        super().__init__(4, 3)
        self.draws, self.seen = draws, []

    def forward(self, x):
        torch.rand(self.draws)
        self.seen.append(x.clone())
        return super().forward(x)


def test_the_order_of_the_data_is_the_same_for_every_model_and_another_for_every_seed():
    seen = {}
    for draws, seed in ((0, 0), (5, 0), (0, 1)):
        fitted = training.fit(lambda draws=draws: Spy(draws), X, Y, seed=seed, epochs=2, batch_size=50)
        seen[draws, seed] = torch.cat(fitted.net.module_.seen)
    torch.testing.assert_close(seen[0, 0], seen[5, 0])
    assert not torch.equal(seen[0, 0], seen[0, 1])
    assert not torch.equal(seen[0, 0][:150], seen[0, 0][150:]), "each epoch has an order of its own"


def test_the_seed_alone_decides():
    torch.manual_seed(111)
    one = training.fit(small, X, Y, seed=5, epochs=2)
    torch.manual_seed(222)
    other = training.fit(small, X, Y, seed=5, epochs=2)
    third = training.fit(small, X, Y, seed=6, epochs=2)
    assert [e["train_loss"] for e in one.history] == [e["train_loss"] for e in other.history]
    assert one.history[0]["train_loss"] != third.history[0]["train_loss"]


def test_torch_is_left_as_it_was():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    n_threads = torch.get_num_threads()
    during = []
    training.fit(small, X, Y, epochs=1, on_epoch=lambda epoch: during.append(torch.get_num_threads()))
    assert during == [1] and torch.get_num_threads() == n_threads
    torch.testing.assert_close(torch.rand(3), expected)


def test_threads_are_put_back_after_an_error():
    n_threads = torch.get_num_threads()
    with pytest.raises(RuntimeError), training.one_thread():
        raise RuntimeError
    assert torch.get_num_threads() == n_threads


def test_trainings_in_threads_of_one_process_do_not_disturb_each_other():
    alone = [training.fit(small, X, Y, seed=seed, epochs=2).history[-1]["train_loss"] for seed in range(4)]
    together = [None] * 4

    def train(seed):
        together[seed] = training.fit(small, X, Y, seed=seed, epochs=2).history[-1]["train_loss"]

    threads = [threading.Thread(target=train, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


class Nan(nn.Linear):
    def forward(self, x):
        return super().forward(x) * float("nan")


def test_a_loss_that_is_not_finite_stops_the_training():
    message = r"The training loss of my model is nan in epoch 1: expected a finite number; try a smaller learning rate"
    with pytest.raises(FloatingPointError, match=message):
        training.fit(lambda: Nan(4, 3), X, Y, epochs=5, name="my model")


# --- with a schedule, clipping and smoothing ----------------------------------------------------------------------

ONE_CYCLE = {
    "optimizer": torch.optim.AdamW,
    "optimizer_options": {"weight_decay": 0.01},
    "schedule": OneCycleLR,
    "schedule_options": {"max_lr": 0.02, "total_steps": 4 * 10, "step_every": "batch"},
    "clip": 0.1,
    "loss_options": {"label_smoothing": 0.1},
}


def test_fit_with_a_schedule_clipping_and_smoothing_is_the_plain_torch_loop():
    fitted = training.fit(small, X, Y, seed=3, epochs=4, lr=1e-3, batch_size=16, **ONE_CYCLE)
    torch.manual_seed(3)
    model = small()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = OneCycleLR(optimizer, max_lr=0.02, total_steps=40)
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    loader = torch.utils.data.DataLoader(data, 16, shuffle=True, generator=torch.Generator().manual_seed(3))
    for _ in range(4):
        for x, y in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y, label_smoothing=0.1).backward()
            assert nn.utils.clip_grad_norm_(model.parameters(), 0.1) > 0.1, "else nothing is clipped here"
            optimizer.step()
            schedule.step()
    for one, other in zip(fitted.net.module_.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("every", "n"), [("batch", 10), ("epoch", 1), (None, 1)])
def test_a_schedule_makes_its_steps_after_every_batch_or_epoch(every, n, monkeypatch):
    """With 10 batches in an epoch the rate of epoch 2 is that of step 10, or of step 1, of the formula."""
    rates = []
    monkeypatch.setattr(
        training._Watch, "on_batch_begin", lambda self, net, **_: rates.append(rate(net)), raising=False
    )
    options = {"T_0": 40} | ({} if every is None else {"step_every": every})
    training.fit(
        small, X, Y, epochs=2, lr=0.1, batch_size=15, schedule=CosineAnnealingWarmRestarts, schedule_options=options
    )
    assert rates[0] == 0.1 and rates[10] == pytest.approx(0.05 * (1 + np.cos(np.pi * n / 40)))
    assert len(rates) == 20 and len(set(rates)) == 2 * n


def rate(net):
    return net.optimizer_.param_groups[0]["lr"]


def test_clipping_to_nothing_and_unknown_steps_are_refused():
    with pytest.raises(ValueError, match=r"got clip=0, expected a norm above 0, or None not to clip: clip=1.0"):
        training.fit(small, X, Y, clip=0)
    with pytest.raises(ValueError, match=r"got step_every='step' for the schedule, expected 'epoch' or 'batch': step_"):
        training.fit(small, X, Y, schedule=OneCycleLR, schedule_options={"step_every": "step"})


# --- to numbers ----------------------------------------------------------------------------------------------------

NUMBERS = np.sin(X[:, :1]) + 0.5 * X[:, 1:2]


def numbers():
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1))


def test_fit_to_numbers_is_the_plain_torch_loop():
    options = {"alpha": 0.9, "eps": 1e-6}
    fitted = training.fit(
        numbers, X, NUMBERS, seed=3, epochs=3, lr=0.02, batch_size=16, loss="mse", optimizer=torch.optim.RMSprop,
        optimizer_options=options, valid=(X[:9], NUMBERS[:9]),
    )  # fmt: skip
    torch.manual_seed(3)
    model = numbers()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.02, **options)
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(NUMBERS))
    order = torch.Generator().manual_seed(3)
    loader = torch.utils.data.DataLoader(data, 16, shuffle=True, generator=order)
    for _ in range(3):
        for x, y in loader:
            optimizer.zero_grad()
            (model(x) - y).square().mean().backward()
            optimizer.step()
    for one, other in zip(fitted.net.module_.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    np.testing.assert_allclose(fitted.net.predict(X), model(torch.from_numpy(X)).detach(), rtol=1e-4, atol=1e-6)
    assert set(fitted.history[-1]) == {"epoch", "train_loss", "valid_loss", "seconds"}
    expected = (model(torch.from_numpy(X[:9])) - torch.from_numpy(NUMBERS[:9])).square().mean().item()
    assert fitted.history[-1]["valid_loss"] == pytest.approx(expected, rel=1e-4)


def test_double_precision_and_sequences():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = nn.RNN(1, 3, batch_first=True), nn.Linear(3, 1)

        def forward(self, x):
            return self.head(self.rnn(x)[0][:, -1])

    fitted = training.fit(lambda: Last().double(), X.astype(float)[:, :, None], NUMBERS.astype(float), loss="mse")
    assert fitted.net.predict(X.astype(float)[:, :, None]).dtype == np.float64
    assert fitted.history[-1]["train_loss"] < fitted.history[0]["train_loss"]


def test_numbers_of_another_shape_are_refused():
    message = r"got predictions of shape \(32, 1\) for targets of shape \(32,\), expected the same shape: reshape the"
    with pytest.raises(ValueError, match=message):
        training.fit(numbers, X, NUMBERS[:, 0], loss="mse")


def test_classes_are_weighed_as_in_a_loop():
    """One step of all samples: the loss is the mean of the samples' losses, each times the weight of its class."""
    weights = np.array([0.5, 1.0, 4.0], np.float32)
    torch.manual_seed(0)
    model = small()
    each = nn.functional.cross_entropy(model(torch.from_numpy(X)), torch.from_numpy(Y), reduction="none")
    shares = torch.from_numpy(weights)[torch.from_numpy(Y)]
    fitted = training.fit(small, X, Y, epochs=1, batch_size=len(Y), class_weights=weights)
    assert fitted.history[0]["train_loss"] == pytest.approx(((each * shares).sum() / shares.sum()).item(), rel=1e-5)
    with pytest.raises(ValueError, match="got class_weights for loss='mse', expected classes to weigh: loss='cross_e"):
        training.fit(small, X, X, loss="mse", class_weights=weights)


def test_a_checkpoint_of_other_class_weights_is_refused(tmp_path):
    path = tmp_path / "run.ckpt"
    training.fit(small, X, Y, epochs=1, checkpoint=path, every=1, class_weights=np.ones(3, np.float32))
    with pytest.raises(CheckpointError, match="another class weights"):
        training.fit(small, X, Y, epochs=1, checkpoint=path, every=1)


def test_masks_are_trained_on_dice_and_cross_entropy():
    """One step of all samples, by hand."""
    masks = (X > 0.3).astype(np.float32)

    def build():
        return nn.Linear(X.shape[1], X.shape[1])

    with training.alone(0):
        p = torch.sigmoid(build()(torch.from_numpy(X))).detach().double().numpy()
    entropy = -np.where(masks == 1, np.log(p), np.log(1 - p)).mean()
    dice = (2 * (p * masks).sum() + 1) / (p.sum() + masks.sum() + 1)
    fitted = training.fit(build, X, masks, epochs=30, lr=0.1, batch_size=len(X), loss="dice")
    assert fitted.history[0]["train_loss"] == pytest.approx(entropy + 1 - dice, rel=1e-5)
    found = fitted.net.module_(torch.from_numpy(X)).detach().numpy() > 0
    assert (found == masks).mean() > 0.9
    with pytest.raises(ValueError, match="got class_weights for loss='dice', expected classes to weigh"):
        training.fit(build, X, masks, loss="dice", class_weights=np.ones(2))


def test_an_unknown_loss():
    with pytest.raises(ValueError, match="got loss='mae', expected one of 'cross_entropy', 'mse', 'dice': loss='mse'"):
        training.fit(numbers, X, NUMBERS, loss="mae")


def test_regressor_in_a_pipeline():
    net = training.regressor(numbers(), max_epochs=60, verbose=0)
    assert not net.initialized_
    assert make_pipeline(StandardScaler(), net).fit(X, NUMBERS).score(X, NUMBERS) > 0.9


# --- as a scikit-learn classifier ----------------------------------------------------------------------------------


def test_classifier_is_not_fitted_and_leaves_the_given_module_alone():
    model = small()
    before = [parameter.clone() for parameter in model.parameters()]
    net = training.classifier(model, max_epochs=2, verbose=0)
    assert not net.initialized_
    net.fit(X, Y)
    for parameter, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(parameter, old)


@pytest.mark.parametrize("module", ["class", "instance"])
def test_fits_and_clones_start_afresh(module):
    options = {"module__n_features": 4, "module__n_classes": 3} if module == "class" else {}
    net = training.classifier(mlp.build if options else small(), seed=1, max_epochs=3, verbose=0, **options)
    first = net.fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(net.fit(X, Y).predict_proba(X), first)
    np.testing.assert_array_equal(clone(net).fit(X, Y).predict_proba(X), first)
    np.testing.assert_allclose(first.sum(1), 1, rtol=1e-5)


def test_predictions_are_the_softmax_of_the_logits():
    net = training.classifier(small(), max_epochs=1, verbose=0).fit(X, Y)
    with torch.no_grad():
        expected = net.module_(torch.from_numpy(X)).softmax(1)
    np.testing.assert_allclose(net.predict_proba(X), expected, rtol=1e-5)


def test_seed_can_be_searched_over():
    net = training.classifier(mlp.build, module__n_features=4, module__n_classes=3, max_epochs=1, verbose=0)
    one = net.set_params(module__seed=1, iterator_train__seed=1).fit(X, Y).predict_proba(X)
    other = training.classifier(mlp.build, seed=1, module__n_features=4, module__n_classes=3, max_epochs=1, verbose=0)
    np.testing.assert_array_equal(other.fit(X, Y).predict_proba(X), one)


def test_grid_search_in_a_pipeline():
    net = training.classifier(mlp.build, module__n_features=4, module__n_classes=3, max_epochs=15, verbose=0)
    grid = {"classifier__module__n_parameters": [11, 200], "classifier__lr": [1e-6, 0.05]}
    pipeline = make_pipeline(StandardScaler(), net)
    pipeline.steps[-1] = ("classifier", net)
    search = GridSearchCV(pipeline, grid, cv=2).fit(IRIS.X, IRIS.y)
    assert search.best_params_["classifier__lr"] == 0.05
    assert search.best_score_ > 0.85


def test_cross_validation_of_a_module():
    net = training.classifier(small(), max_epochs=20, verbose=0)
    assert cross_val_score(net, X, Y, cv=3).min() > 0.8


def test_a_fitted_net_pickles():
    net = training.classifier(small(), max_epochs=1, verbose=0).fit(X, Y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net)).predict(X), net.predict(X))


def test_settings_go_to_skorch():
    net = training.classifier(small(), optimizer=torch.optim.SGD, lr=0.5, batch_size=7, verbose=0, max_epochs=1)
    net.fit(X, Y)
    assert isinstance(net.optimizer_, torch.optim.SGD) and net.optimizer_.param_groups[0]["lr"] == 0.5
    assert len(net.history[0, "batches"]) == 22


# --- training against an attack


def pixels():
    """The samples between 0 and 1, their classes, and a model of them."""
    low, high = IRIS.X.min(0), IRIS.X.max(0)
    x = ((IRIS.X - low) / (high - low)).astype(np.float32)
    return x, Y, lambda: Normalised(small(), x.mean(0), x.std(0))


def test_training_against_an_attack_is_the_loop_with_half_the_loss_of_attacked_samples():
    x, y, build = pixels()
    fitted = training.fit(build, x, y, seed=3, epochs=2, lr=0.02, batch_size=50, attack=fgsm(0.1))
    torch.manual_seed(3)
    model = build()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    loader = torch.utils.data.DataLoader(data, 50, shuffle=True, generator=torch.Generator().manual_seed(3))
    for _ in range(2):
        for clean, labels in loader:
            clean.requires_grad_()
            (slope,) = torch.autograd.grad(nn.functional.cross_entropy(model(clean), labels), clean)
            attacked = (clean + 0.1 * slope.sign()).clamp(0, 1).detach()
            optimizer.zero_grad()
            losses = [nn.functional.cross_entropy(model(each), labels) for each in (clean.detach(), attacked)]
            (sum(losses) / 2).backward()
            optimizer.step()
    for one, other in zip(fitted.net.module_.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_training_against_an_attack_hardens():
    x, y, build = pixels()
    settings = {"epochs": 40, "batch_size": 50}
    plain, hard = (training.fit(build, x, y, attack=attack, **settings).net for attack in (None, pgd(0.1, n_steps=5)))
    before, after = (robust_accuracy(net, x, y, [0.1]) for net in (plain, hard))
    assert after.accuracy[1] > before.accuracy[1] + 0.05 and after.accuracy[0] > 0.9


def test_training_against_an_attack_goes_on_where_it_was_and_ends_with_the_same_weights(tmp_path):
    x, y, build = pixels()
    settings = {"epochs": 4, "attack": pgd(0.1, n_steps=2, restarts=1), "every": 1}
    whole = training.fit(build, x, y, checkpoint=tmp_path / "whole", **settings)

    def stop(epoch):
        if epoch["epoch"] == 2:
            raise RuntimeError

    file = tmp_path / "cut"
    with pytest.raises(RuntimeError):
        training.fit(build, x, y, checkpoint=file, on_epoch=stop, **settings)
    resumed = training.fit(build, x, y, checkpoint=file, **settings)
    for one, other in zip(whole.net.module_.parameters(), resumed.net.module_.parameters(), strict=True):
        assert (one == other).all()
    with pytest.raises(CheckpointError, match="which has another attack"):
        training.fit(build, x, y, checkpoint=file, **{**settings, "attack": fgsm(0.1)})


def test_numbers_cannot_be_attacked():
    with pytest.raises(ValueError) as error:
        training.fit(small, X, X, loss="mse", attack=fgsm(0.1))
    assert str(error.value) == "got an attack for loss='mse', expected classes to attack: loss='cross_entropy'"
