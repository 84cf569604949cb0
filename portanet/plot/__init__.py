"""Pictures of training: loss curves, points in the plane, and the regions that a model has learnt.

Needs matplotlib (``pip install 'portanet[plot]'``), which is imported when a picture is drawn and not before. No screen
is needed, and neither matplotlib's settings nor its current figure are touched. In a notebook, end a cell with the
returned Axes' ``figure``, or draw into axes of pyplot with ``ax=``.
"""

from __future__ import annotations

from portanet.plot.curves import loss_curve
from portanet.plot.figure import COLOURS, MARKERS, save
from portanet.plot.plane import decision_regions, points

__all__ = ["COLOURS", "MARKERS", "decision_regions", "loss_curve", "points", "save"]
