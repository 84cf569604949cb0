"""``fit`` beside a loop written by hand, its parts, and what it says to misuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn, optim, train
from portanet.data import BatchSampler, DataLoader, DistributedSampler, TensorDataset
from portanet.errors import DataError, OptionError, ShapeError
from portanet.optim import lr_scheduler
from tests.runs import MeanOutput, bits, network, numbers

# What it computes


def test_fit_does_what_the_loop_by_hand_does(eager: str, rng: Any) -> None:
    inputs, targets = numbers(rng)

    def parts() -> tuple[Any, Any, Any, Any]:
        pn.manual_seed(3)
        model = network()
        optimizer = optim.AdamW(model.parameters(), lr=0.01)
        data = DataLoader(TensorDataset(inputs, targets), 5, shuffle=True)
        return model, optimizer, lr_scheduler.StepLR(optimizer, 2, gamma=0.1), data

    model, optimizer, schedule, data = parts()
    history = train.fit(model, nn.MSELoss(), optimizer, data, epochs=3, scheduler=schedule)
    ours = bits(model, optimizer)
    model, optimizer, schedule, data = parts()
    losses, means, loss_fn = [], [], nn.MSELoss()
    for _ in range(3):
        total = 0.0
        for x, y in data:
            loss = loss_fn(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            total += loss.item() * len(x)
        means.append(total / len(inputs))
        schedule.step()
    assert ours == bits(model, optimizer)
    assert history.losses == losses
    assert history["loss"] == pytest.approx(means, rel=1e-12)
    assert history["lr"] == pytest.approx([0.01, 0.01, 0.001])
    assert history["epoch"] == [1, 2, 3]
    assert history["updates"] == [5, 10, 15]


def test_accumulated_gradients_are_those_of_the_larger_batch(eager: str, rng: Any) -> None:
    """Also of the last batches of an epoch, which are fewer."""
    inputs, targets = numbers(rng, 24)
    results = []
    for batch_size, accumulate in ((8, 1), (4, 2), (2, 4)):
        pn.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1))
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
        data = [
            (pn.asarray(inputs[k : k + batch_size]), pn.asarray(targets[k : k + batch_size]))
            for k in range(0, 20, batch_size)
        ]
        if batch_size == 8:
            data[-1] = (data[-1][0][:4], data[-1][1][:4])
        history = train.fit(model, nn.MSELoss(), optimizer, data, epochs=2, accumulate=accumulate)
        assert history["updates"] == [3, 6]
        results.append(np.concatenate([p.detach().numpy().ravel() for p in model.parameters()]))
    np.testing.assert_allclose(results[1], results[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(results[2], results[0], rtol=0, atol=1e-6)


def test_gradients_are_clipped(eager: str, rng: Any) -> None:
    inputs, targets = numbers(rng)
    model = nn.Linear(4, 1)
    before = [p.detach().numpy().copy() for p in model.parameters()]
    data = [(pn.asarray(inputs), pn.asarray(targets + 1000))]
    train.fit(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=1.0), data, epochs=1, clip=0.25)
    moved = [p.detach().numpy() - b for p, b in zip(model.parameters(), before, strict=True)]
    assert np.sqrt(sum((m.astype("float64") ** 2).sum() for m in moved)) == pytest.approx(0.25, rel=1e-4)


def test_several_inputs_go_to_the_model(rng: Any) -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            self.linear = nn.Linear(4, 1)

        def forward(self, a: Any, b: Any) -> Any:
            return self.linear(a + b)

    inputs, targets = numbers(rng)
    model = Sum()
    data = DataLoader(TensorDataset(inputs, inputs, targets), 8)
    assert len(train.fit(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.01), data, epochs=2)) == 2
    assert train.predict(model, data).shape == (23, 1)


def test_evaluation_is_a_mean_over_samples_without_dropout(eager: str, rng: Any) -> None:
    inputs, targets = numbers(rng)
    model = nn.Sequential(nn.Dropout(0.9), nn.Linear(4, 1))
    weight, bias = (p.detach().numpy().astype("float64") for p in model.parameters())
    outputs = inputs @ weight.T + bias
    data = DataLoader(TensorDataset(inputs, targets), 5)
    found = train.evaluate(model, data, nn.MSELoss(), [MeanOutput()])
    assert found["loss"] == pytest.approx(np.mean((outputs - targets) ** 2), rel=1e-5)
    assert found["mean_output"] == pytest.approx(outputs.mean(), rel=1e-4, abs=1e-6)
    assert list(train.evaluate(model, data, metrics=[MeanOutput("m")])) == ["m"]
    for given in (data, pn.asarray(inputs), inputs, [pn.asarray(inputs)], [(pn.asarray(inputs),)]):
        predicted = train.predict(model, given, batch_size=7)
        assert not predicted.requires_grad
        np.testing.assert_allclose(predicted.numpy(), outputs, rtol=0, atol=1e-5)


def test_evaluation_leaves_every_module_in_its_mode() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
    model[1].eval()
    seen = []
    model[0].register_forward_hook(
        lambda module, inputs, output: seen.append([m.training for m in model.modules()])
    )
    with pytest.raises(ZeroDivisionError):
        train.evaluate(model, [(pn.zeros((1, 2)), 1)], loss=lambda outputs, target: 1 / 0)
    assert seen == [[False] * 4]
    assert [m.training for m in (model, *model)] == [True, True, False, True]


def test_evaluation_of_what_are_no_batches_is_refused(rng: Any) -> None:
    inputs, targets = numbers(rng)
    model = nn.Linear(4, 1)
    samples = TensorDataset(inputs, targets)  # whose samples would be taken for batches
    for call in (lambda data: train.predict(model, data), lambda data: train.evaluate(model, data)):
        with pytest.raises(TypeError, match="data: expected an iterable of batches, .*got TensorDataset"):
            call(samples)
        with pytest.raises(DataError, match="data: expected at least one batch"):
            call([])
    with pytest.raises(ShapeError, match=r"loss: expected one number for a batch, got shape \(23, 1\)"):
        train.evaluate(model, [(pn.asarray(inputs), pn.asarray(targets))], nn.MSELoss(reduction="none"))
    with pytest.raises(TypeError, match="model: expected one that returns a Tensor, got tuple"):
        train.predict(nn.LSTM(4, 3), inputs)
    for call in (train.predict, train.evaluate):
        with pytest.raises(TypeError, match=r"model: expected a portanet\.nn\.Module"):
            call(len, [])


def test_a_batch_without_samples_does_not_reach_the_weights(rng: Any) -> None:
    inputs, targets = numbers(rng)
    model = nn.Linear(4, 1)
    before = bits(model)
    data = [(pn.asarray(inputs[:0]), pn.asarray(targets[:0]))]
    with pytest.raises(DataError, match="batch: expected at least one sample"):
        train.fit(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), data, epochs=1)
    assert bits(model) == before
    with pytest.raises(DataError, match="batch: expected at least one sample"):
        train.evaluate(model, data, nn.MSELoss())


def test_predictions_for_no_samples_and_for_a_number(backend: str) -> None:
    assert train.predict(nn.Linear(4, 3), pn.zeros((0, 4))).shape == (0, 3)
    with pytest.raises(ShapeError, match="data: expected an array of samples"):
        train.predict(nn.Linear(4, 3), pn.asarray(1.0))


def test_losses_of_one_element_and_inputs_in_containers(eager: str, rng: Any) -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            self.linear = nn.Linear(4, 1)

        def forward(self, inputs: Any) -> Any:
            return self.linear(inputs["x"])

    inputs, targets = numbers(rng)
    model = Named()
    data = [({"x": pn.asarray(inputs[s])}, pn.asarray(targets[s])) for s in (slice(0, 20), slice(20, 23))]
    outputs = model({"x": pn.asarray(inputs)}).detach().numpy()
    expected = float(np.mean((outputs - targets).astype("float64") ** 2))

    def loss(outputs: Any, targets: Any) -> Any:
        return pn.reshape(pn.mean((outputs - targets) ** 2), (1,))

    assert train.evaluate(model, data, loss)["loss"] == pytest.approx(expected, rel=1e-5)
    optimizer = optim.SGD(model.parameters(), lr=1e-30)
    assert train.fit(model, loss, optimizer, data, epochs=1)["loss"] == pytest.approx([expected], rel=1e-5)


def test_numbers_of_an_array_library_become_python_numbers(rng: Any) -> None:
    class Single(MeanOutput):
        def compute(self) -> Any:
            return np.float32(0.5)

    inputs, targets = numbers(rng)
    model = nn.Linear(4, 1)
    data = [(pn.asarray(inputs), pn.asarray(targets))]
    history = train.fit(
        *(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), data),
        epochs=2,
        metrics=[Single()],
        callbacks=[train.EarlyStopping("mean_output")],
    )
    assert [type(value) for value in history["mean_output"]] == [float, float]


def test_a_sampler_is_told_of_each_epoch(rng: Any) -> None:
    inputs, targets = numbers(rng)
    set_ = TensorDataset(inputs, targets)
    model = nn.Linear(4, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    for options in (
        {"batch_size": 6, "sampler": DistributedSampler(set_, 2, 0)},
        {"batch_sampler": BatchSampler(DistributedSampler(set_, 2, 0), 6)},
    ):
        orders: list[list[float]] = [[]]

        def loss(outputs: Any, targets: Any, orders: Any = orders) -> Any:
            orders[-1] += targets.numpy().ravel().tolist()
            return nn.functional.mse_loss(outputs, targets)

        class Next(train.Callback):
            def on_epoch_end(self, run: train.Run, orders: Any = orders) -> None:
                orders.append([])

        train.fit(model, loss, optimizer, DataLoader(set_, **options), epochs=3, callbacks=[Next()])
        assert len({tuple(order) for order in orders[:3]}) == 3


def test_metrics_of_training_and_validation_are_apart(rng: Any) -> None:
    inputs, targets = numbers(rng)
    model = nn.Linear(4, 1)
    data = DataLoader(TensorDataset(inputs, targets), 6)
    other = DataLoader(TensorDataset(-inputs, targets), 9)
    optimizer = optim.SGD(
        model.parameters(), lr=1e-30
    )  # the weights stay, so both can be computed afterwards
    history = train.fit(
        model, nn.MSELoss(), optimizer, data, epochs=2, validation=other, metrics=[MeanOutput()]
    )
    columns = ["epoch", "updates", "lr", "loss", "mean_output", "validation_loss", "validation_mean_output"]
    assert history.columns() == columns
    for row in history:
        assert row["mean_output"] == pytest.approx(train.predict(model, inputs).numpy().mean(), abs=1e-5)
        assert row["validation_mean_output"] == pytest.approx(
            train.predict(model, -inputs).numpy().mean(), abs=1e-5
        )
        assert row["validation_loss"] == pytest.approx(
            train.evaluate(model, other, nn.MSELoss())["loss"], rel=1e-6
        )


def test_a_plateau_schedule_sees_the_loss_of_the_validation(rng: Any) -> None:
    inputs, targets = numbers(rng)
    model = nn.Linear(4, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=0.0)
    data = DataLoader(TensorDataset(inputs, targets), 6)
    wrong = DataLoader(TensorDataset(inputs, -targets * 100 - 100), 6)  # better here is worse there
    history = train.fit(model, nn.MSELoss(), optimizer, data, epochs=6, validation=wrong, scheduler=schedule)
    assert history["loss"][-1] < history["loss"][0]
    worse = np.diff(history["validation_loss"][:-1]) >= 0
    np.testing.assert_allclose(history["lr"][2:], 0.01 * 0.5 ** np.cumsum(worse))
    assert worse.any()


def test_a_schedule_can_step_after_each_update(rng: Any) -> None:
    inputs, targets = numbers(rng)
    model = nn.Linear(4, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    steps = train.SchedulerEachUpdate(lr_scheduler.ExponentialLR(optimizer, gamma=0.5))
    data = DataLoader(TensorDataset(inputs, targets), 6)
    assert train.fit(model, nn.MSELoss(), optimizer, data, epochs=2, callbacks=[steps])["lr"] == [
        0.01 / 16,
        0.01 / 256,
    ]


# Misuse


class Deaf(train.Callback):
    """Waits for something that is called otherwise elsewhere."""

    def on_batch_end(self, run: train.Run) -> None: ...


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": len}, TypeError, r"model: expected a portanet\.nn\.Module"),
        ({"loss": nn.MSELoss}, TypeError, r"loss: expected a callable such as nn.CrossEntropyLoss\(\)"),
        ({"optimizer": 0.1}, TypeError, "optimizer: expected"),
        ({"data": 5}, TypeError, "data: expected an iterable of batches"),
        ({"data": []}, DataError, "data: expected at least one batch, got none"),
        ({"data": TensorDataset(pn.zeros((2, 4)))}, TypeError, "data: expected .*, got TensorDataset"),
        ({"data": iter([]), "epochs": 2}, TypeError, "data: .*list_iterator, which is used up after one"),
        ({"data": (pn.zeros((2, 4)), pn.zeros((2, 1)))}, DataError, r"DataLoader\(TensorDataset"),
        ({"data": [pn.zeros((2, 4))]}, DataError, r"expected batches of at least two parts, .*got a Tensor"),
        ({"data": [(pn.zeros((2, 4)),)]}, DataError, "got a tuple of 1"),
        ({"epochs": -1}, OptionError, "epochs: expected a whole number"),
        ({"accumulate": 0}, OptionError, "accumulate: expected a whole number of at least 1"),
        ({"clip": -1.0}, OptionError, "clip: expected a finite number of at least 0"),
        ({"resume": True}, TypeError, "resume: expected the path of a checkpoint or of a folder, got True"),
        ({"scheduler": 1}, TypeError, "scheduler: expected a schedule"),
        ({"metrics": [len]}, TypeError, r"metrics: .*which lacks name, reset, update, compute"),
        ({"metrics": [MeanOutput]}, TypeError, "which lacks name|an instance: call it"),
        ({"metrics": [MeanOutput(), MeanOutput()]}, TypeError, "different names"),
        ({"metrics": [MeanOutput("loss")]}, TypeError, r"none of epoch, .*loss.*got \['loss'\]"),
        ({"metrics": MeanOutput()}, TypeError, r"metrics: expected a list .* Pass \[metric\]"),
        ({"loss": lambda outputs, targets: 1.0}, TypeError, "loss: .*returns a Tensor, got float"),
        ({"callbacks": train.ProgressBar()}, TypeError, r"callbacks: expected a list .* Pass \[callback\]"),
        (
            {"callbacks": [Deaf()]},
            TypeError,
            "callbacks: Deaf has on_batch_end, which nobody calls; there are",
        ),
        ({"callbacks": [train.ProgressBar]}, TypeError, "got ProgressBar, not called"),
        ({"callbacks": [print]}, TypeError, "callbacks: expected"),
        ({"validation": []}, DataError, "validation: expected at least one batch, got none"),
        ({"validation": 5}, TypeError, "validation: expected an iterable of batches"),
        ({"validation": iter([]), "epochs": 2}, TypeError, "validation: .*used up after one"),
        ({"validation": [pn.zeros((2, 4))]}, DataError, "validation: expected batches of at least two"),
    ],
)
def test_misuse_is_named(change: dict[str, Any], error: type[Exception], message: str) -> None:
    model = nn.Linear(4, 1)
    given: dict[str, Any] = {
        "model": model,
        "loss": nn.MSELoss(),
        "optimizer": optim.SGD(model.parameters(), lr=0.1),
        "data": [(pn.zeros((2, 4)), pn.zeros((2, 1)))],
        "epochs": 1,
    }
    with pytest.raises(error, match=message):
        train.fit(**{**given, **change})


def test_an_optimizer_of_another_model_is_noticed() -> None:
    other = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1)
    with pytest.raises(DataError, match="it has none of the model's parameters"):
        train.fit(nn.Linear(4, 1), nn.MSELoss(), other, [], epochs=1)


def test_a_schedule_of_another_optimizer_is_noticed() -> None:
    model = nn.Linear(4, 1)
    mine, other = (optim.SGD(model.parameters(), lr=0.1) for _ in range(2))
    with pytest.raises(OptionError, match="scheduler: it was made for another optimizer"):
        train.fit(model, nn.MSELoss(), mine, [], epochs=1, scheduler=lr_scheduler.StepLR(other, 1))
    with pytest.raises(TypeError, match="scheduler: .*stepped after each update, got ReduceLROnPlateau"):
        train.SchedulerEachUpdate(lr_scheduler.ReduceLROnPlateau(mine))


def test_an_optimizer_that_asks_for_the_loss_several_times_is_refused() -> None:
    model = nn.Linear(2, 1)
    data = [(pn.zeros((3, 2)), pn.zeros((3, 1)))]
    with pytest.raises(OptionError, match=r"optimizer: LBFGS asks .* optimizer\.step\(closure\)"):
        train.fit(model, nn.MSELoss(), optim.LBFGS(model.parameters()), data, epochs=1)
