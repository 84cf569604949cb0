"""Every schedule against PyTorch's over a hundred epochs: rates, momenta, chains, and going on from a state dict."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import portanet as pn
from portanet.errors import OptionError, StateDictError
from portanet.optim import lr_scheduler
from portanet.optim.adagrad import Adagrad
from tests.parity.comparison import assert_near
from tests.training import leaf

torch = pytest.importorskip("torch", reason="compares with PyTorch")


def pair(rng: Any) -> tuple[Any, Any]:
    values = rng.normal(size=4)
    return pn.Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)


def epoch(tensor: Any, optimizer: Any, schedule: Any) -> list[float]:
    optimizer.zero_grad()
    (tensor**2).sum().backward()
    optimizer.step()
    schedule.step()
    return [group["lr"] for group in optimizer.param_groups]


@pytest.mark.parametrize("step_size", [1, 7, 30, 1000])
@pytest.mark.parametrize("gamma", [0.1, 0.9, 1.0, 1.01, 0.0])
def test_a_hundred_epochs(rng: Any, step_size: int, gamma: float) -> None:
    mine, its = pair(rng)
    optimizer, reference = pn.optim.SGD([mine], lr=0.1), torch.optim.SGD([its], lr=0.1)
    schedule = pn.optim.lr_scheduler.StepLR(optimizer, step_size, gamma)
    other = torch.optim.lr_scheduler.StepLR(reference, step_size, gamma)
    for _ in range(100):
        assert epoch(mine, optimizer, schedule) == epoch(its, reference, other)
        assert schedule.get_last_lr() == other.get_last_lr()
        assert schedule.last_epoch == other.last_epoch
    assert_near(mine, its)


def test_groups_and_a_rate_that_is_set_by_hand(rng: Any) -> None:
    mine, its = pair(rng)
    mine_too, its_too = pair(rng)
    optimizer = pn.optim.AdamW([{"params": [mine]}, {"params": [mine_too], "lr": 1.0}], lr=0.1)
    reference = torch.optim.AdamW([{"params": [its]}, {"params": [its_too], "lr": 1.0}], lr=0.1)
    schedule = pn.optim.lr_scheduler.StepLR(optimizer, 3)
    other = torch.optim.lr_scheduler.StepLR(reference, 3)
    for number in range(10):
        if number == 5:
            optimizer.param_groups[1]["lr"] = reference.param_groups[1]["lr"] = 0.7
        assert epoch(mine, optimizer, schedule) == epoch(its, reference, other)


def test_state_dicts_go_both_ways(rng: Any) -> None:
    mine, its = pair(rng)
    optimizer, reference = pn.optim.SGD([mine], lr=0.1), torch.optim.SGD([its], lr=0.1)
    schedule = pn.optim.lr_scheduler.StepLR(optimizer, 4, 0.5)
    other = torch.optim.lr_scheduler.StepLR(reference, 4, 0.5)
    for _ in range(6):
        epoch(mine, optimizer, schedule)
        epoch(its, reference, other)
    resumed = pn.optim.SGD([mine], lr=9.0)
    resumed.load_state_dict(reference.state_dict())
    its_schedule = pn.optim.lr_scheduler.StepLR(resumed, 99)
    its_schedule.load_state_dict(other.state_dict())
    assert resumed.param_groups[0]["initial_lr"] == 0.1
    for _ in range(6):
        assert epoch(mine, resumed, its_schedule) == epoch(its, reference, other)


@pytest.mark.parametrize("last_epoch", [0, 2, 3, 5])
def test_going_on_from_an_epoch(rng: Any, last_epoch: int) -> None:
    mine, its = pair(rng)
    group = {"lr": 0.05, "initial_lr": 0.1}
    optimizer = pn.optim.SGD([{"params": [mine], **group}])
    reference = torch.optim.SGD([{"params": [its], **group}])
    schedule = pn.optim.lr_scheduler.StepLR(optimizer, 4, 0.5, last_epoch=last_epoch)
    other = torch.optim.lr_scheduler.StepLR(reference, 4, 0.5, last_epoch=last_epoch)
    assert schedule.get_last_lr() == other.get_last_lr()
    for _ in range(9):
        assert epoch(mine, optimizer, schedule) == epoch(its, reference, other)


# All of them

EPOCHS = 100
THEIRS = SimpleNamespace(**{**vars(torch.optim.lr_scheduler), "SWALR": torch.optim.swa_utils.SWALR})
MOMENTUM = {"momentum": 0.9}


class Wave:
    """A function of the epoch with a state of its own."""

    def __init__(self, depth: float) -> None:
        self.depth = depth

    def __call__(self, epoch: int) -> float:
        return 1 - self.depth * (epoch % 7) / 7


SCHEDULES: dict[str, Callable[[Any, Any], Any]] = {
    "step": lambda lib, opt: lib.StepLR(opt, 7, 0.7),
    "lambda": lambda lib, opt: lib.LambdaLR(opt, lambda epoch: 0.95**epoch),
    "lambda-each": lambda lib, opt: lib.LambdaLR(opt, [lambda epoch: 1 / (1 + epoch), Wave(0.5)]),
    "lambda-object": lambda lib, opt: lib.LambdaLR(opt, Wave(0.9)),
    "multiplicative": lambda lib, opt: lib.MultiplicativeLR(opt, lambda epoch: 0.9 + 0.2 * (epoch % 2)),
    "multiplicative-each": lambda lib, opt: lib.MultiplicativeLR(opt, [Wave(0.1), lambda epoch: 0.97]),
    "multiplicative-object": lambda lib, opt: lib.MultiplicativeLR(opt, Wave(0.05)),
    "multi-step": lambda lib, opt: lib.MultiStepLR(opt, [30, 80]),
    "multi-step-twice": lambda lib, opt: lib.MultiStepLR(opt, [60, 5, 5, 20], gamma=0.3),
    "multi-step-none": lambda lib, opt: lib.MultiStepLR(opt, []),
    "constant": lambda lib, opt: lib.ConstantLR(opt),
    "constant-long": lambda lib, opt: lib.ConstantLR(opt, 0.7, 40),
    "constant-never": lambda lib, opt: lib.ConstantLR(opt, 0.2, 0),
    "linear": lambda lib, opt: lib.LinearLR(opt),
    "linear-down": lambda lib, opt: lib.LinearLR(opt, 1.0, 0.0, 60),
    "linear-up": lambda lib, opt: lib.LinearLR(opt, 0.01, 0.8, 33),
    "exponential": lambda lib, opt: lib.ExponentialLR(opt, 0.9),
    "exponential-up": lambda lib, opt: lib.ExponentialLR(opt, 1.05),
    "exponential-one": lambda lib, opt: lib.ExponentialLR(opt, 1.0),
    "polynomial": lambda lib, opt: lib.PolynomialLR(opt),
    "polynomial-square": lambda lib, opt: lib.PolynomialLR(opt, 80, 2.0),
    "polynomial-root": lambda lib, opt: lib.PolynomialLR(opt, 100, 0.5),
    "cosine": lambda lib, opt: lib.CosineAnnealingLR(opt, 100),
    "cosine-waves": lambda lib, opt: lib.CosineAnnealingLR(opt, 13, 0.01),
    "cosine-one": lambda lib, opt: lib.CosineAnnealingLR(opt, 1, 0.02),
    "restarts": lambda lib, opt: lib.CosineAnnealingWarmRestarts(opt, 10),
    "restarts-longer": lambda lib, opt: lib.CosineAnnealingWarmRestarts(opt, 7, 2, 0.001),
    "restarts-tripled": lambda lib, opt: lib.CosineAnnealingWarmRestarts(opt, 1, 3),
    "cyclic": lambda lib, opt: lib.CyclicLR(opt, 0.01, 0.1, 8),
    "cyclic-halved": lambda lib, opt: lib.CyclicLR(
        opt, [0.01, 0.02], [0.3, 0.4], 5, 9, "triangular2", base_momentum=0.5, max_momentum=0.7
    ),
    "cyclic-range": lambda lib, opt: lib.CyclicLR(opt, 0.01, 0.1, 10, 3, "exp_range", gamma=0.98),
    "cyclic-still": lambda lib, opt: lib.CyclicLR(opt, 0.01, 0.1, 4, cycle_momentum=False),
    "cyclic-own": lambda lib, opt: lib.CyclicLR(
        opt, 0.01, 0.1, 6, scale_fn=lambda x: 1 / (1 + 0.01 * x), scale_mode="iterations"
    ),
    "cyclic-object": lambda lib, opt: lib.CyclicLR(opt, 0.01, 0.1, 6, scale_fn=Wave(0.3), mode="own"),
    "one-cycle": lambda lib, opt: lib.OneCycleLR(opt, 0.5, 100),
    "one-cycle-linear": lambda lib, opt: lib.OneCycleLR(
        opt, [0.5, 1.0], epochs=25, steps_per_epoch=4, anneal_strategy="linear", pct_start=0.45
    ),
    "one-cycle-three": lambda lib, opt: lib.OneCycleLR(
        opt, 0.5, 120, three_phase=True, div_factor=10.0, final_div_factor=50.0, base_momentum=0.6
    ),
    "one-cycle-still": lambda lib, opt: lib.OneCycleLR(opt, 0.5, 101, cycle_momentum=False, pct_start=0.0),
    "swa": lambda lib, opt: lib.SWALR(opt, 0.05),
    "swa-linear": lambda lib, opt: lib.SWALR(opt, [0.5, 0.001], 60, "linear"),
    "swa-at-once": lambda lib, opt: lib.SWALR(opt, 0.02, 0),
    "sequential": lambda lib, opt: lib.SequentialLR(
        opt, [lib.ConstantLR(opt, 0.1, 20), lib.ExponentialLR(opt, 0.9)], [20]
    ),
    "sequential-three": lambda lib, opt: lib.SequentialLR(
        opt,
        [lib.LinearLR(opt, 0.1, 1.0, 10), lib.CosineAnnealingLR(opt, 40), lib.StepLR(opt, 9)],
        [10, 50],
    ),
    "sequential-all": lambda lib, opt: lib.SequentialLR(
        opt,
        [
            lib.PolynomialLR(opt, 20, 2.0),
            lib.MultiStepLR(opt, [3, 5], 0.5),
            lib.LambdaLR(opt, lambda epoch: 0.9**epoch),
            lib.MultiplicativeLR(opt, lambda epoch: 0.99),
            lib.CosineAnnealingWarmRestarts(opt, 8),
            lib.ConstantLR(opt, 0.3, 4),
            lib.SWALR(opt, 0.03, 5),
        ],
        [10, 22, 35, 50, 70, 85],
    ),
    "sequential-cycle": lambda lib, opt: lib.SequentialLR(
        opt, [lib.LinearLR(opt, 0.5), lib.OneCycleLR(opt, 0.3, 95)], [5]
    ),
    "sequential-nested": lambda lib, opt: lib.SequentialLR(
        opt,
        [
            lib.SequentialLR(opt, [lib.LinearLR(opt), lib.ExponentialLR(opt, 0.95)], [6]),
            lib.CosineAnnealingLR(opt, 30),
        ],
        [40],
    ),
    "chained": lambda lib, opt: lib.ChainedScheduler(
        [lib.ConstantLR(opt, 0.1, 20), lib.ExponentialLR(opt, 0.9)]
    ),
    "chained-four": lambda lib, opt: lib.ChainedScheduler(
        [
            lib.LinearLR(opt, 0.2, 1.0, 9),
            lib.CosineAnnealingLR(opt, 30, 0.0),
            lib.StepLR(opt, 11, 0.8),
            lib.MultiplicativeLR(opt, lambda epoch: 1.01),
        ],
        opt,
    ),
    "chained-sequence": lambda lib, opt: lib.ChainedScheduler(
        [
            lib.SequentialLR(opt, [lib.LinearLR(opt), lib.PolynomialLR(opt, 70)], [8]),
            lib.MultiStepLR(opt, [15, 40]),
        ]
    ),
    "chained-in-sequence": lambda lib, opt: lib.SequentialLR(
        opt,
        [
            lib.ChainedScheduler([lib.StepLR(opt, 4, 0.5), lib.LinearLR(opt)]),
            lib.ExponentialLR(opt, 0.97),
        ],
        [30],
    ),
}


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    """Schedules that are built from others, or that step first, make PyTorch warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def two_optimizers(kind: str = "SGD") -> tuple[Any, Any]:
    """Each with two groups of different rates."""
    options: dict[str, Any] = MOMENTUM if kind == "SGD" else {}
    mine = getattr(pn.optim, kind)(
        [{"params": [leaf(1.0)]}, {"params": [leaf(1.0)], "lr": 0.3}], lr=0.1, **options
    )
    parameters = [torch.tensor([1.0], requires_grad=True) for _ in range(2)]
    its = getattr(torch.optim, kind)(
        [{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.3}], lr=0.1, **options
    )
    return mine, its


