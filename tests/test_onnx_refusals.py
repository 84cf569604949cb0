"""What is not exported to ONNX, what the errors say, and what a failure leaves behind."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn
from portanet.errors import ExportError, OptionError, PortanetError
from tests.onnx_runs import Forward, exported

pytest.importorskip("onnx", reason="writes files of that format")
pytest.importorskip("onnxruntime", reason="runs what was exported")

functional = nn.functional
X = pn.asarray([[1.0, 2.0], [3.0, 5.0]])


def refusal(tmp_path: Path, forward: Any, *example: Any, **options: Any) -> str:
    class Outer(nn.Module):
        def __init__(self) -> None:
            self.inner = Forward(forward)

        def forward(self, *inputs: Any) -> Any:
            return self.inner(*inputs)

    with pytest.raises(ExportError) as caught:
        pn.io.onnx.export(Outer(), example, tmp_path / "model.onnx", **options)
    assert isinstance(caught.value, PortanetError)
    assert isinstance(caught.value, NotImplementedError)
    assert not list(tmp_path.iterdir())
    return str(caught.value)


def test_what_has_no_form_in_onnx_is_named_with_its_place(tmp_path: Path) -> None:
    found = refusal(tmp_path, lambda x: pn.linalg.inv(x), X, batch_axis=None)
    assert "the function inv() in 'inner' of the model cannot be exported" in found
    assert "portanet.where" in refusal(tmp_path, lambda x: x[x > 2], X)
    assert "complex64" in refusal(tmp_path, lambda x: pn.real(pn.astype(x, pn.complex64)), X)
    assert "drawn at random" in refusal(
        tmp_path, lambda x: x + pn.random.uniform(x.shape), X, batch_axis=None
    )


def test_what_depends_on_values_or_on_the_batch_is_refused(tmp_path: Path) -> None:
    assert "multiply() in 'inner'" in refusal(tmp_path, lambda x: x * float(x.sum()), X)
    assert "for one batch and" in refusal(tmp_path, lambda x: x / x.shape[0], X)
    seen = refusal(tmp_path, lambda x: x + pn.asarray(np.asarray(pn.to_host(x)) * 2), X)
    assert "does not simply repeat" in seen
    seen = refusal(tmp_path, lambda x: x + pn.asarray(np.asarray(pn.to_host(x)) * 2), X, batch_axis=None)
    assert "made of the inputs' values" in seen
    assert "different things" in refusal(tmp_path, lambda x: pn.stack([row.exp() for row in x]), X)
    assert "different things" in refusal(
        tmp_path, lambda x: x.exp() if float(x[0, 0]) == 1 else x.sin().cos(), X
    )
    for axis in (0, None):
        seen = refusal(
            tmp_path, lambda i: functional.one_hot(i, 5) + i[:, None], pn.asarray([1, 2]), batch_axis=axis
        )
        assert "add() in 'inner'" in seen
    assert "'output' does not depend" in refusal(tmp_path, lambda x: pn.ones((2, 2)), X)
    assert "the model returns no array" in refusal(tmp_path, lambda x: float(x.sum()), X)


def test_a_share_of_the_batch_is_refused(tmp_path: Path) -> None:
    """Half of two examples is one, and half of three, rounded down, is one, too."""
    assert "getitem() in 'inner'" in refusal(tmp_path, lambda x: x[: x.shape[0] // 2] * 2, X)
    assert "'output'" in refusal(tmp_path, lambda x: x[::2], X)
    assert "in 'inner'" in refusal(tmp_path, lambda x: pn.zeros((x.shape[0] % 2 + 1, 2)) + x[0], X)


def test_what_onnx_has_not_in_this_type_is_refused_with_the_place(tmp_path: Path) -> None:
    found = refusal(tmp_path, lambda x: pn.astype(x, pn.int8) @ pn.astype(x, pn.int8).mT, X)
    assert "ONNX has no such graph" in found
    assert "inner.MatMul" in found


def test_a_model_that_raises_by_itself_is_told_what_it_was_called_with(tmp_path: Path) -> None:
    model = Forward(lambda x: x + pn.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    with pytest.raises(ValueError, match="add") as caught:
        pn.io.onnx.export(model, pn.zeros((3, 2)), tmp_path / "model.onnx")
    assert "with batches of 2 and 5 examples" in caught.value.__notes__[-1]
    exported(model, pn.zeros((3, 2)), tmp_path, batch_axis=None)


def test_a_model_too_large_for_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portanet.io.onnx.assembling.LARGEST", 100)
    with pytest.raises(ExportError, match="take 160 bytes, and an ONNX file holds 100 at most"):
        pn.io.onnx.export(nn.Linear(4, 8), pn.zeros((2, 4)), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_wrong_arguments(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(TypeError, match="model: expected a Module"):
        pn.io.onnx.export(pn.tanh, X, path)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="example: expected an array"):
        pn.io.onnx.export(nn.ReLU(), None, path)
    with pytest.raises(OptionError, match="batch_axis: axis 2"):
        pn.io.onnx.export(nn.ReLU(), X, path, batch_axis=2)
    for wrong in (True, "0", 0.5):
        with pytest.raises(OptionError, match="batch_axis: expected a whole number"):
            pn.io.onnx.export(nn.ReLU(), X, path, batch_axis=wrong)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="one for each of 1 arrays"):
        pn.io.onnx.export(nn.ReLU(), X, path, batch_axis=[0, 1])
    with pytest.raises(OptionError, match=r"have the lengths \[2, 3\]"):
        pn.io.onnx.export(nn.Bilinear(2, 2, 1), (X, pn.zeros((3, 2))), path)
    with pytest.raises(OptionError, match="at least one example"):
        pn.io.onnx.export(nn.ReLU(), pn.zeros((0, 2)), path)
    with pytest.raises(FileNotFoundError, match="nowhere/model.onnx"):
        pn.io.onnx.export(nn.ReLU(), X, tmp_path / "nowhere" / "model.onnx")
    with pytest.raises(IsADirectoryError, match="nothing was written"):
        pn.io.onnx.export(nn.ReLU(), X, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device.*model.onnx"):
        pn.io.onnx.export(nn.ReLU(), X, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_the_model(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), Forward(lambda x: pn.linalg.inv(x)))
    model[1].eval()
    before = {name: np.array(pn.to_host(value)) for name, value in model.state_dict().items()}
    with pytest.raises(ExportError):
        pn.io.onnx.export(model, X, path, batch_axis=None)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert all("forward" not in vars(module) for module in model.modules())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(pn.to_host(value), before[name])
    pn.io.onnx.export(model[0], X, path)
    assert path.read_bytes() != b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_without_the_package_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install portanet\[onnx\]"):
        pn.io.onnx.export(nn.ReLU(), X, tmp_path / "model.onnx")
