"""Optimizers and learning-rate schedules, with PyTorch's names and options."""

from __future__ import annotations

from portanet.optim import averaging, lr_scheduler
from portanet.optim.adadelta import Adadelta
from portanet.optim.adafactor import Adafactor
from portanet.optim.adagrad import Adagrad
from portanet.optim.adam import Adam, AdamW
from portanet.optim.adamax import Adamax
from portanet.optim.asgd import ASGD
from portanet.optim.lbfgs import LBFGS
from portanet.optim.lion import Lion
from portanet.optim.muon import Muon
from portanet.optim.nadam import NAdam
from portanet.optim.optimizer import Optimizer
from portanet.optim.radam import RAdam
from portanet.optim.rmsprop import RMSprop
from portanet.optim.rprop import Rprop
from portanet.optim.sgd import SGD

__all__ = [
    "ASGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "LBFGS",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
    "averaging",
    "lr_scheduler",
]