def numbers(optimizer: Any) -> list[float]:
    """The rates and momenta that are set."""
    return [
        number
        for group in optimizer.param_groups
        for number in (group["lr"], *group.get("betas", (group.get("momentum", 0.0),)))
    ]


def same(optimizer: Any, reference: Any) -> None:
    assert numbers(optimizer) == pytest.approx(numbers(reference), rel=1e-12, abs=0)


@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_for_a_hundred_epochs(name: str, kind: str) -> None:
    optimizer, reference = two_optimizers(kind)
    schedule, other = SCHEDULES[name](lr_scheduler, optimizer), SCHEDULES[name](THEIRS, reference)
    same(optimizer, reference)
    for _ in range(EPOCHS):
        optimizer.step()
        reference.step()
        schedule.step()
        other.step()
        same(optimizer, reference)
        assert schedule.get_last_lr() == pytest.approx(other.get_last_lr(), rel=1e-12, abs=0)
        assert getattr(schedule, "last_epoch", None) == getattr(other, "last_epoch", None)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_goes_on_from_a_state_dict(name: str) -> None:
    """Ours from ours, ours from PyTorch's, PyTorch's from ours; all together, half way."""
    optimizer, reference = two_optimizers()
    schedule, other = SCHEDULES[name](lr_scheduler, optimizer), SCHEDULES[name](THEIRS, reference)
    for _ in range(37):
        schedule.step()
        other.step()
    saved, its_saved = schedule.state_dict(), other.state_dict()
    missing = its_saved.keys() - saved.keys() - {"_get_lr_called_within_step"}
    assert not missing
    followers = []
    for states in (
        (optimizer.state_dict(), saved, True),
        (reference.state_dict(), its_saved, True),
        (optimizer.state_dict(), saved, False),
    ):
        new, its_new = two_optimizers()
        follower, library = (new, lr_scheduler) if states[2] else (its_new, THEIRS)
        its_schedule = SCHEDULES[name](library, follower)
        follower.load_state_dict(copy.deepcopy(states[0]))
        its_schedule.load_state_dict(copy.deepcopy(states[1]))
        followers.append((follower, its_schedule))
    for _ in range(EPOCHS - 37):
        schedule.step()
        other.step()
        for follower, its_schedule in followers:
            its_schedule.step()
            same(follower, reference)
            assert its_schedule.get_last_lr() == pytest.approx(other.get_last_lr(), rel=1e-12, abs=0)


