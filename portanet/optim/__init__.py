"""Optimizers and learning-rate schedules, with PyTorch's names and options."""

from __future__ import annotations

from portanet.optim import lr_scheduler
from portanet.optim.adam import Adam, AdamW
from portanet.optim.optimizer import Optimizer
from portanet.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"]
