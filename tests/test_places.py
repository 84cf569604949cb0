"""Libraries and devices: what is refused when they meet, and how to get from one to another."""

from __future__ import annotations

from typing import Any

import pytest

import portanet as pn
from portanet import nn
from portanet.backend import backend_named
from portanet.errors import DeviceError, MixedBackendError
from portanet.tensor import Tensor


def other_backend(backend: str) -> str:
    if backend != "numpy":
        return "numpy"
    names = [report.name for report in pn.available_backends() if report.available and report.name != backend]
    return next(name for name in names if name != "cupy")


def test_two_libraries_are_never_mixed(backend: str, rng: Any) -> None:
    other = other_backend(backend)
    x, y = pn.ones((3,)), pn.ones((3,), device=backend_named(other).devices()[0])
    raw = y.data
    tracked = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    index = pn.asarray([0, 1], device=backend_named(other).devices()[0])
    for operate in (
        lambda: x + y,
        lambda: y * x,
        lambda: x @ y,
        lambda: x + raw,
        lambda: tracked * raw,
        lambda: raw * tracked if other == "numpy" else tracked - raw,
        lambda: pn.where(x > 0, x, y),
        lambda: pn.concat([x, y]),
        lambda: pn.stack([x, raw]),
        lambda: x == y,
        lambda: pn.add(x.data, raw),
        lambda: x[index],
        lambda: x[index.data],
        lambda: pn.take(x, index, axis=0),
        lambda: x.__setitem__(0, y[0]),
        lambda: x.__iadd__(y),
    ):
        with pytest.raises(MixedBackendError) as failure:
            operate()
        message = str(failure.value)
        assert backend in message
        assert other in message
        assert ".to(" in message
    assert x.tolist() == [1.0] * 3


def test_two_devices_are_never_mixed() -> None:
    pytest.importorskip("array_api_strict", reason="it has several devices, make-believe ones")
    with pn.use_backend("array-api-strict", strict=True) as strict:
        first, second = strict.devices()[:2]
        x, y = pn.ones((3,)), pn.ones((3,), device=second)
        index = pn.asarray([0, 1], device=second)
        for operate in (
            lambda: x + y,
            lambda: pn.where(x > 0, x, y),
            lambda: pn.concat([x, y]),
            lambda: x[index],
            lambda: x.__setitem__(slice(0, 1), y[:1]),
            lambda: nn.functional.linear(x, pn.ones((2, 3)), pn.ones((2,), device=second)),
        ):
            with pytest.raises(DeviceError) as failure:
                operate()
            for place in (str(first), str(second)):
                assert place in str(failure.value)
        assert (y + 1.0).device == second
        assert pn.where(y > 0, y, 0.0).device == second
        assert pn.zeros_like(y).device == second
        assert (y * y).sum().device == second


def test_to_takes_names_places_and_types(backend: str) -> None:
    x = pn.ones((2,))
    other = other_backend(backend)
    place = backend_named(other).devices()[0]
    for there in (x.to(other), x.to(str(place)), x.to(place), x.to_device(place), x.to(device=place)):
        assert there.device == place
        assert there.tolist() == [1.0, 1.0]
    assert x.to(place, dtype=pn.float64).dtype == pn.float64
    assert x.to(pn.int64).dtype == pn.int64
    assert x.to(dtype=pn.float64).dtype == pn.float64
    assert x.float() is x
    assert x.to(pn.float64).float().dtype == pn.float32
    with pytest.raises((DeviceError, TypeError, ValueError), match="no-such-place"):
        x.to("no-such-place")
    with pytest.raises(TypeError, match="device"):
        x.to(3)


def test_a_device_without_a_library_is_one_of_the_own_library(backend: str) -> None:
    """Whatever backend is in use; moving to the processor must not turn a tensor into a NumPy array."""
    x = pn.ones((2,))
    home = backend_named(backend).devices()[-1 if backend == "torch" else 0]
    with pn.use_backend(other_backend(backend)):
        assert x.to(home.name).device == home
        assert x.to_device(home.name).device == home


def test_cpu(backend: str) -> None:
    home = pn.ones((2,)).cpu()
    assert not home.device.is_accelerator