@pytest.mark.parametrize("last_epoch", [0, 1, 6, 40])
@pytest.mark.parametrize(
    "name", [name for name in SCHEDULES if not name.startswith(("sequential", "chained"))]
)
def test_every_schedule_goes_on_from_an_epoch(name: str, last_epoch: int) -> None:
    optimizer, reference = two_optimizers()
    for one in (optimizer, reference):
        for group in one.param_groups:
            group.update(
                initial_lr=0.2, lr=0.07, max_lr=0.5, min_lr=1e-4, base_momentum=0.7, max_momentum=0.9
            )

    class Late:
        """The library's schedules, made with ``last_epoch``."""

        def __init__(self, library: Any) -> None:
            self.library = library

        def __getattr__(self, kind: str) -> Any:
            return lambda *args, **options: getattr(self.library, kind)(
                *args, last_epoch=last_epoch, **options
            )

    schedule = SCHEDULES[name](Late(lr_scheduler), optimizer)
    other = SCHEDULES[name](Late(THEIRS), reference)
    same(optimizer, reference)
    for _ in range(50):
        schedule.step()
        other.step()
        same(optimizer, reference)


@pytest.mark.parametrize(
    "names",
    [
        ("exponential", "linear"),
        ("cosine-waves", "step", "constant-long"),
        ("cyclic", "exponential"),
        ("swa", "step"),
    ],
    ids="+".join,
)
def test_schedules_of_one_optimizer_stepped_by_hand(names: tuple[str, ...]) -> None:
    optimizer, reference = two_optimizers()
    mine = [SCHEDULES[name](lr_scheduler, optimizer) for name in names]
    its = [SCHEDULES[name](THEIRS, reference) for name in names]
    for epoch in range(EPOCHS):
        for schedule, other in zip(mine, its, strict=True):
            schedule.step()
            other.step()
        if epoch == 50:
            optimizer.param_groups[0]["lr"] = reference.param_groups[0]["lr"] = 0.7
        same(optimizer, reference)


