"""Schedules: how the learning rate, and with some the momentum, changes from epoch to epoch."""

from __future__ import annotations

from portanet.optim.lr_scheduler.composition import ChainedScheduler, SequentialLR
from portanet.optim.lr_scheduler.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from portanet.optim.lr_scheduler.cycles import CyclicLR, OneCycleLR
from portanet.optim.lr_scheduler.decay import ExponentialLR, MultiStepLR, PolynomialLR, StepLR
from portanet.optim.lr_scheduler.plateau import ReduceLROnPlateau
from portanet.optim.lr_scheduler.scheduler import LRScheduler
from portanet.optim.lr_scheduler.swa import SWALR
from portanet.optim.lr_scheduler.user_functions import LambdaLR, MultiplicativeLR
from portanet.optim.lr_scheduler.warmup import ConstantLR, LinearLR

__all__ = [
    "SWALR",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
