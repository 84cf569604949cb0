"""Metrics: functions of whole arrays, and classes that stream over batches.

A streaming metric is handed what the model gave, logits for classification, and the true values, batch by batch. It
counts on the device and reads nothing back before :meth:`~portanet.metrics.Metric.compute`:

>>> metric = pn.metrics.Accuracy()
>>> metric.update(pn.asarray([[0.2, 1.5], [2.0, -1.0]]), pn.asarray([1, 1]))
>>> metric.update(pn.asarray([[0.1, 0.3]]), pn.asarray([1]))
>>> metric.compute()
0.6666666666666666
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from portanet.late import late_names

if TYPE_CHECKING:
    from portanet.metrics.classes import accuracy, confusion_matrix, f1, precision, recall
    from portanet.metrics.counting import F1, Accuracy, ConfusionMatrix, Precision, Recall
    from portanet.metrics.metric import Metric
    from portanet.metrics.ranking import ROCAUC, TopKAccuracy, roc_auc, top_k_accuracy
    from portanet.metrics.regression import R2, MeanAbsoluteError, MeanSquaredError

__all__ = [
    "Accuracy",
    "ConfusionMatrix",
    "F1",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "R2",
    "ROCAUC",
    "Recall",
    "TopKAccuracy",
    "accuracy",
    "confusion_matrix",
    "f1",
    "precision",
    "recall",
    "roc_auc",
    "top_k_accuracy",
]

__getattr__, __dir__ = late_names(__name__, ["classes", "counting", "ranking", "regression", "metric"])
