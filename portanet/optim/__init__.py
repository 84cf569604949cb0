"""Optimizers and learning-rate schedules, with PyTorch's names and options.

The less common ones are loaded when they are first asked for, which keeps ``import portanet`` short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from portanet.late import late_names
from portanet.optim.adam import Adam, AdamW
from portanet.optim.optimizer import Optimizer
from portanet.optim.sgd import SGD

if TYPE_CHECKING:
    from portanet.optim import averaging, lr_scheduler
    from portanet.optim.adadelta import Adadelta
    from portanet.optim.adafactor import Adafactor
    from portanet.optim.adagrad import Adagrad
    from portanet.optim.adamax import Adamax
    from portanet.optim.asgd import ASGD
    from portanet.optim.lbfgs import LBFGS
    from portanet.optim.lion import Lion
    from portanet.optim.muon import Muon
    from portanet.optim.nadam import NAdam
    from portanet.optim.radam import RAdam
    from portanet.optim.rmsprop import RMSprop
    from portanet.optim.rprop import Rprop

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "averaging",
    "lr_scheduler",
]


__getattr__, __dir__ = late_names(
    __name__,
    [
        *("lr_scheduler", "rmsprop", "averaging", "adagrad", "nadam", "radam", "lion", "muon", "lbfgs"),
        *("adafactor", "adadelta", "adamax", "asgd", "rprop"),
    ],
)