@pytest.mark.parametrize(("first", "mult"), [(10, 1), (4, 2), (3, 3)])
def test_warm_restarts_within_an_epoch(rng: Any, first: int, mult: int) -> None:
    optimizer, reference = two_optimizers()
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, first, mult, 0.01)
    other = THEIRS.CosineAnnealingWarmRestarts(reference, first, mult, 0.01)
    places = [epoch + batch / 4 for epoch in range(25) for batch in range(4)]
    for place in [*places, *rng.uniform(0, 60, 20).tolist()]:
        schedule.step(place)
        other.step(place)
        same(optimizer, reference)
    for _ in range(10):
        schedule.step()
        other.step()
        same(optimizer, reference)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 2, "factor": 0.5, "cooldown": 3},
        {"mode": "max", "patience": 0, "threshold": 0.05, "min_lr": [1e-3, 1e-2]},
        {"mode": "max", "threshold_mode": "abs", "threshold": 0.1, "patience": 3},
        {"threshold_mode": "abs", "threshold": 0.2, "patience": 1, "min_lr": 0.01, "eps": 0.02},
    ],
    ids=lambda options: "-".join(map(str, options)) or "as it is",
)
def test_reduce_on_plateau(rng: Any, options: dict[str, Any]) -> None:
    optimizer, reference = two_optimizers()
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    other = THEIRS.ReduceLROnPlateau(reference, **options)
    better = 1 if options.get("mode") == "max" else -1
    for epoch in range(EPOCHS):
        metric = better * 0.02 * epoch * rng.integers(0, 2) + rng.normal()
        schedule.step(pn.asarray(metric, dtype=pn.float64) if epoch % 2 else metric)
        other.step(metric)
        same(optimizer, reference)
        assert schedule.get_last_lr() == other.get_last_lr()
        assert schedule.state_dict() == other.state_dict()
        if epoch == 40:
            saved = other.state_dict()
            schedule = lr_scheduler.ReduceLROnPlateau(optimizer)
            schedule.load_state_dict(saved)
        if epoch == 60:
            saved = schedule.state_dict()
            other = THEIRS.ReduceLROnPlateau(reference)
            other.load_state_dict(saved)


