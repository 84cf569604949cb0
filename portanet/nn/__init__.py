"""Neural networks: modules under PyTorch's names, with its weight layouts and state_dict keys."""

from __future__ import annotations

from portanet.nn import functional, init
from portanet.nn.activation import ReLU, Sigmoid, Softmax, Tanh
from portanet.nn.containers import ModuleDict, ModuleList, Sequential
from portanet.nn.linear import Identity, LazyLinear, Linear
from portanet.nn.losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from portanet.nn.module import Module, UnmatchedKeys
from portanet.nn.parameter import Parameter, UninitializedParameter
from portanet.nn.shape import Flatten

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "Flatten",
    "Identity",
    "LazyLinear",
    "Linear",
    "MSELoss",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "UninitializedParameter",
    "UnmatchedKeys",
    "functional",
    "init",
]
