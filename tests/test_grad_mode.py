"""What switches recording on and off: in blocks, functions, threads and tasks."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.graph import enable_grad, is_grad_enabled, no_grad


def leaf(rng: Any, *shape: int) -> pn.Tensor:
    return pn.Tensor(rng.normal(size=shape), requires_grad=True)


def equal(found: pn.Tensor | None, expected: Any) -> None:
    assert found is not None
    np.testing.assert_array_equal(found.detach().numpy(), np.asarray(expected))


def test_no_grad_records_nothing(backend: str, rng: Any) -> None:
    x = leaf(rng, 3)
    with no_grad():
        assert not is_grad_enabled()
        y = x * 2.0
        with enable_grad():
            assert is_grad_enabled()
            z = x * 3.0
        assert not is_grad_enabled()
    assert is_grad_enabled()
    assert not y.requires_grad
    assert z.requires_grad
    assert x.requires_grad


def test_no_grad_ends_with_an_exception() -> None:
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert is_grad_enabled()


def test_no_grad_and_enable_grad_decorate(rng: Any) -> None:
    x = leaf(rng)

    @no_grad()
    def without(x: pn.Tensor) -> pn.Tensor:
        """Its docstring."""
        return x * 2.0

    @enable_grad()
    def recorded(x: pn.Tensor) -> pn.Tensor:
        return x * 2.0

    for _ in range(2):
        assert not without(x).requires_grad
        assert recorded(x).requires_grad
        with no_grad():
            assert recorded(x).requires_grad
            assert not without(x).requires_grad
    assert without.__name__ == "without"
    assert without.__doc__ == "Its docstring."
    assert is_grad_enabled()


def test_no_grad_decorates_a_recursive_function(rng: Any) -> None:
    x = leaf(rng)

    @no_grad()
    def countdown(n: int) -> bool:
        return (x * 2.0).requires_grad or (n > 0 and countdown(n - 1)) or is_grad_enabled()

    assert not countdown(5)
    assert is_grad_enabled()


def test_backward_works_inside_no_grad(rng: Any) -> None:
    x = leaf(rng)
    y = x * 2.0
    with no_grad():
        y.backward()
    equal(x.grad, 2.0)


def test_each_thread_has_its_own_mode(rng: Any) -> None:
    x = leaf(rng)
    inside, done = threading.Event(), threading.Event()
    seen: dict[str, bool] = {}

    def hold() -> None:
        with no_grad():
            inside.set()
            done.wait(10)
            seen["holder"] = (x * 2.0).requires_grad

    holder = threading.Thread(target=hold)
    holder.start()
    assert inside.wait(10)
    seen["main"] = (x * 2.0).requires_grad

    def look() -> None:
        seen["other"] = (x * 2.0).requires_grad

    other = threading.Thread(target=look)
    other.start()
    other.join()
    done.set()
    holder.join()
    assert seen == {"holder": False, "main": True, "other": True}


def test_each_task_has_its_own_mode(rng: Any) -> None:
    x = leaf(rng)

    async def without() -> bool:
        with no_grad():
            await asyncio.sleep(0.001)
            return (x * 2.0).requires_grad

    async def recorded() -> bool:
        found = []
        for _ in range(5):
            found.append((x * 2.0).requires_grad)
            await asyncio.sleep(0.0005)
        return all(found)

    async def main() -> list[bool]:
        return list(await asyncio.gather(without(), recorded(), without()))

    assert asyncio.run(main()) == [False, True, False]


def test_threads_may_go_backward_at_once(rng: Any) -> None:
    """Each over its own graph, on shared constants."""
    c = pn.asarray(rng.normal(size=100))
    results: list[Any] = [None] * 8

    def work(i: int) -> None:
        x = pn.Tensor(np.full(100, float(i)), requires_grad=True)
        for _ in range(50):
            x.grad = None
            (x * c * x).sum().backward()
        results[i] = x.grad.numpy()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, found in enumerate(results):
        np.testing.assert_allclose(found, 2 * i * c.numpy())
