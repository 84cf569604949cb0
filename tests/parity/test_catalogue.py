"""Whether PyTorch's names are all here: offered and compared somewhere in this folder, or left out for a reason."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import portanet as pn

torch = pytest.importorskip("torch", reason="compares with PyTorch")

IN_PLACE = "Writes into its argument, and arrays here are never changed: x = relu(x)."
RENAMED = "PyTorch itself warns that it is deprecated; the name with an underscore at its end does the same."
MACHINERY = "What PyTorch's functions call to serve its own subclasses and its compiler; no part of a model."
LOW_PRECISION = (
    "Calls GPU kernels for 8-bit and 4-bit numbers with scales, data types that no backend here has."
)
MEMORY_FORMAT = (
    "Rearranges weights in memory for cuDNN; where an array's elements lie is its library's affair."
)

LEFT_OUT: dict[str, dict[str, str]] = {
    "nn": {
        "Container": "An empty class that PyTorch keeps with a warning; nn.Module does the same.",
        "DataParallel": "Copies the model to several GPUs of one process in each call, which PyTorch advises against.",
        "LinearCrossEntropyOptions": "Chooses among PyTorch's ways to compute in pieces; here it is done in one.",
        "NLLLoss2d": "An old name that PyTorch keeps with a warning; nn.NLLLoss takes pictures, too.",
        "SyncBatchNorm": "Averages over the processes of torch.distributed; here each process trains by itself.",
        "UninitializedBuffer": "Lazy layers here make their own; others assign an nn.Buffer once its shape is known.",
    },
    "nn.functional": {
        **dict.fromkeys(
            ("celu_", "elu_", "hardtanh_", "leaky_relu_", "relu_", "rrelu_", "selu_", "threshold_"), IN_PLACE
        ),
        **dict.fromkeys(
            (
                "assert_int_or_pair",
                "boolean_dispatch",
                "handle_torch_function",
                "has_torch_function",
                "has_torch_function_unary",
                "has_torch_function_variadic",
            ),
            MACHINERY,
        ),
        "grouped_mm": "The sizes of its groups are values on the device, and shapes must not hang on values; a batch "
        "of groups of one size is a plain matmul.",
        "scaled_grouped_mm": LOW_PRECISION,
        "scaled_mm": LOW_PRECISION,
    },
    "nn.init": dict.fromkeys(
        (
            "constant",
            "dirac",
            "eye",
            "kaiming_normal",
            "kaiming_uniform",
            "normal",
            "orthogonal",
            "sparse",
            "uniform",
            "xavier_normal",
            "xavier_uniform",
        ),
        RENAMED,
    ),
    "optim": {
        "SparseAdam": "Is for gradients that are sparse arrays, which the standard has not; Adam takes the dense ones.",
    },
    "optim.lr_scheduler": {},
    "nn.utils": {
        "clip_grad_norm": RENAMED,
        "convert_conv2d_weight_memory_format": MEMORY_FORMAT,
        "convert_conv3d_weight_memory_format": MEMORY_FORMAT,
        "skip_init": "Spares the first values of large models on a GPU; here they are drawn on the host, once.",
    },
}
"""Why a name of PyTorch's is not here, by room."""


def is_function(value: Any) -> bool:
    return callable(value) and not inspect.isclass(value)


KINDS: dict[str, Callable[[Any], bool]] = {
    "nn": inspect.isclass,
    "nn.functional": is_function,
    "nn.init": is_function,
    "optim": inspect.isclass,
    "optim.lr_scheduler": inspect.isclass,
    "nn.utils": is_function,
}
"""What is listed of each room."""


def room_in(package: Any, room: str) -> Any:
    for part in room.split("."):
        package = getattr(package, part)
    return package