def test_a_momentum_that_is_cycled_reaches_the_step(rng: Any) -> None:
    """The optimizer takes the new betas up, and gives the same steps as PyTorch's."""
    for kind, options in (("SGD", MOMENTUM), ("Adam", {})):
        mine, its = pair(rng)
        optimizer = getattr(pn.optim, kind)([mine], lr=0.1, **options)
        reference = getattr(torch.optim, kind)([its], lr=0.1, **options)
        schedule = lr_scheduler.OneCycleLR(optimizer, 0.05, 30)
        other = THEIRS.OneCycleLR(reference, 0.05, 30)
        for _ in range(30):
            epoch(mine, optimizer, schedule)
            epoch(its, reference, other)
        assert_near(mine, its, scale=0.1)


def test_the_public_names_are_pytorchs() -> None:
    assert {*THEIRS.__all__, "SWALR"} == set(lr_scheduler.__all__)


def test_schedules_say_what_they_need() -> None:
    optimizer, _ = two_optimizers()
    plain = pn.optim.SGD([leaf(1.0)], lr=0.1)
    adagrad = Adagrad([leaf(1.0)])
    lib = lr_scheduler
    step = lib.StepLR(optimizer, 1)
    cases: list[tuple[Callable[[], Any], str]] = [
        (
            lambda: lib.LambdaLR(optimizer, [Wave(0.1)]),
            "lr_lambda: .*one for each of the optimizer's 2 groups, got 1",
        ),
        (lambda: lib.MultiStepLR(optimizer, [1.5]), "milestones: expected a whole number, got 1.5"),
        (lambda: lib.MultiStepLR(optimizer, 3), "milestones: expected a list of epochs, got 3"),
        (lambda: lib.ConstantLR(optimizer, 0.0), "factor: expected a number above 0 and at most 1, got 0.0"),
        (
            lambda: lib.ConstantLR(optimizer, 1.5),
            "factor: expected a finite number of at least 0 and at most 1",
        ),
        (lambda: lib.LinearLR(optimizer, 0), "start_factor: expected a number above 0"),
        (lambda: lib.LinearLR(optimizer, 0.5, 2.0), "end_factor: "),
        (lambda: lib.ExponentialLR(optimizer, float("nan")), "gamma: "),
        (lambda: lib.PolynomialLR(optimizer, 0), "total_iters: expected a whole number of at least 1"),
        (lambda: lib.CosineAnnealingLR(optimizer, 0), "T_max: "),
        (lambda: lib.CosineAnnealingWarmRestarts(optimizer, 5, 0), "T_mult: "),
        (
            lambda: lib.CosineAnnealingWarmRestarts(optimizer, 5).step(-1),
            "epoch: expected a finite number of at least 0",
        ),
        (
            lambda: lib.CyclicLR(optimizer, 0.1, [1.0]),
            "max_lr: expected one number, or one for each .* 2 groups, got 1",
        ),
        (lambda: lib.CyclicLR(optimizer, 0.1, 1.0, mode="round"), "mode: expected 'triangular'.*got 'round'"),
        (lambda: lib.CyclicLR(adagrad, 0.1, 1.0), "cycle_momentum: Adagrad has neither momentum nor betas"),
        (lambda: lib.CyclicLR(optimizer, 0.1, 1.0, scale_mode="epoch"), "scale_mode: expected 'cycle'"),
        (
            lambda: lib.OneCycleLR(optimizer, 0.1),
            "total_steps: pass it, or else both epochs and steps_per_epoch",
        ),
        (lambda: lib.OneCycleLR(optimizer, 0.1, 10, pct_start=1.1), "pct_start: "),
        (
            lambda: lib.OneCycleLR(optimizer, 0.1, 10, anneal_strategy="up"),
            "anneal_strategy: expected 'cos' or 'linear'",
        ),
        (
            lambda: lib.OneCycleLR(optimizer, 0.1, 10, div_factor=0),
            "div_factor: expected a number above 0, got 0",
        ),
        (lambda: lib.ReduceLROnPlateau(optimizer, "low"), "mode: expected 'min' or 'max', got 'low'"),
        (lambda: lib.ReduceLROnPlateau(optimizer, factor=1.0), "factor: .*below 1, got 1.0"),
        (
            lambda: lib.ReduceLROnPlateau(optimizer, threshold_mode="no"),
            "threshold_mode: expected 'rel' or 'abs'",
        ),
        (lambda: lib.ReduceLROnPlateau(optimizer, min_lr=[0.1]), "min_lr: "),
        (lambda: lib.SWALR(optimizer, 0.1, anneal_strategy="exp"), "anneal_strategy: "),
        (lambda: lib.SWALR(optimizer, "slow"), "swa_lr: "),
        (
            lambda: lib.SequentialLR(optimizer, [], []),
            "milestones: expected one fewer than schedulers, .* 0, got 0",
        ),
        (lambda: lib.SequentialLR(optimizer, [step], [3]), "milestones: .* 1, got 1"),
        (
            lambda: lib.SequentialLR(plain, [step], []),
            "schedulers: the one at 0 belongs to another optimizer",
        ),
        (
            lambda: lib.SequentialLR(optimizer, [step, lib.ChainedScheduler([step])], [3]),
            "schedulers: a ChainedScheduler can only be the first",
        ),
        (lambda: lib.ChainedScheduler([]), "schedulers: expected at least one"),
        (
            lambda: lib.ChainedScheduler([step, lib.ReduceLROnPlateau(optimizer)]),
            "ReduceLROnPlateau, at 1, wants a metric",
        ),
    ]
    for make, message in cases:
        with pytest.raises(OptionError, match=message):
            make()
    with pytest.raises(TypeError, match="optimizer: expected an Optimizer, got float"):
        lib.CyclicLR(0.1, 0.1, 1.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="lr_lambda: expected a function of the epoch, got float"):
        lib.LambdaLR(optimizer, 0.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="schedulers: expected schedules, got float at 1"):
        lib.ChainedScheduler([step, 0.5])  # type: ignore[list-item]
    short = lib.OneCycleLR(optimizer, 0.1, 3)
    for _ in range(3):
        short.step()
    with pytest.raises(OptionError, match="the cycle ends after 3 steps, this is step 4"):
        short.step()


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_state_of_another_schedule_is_refused(name: str) -> None:
    optimizer, _ = two_optimizers()
    schedule = SCHEDULES[name](lr_scheduler, optimizer)
    before = copy.deepcopy(schedule.state_dict())
    with pytest.raises(StateDictError, match="state_dict: "):
        schedule.load_state_dict({"last_epoch": 3, "base_lrs": [0.1, 0.1]})
    if "_schedulers" in before:
        with pytest.raises(StateDictError, match="state_dict: "):
            schedule.load_state_dict({**before, "_schedulers": before["_schedulers"][:-1]})
    assert schedule.state_dict() == before
