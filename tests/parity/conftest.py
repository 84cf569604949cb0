"""What the comparisons with PyTorch share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def _one_thread_for_pytorch() -> Iterator[None]:
    """On arrays this small, waking threads costs more than the work, and test workers would fight for the cores."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