def names_of_pytorch(room: str) -> set[str]:
    """Its public names there, without what it imported from elsewhere for its own use."""
    found = room_in(torch, room)
    names = set()
    for name in dir(found):
        value = getattr(found, name)
        home = getattr(value, "__module__", None) or "torch"
        if inspect.isclass(value) and not home.startswith(f"torch.{room}"):
            continue
        if not name.startswith("_") and home.split(".")[0] == "torch" and KINDS[room](value):
            names.add(name)
    return names


@pytest.mark.parametrize("room", KINDS)
def test_every_name_is_offered_or_left_out_for_a_reason(room: str) -> None:
    missing = names_of_pytorch(room) - set(room_in(pn, room).__all__) - set(LEFT_OUT[room])
    assert not missing, f"torch.{room} has these, portanet.{room} has not, and LEFT_OUT does not say why"


@pytest.mark.parametrize("room", KINDS)
def test_the_table_is_true(room: str) -> None:
    offered, its = set(room_in(pn, room).__all__), names_of_pytorch(room)
    assert not offered & set(LEFT_OUT[room]), "they are here: delete their lines in LEFT_OUT"
    assert not set(LEFT_OUT[room]) - its, "PyTorch has not these (any more): delete their lines in LEFT_OUT"
    for name, reason in LEFT_OUT[room].items():
        assert reason.endswith("."), f"{name}: the reason is a sentence"


@pytest.mark.parametrize("room", KINDS)
def test_every_name_is_compared_with_pytorch(room: str) -> None:
    """At least named in a file of this folder; what a comparison is worth only its reader can tell."""
    words: set[str] = set()
    for path in Path(__file__).parent.glob("*.py"):
        if path != Path(__file__):
            words |= set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    shared = names_of_pytorch(room) & set(room_in(pn, room).__all__)
    assert shared, f"nothing of torch.{room} was found"
    missing = sorted(shared - words)
    assert not missing, "compare these with PyTorch in a file of tests/parity/"


HOW_UPDATES_RUN = (
    "Chooses among PyTorch's ways to launch an update; here small parameters are always updated together."
)

ARGUMENTS_LEFT_OUT = {
    "_stacklevel": "Counts PyTorch's own frames in a warning.",
    "args": "Stands for arguments that PyTorch's documentation lists.",
    "kwargs": "Stands for arguments that PyTorch's documentation lists.",
    "capturable": HOW_UPDATES_RUN,
    "differentiable": "Records the update itself; portanet.grad of a loss after an update written out does that.",
    "foreach": HOW_UPDATES_RUN,
    "fused": HOW_UPDATES_RUN,
    "max_value": "PyTorch itself warns that it is deprecated, for max_val.",
    "min_value": "PyTorch itself warns that it is deprecated, for min_val.",
    "out": "An array to write into, and arrays here are never changed.",
    "reduce": "PyTorch itself warns that it is deprecated, for reduction.",
    "size_average": "PyTorch itself warns that it is deprecated, for reduction.",
}


def arguments_of(callable_: Any) -> set[str]:
    try:
        return set(inspect.signature(callable_).parameters) - set(ARGUMENTS_LEFT_OUT)
    except ValueError:  # written in C++: its documentation begins with the call
        call = re.match(r"\s*\w+\((.*?)\)", callable_.__doc__ or "", re.DOTALL)
        return set(re.findall(r"(\w+)(?:=[^,]*)?(?:,|$)", call.group(1))) if call else set()


@pytest.mark.parametrize("room", ["nn.functional", "nn", "optim", "optim.lr_scheduler"])
def test_arguments_go_by_the_same_names(room: str) -> None:
    missing = {}
    # An UninitializedParameter is made by lazy layers here, with the shape as far as they know it.
    for name in sorted(names_of_pytorch(room) & set(room_in(pn, room).__all__) - {"UninitializedParameter"}):
        ours, its = getattr(room_in(pn, room), name), getattr(room_in(torch, room), name)
        absent = arguments_of(its) - set(inspect.signature(ours).parameters)
        if absent:
            missing[name] = absent
    assert not missing
