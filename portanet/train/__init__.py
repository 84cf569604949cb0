"""Training: ``fit``, the loop that nobody has to write again, what it tells callbacks, and its parts by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portanet.late import late_names

if TYPE_CHECKING:
    from portanet.train.callbacks import Callback, EarlyStopping, ProgressBar, SchedulerEachUpdate
    from portanet.train.checkpoints import Checkpoints
    from portanet.train.evaluation import evaluate, predict
    from portanet.train.history import History
    from portanet.train.logs import CSVLog, LossPlot, TensorBoard
    from portanet.train.loop import fit
    from portanet.train.run import Run

__all__ = [
    "CSVLog",
    "Callback",
    "Checkpoints",
    "EarlyStopping",
    "History",
    "LossPlot",
    "ProgressBar",
    "Run",
    "SchedulerEachUpdate",
    "TensorBoard",
    "evaluate",
    "fit",
    "predict",
]

__getattr__, __dir__ = late_names(
    __name__, ["loop", "evaluation", "callbacks", "checkpoints", "logs", "history", "run"]
)
