"""Pictures of training: curves, histories, points and regions of the plane, confusion matrices, filters, embeddings.

Needs matplotlib (``pip install 'portanet[plot]'``), which is imported when a picture is drawn and not before. No
screen is needed, and neither matplotlib's settings nor its current figure are touched. A notebook shows what a cell
ends with, :func:`save` writes it to a file, and with ``ax=`` a picture becomes part of a larger one. Colours and
markers are chosen for colour-blind readers too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from portanet.late import late_names

if TYPE_CHECKING:
    from portanet.plot.curves import loss_curve
    from portanet.plot.embeddings import embedding
    from portanet.plot.figure import COLOURS, MARKERS, save
    from portanet.plot.histories import history
    from portanet.plot.layers import magnitudes
    from portanet.plot.matrices import confusion_matrix
    from portanet.plot.pictures import filters, images
    from portanet.plot.plane import points
    from portanet.plot.ranking import roc_curve
    from portanet.plot.regions import decision_regions

__all__ = [
    "COLOURS",
    "MARKERS",
    "confusion_matrix",
    "decision_regions",
    "embedding",
    "filters",
    "history",
    "images",
    "loss_curve",
    "magnitudes",
    "points",
    "roc_curve",
    "save",
]

__getattr__, __dir__ = late_names(
    __name__,
    [
        "figure",
        "curves",
        "plane",
        "regions",
        "histories",
        "matrices",
        "pictures",
        "embeddings",
        "ranking",
        "layers",
    ],
)
