"""How good a model is: figures that add up over batches, and the plain alternatives they are held against."""

from __future__ import annotations

from studentsuccess.models.metrics_classes import ClassMetrics, majority
from studentsuccess.models.metrics_values import Moments, ValueMetrics, mean_baseline

__all__ = ["ClassMetrics", "Moments", "ValueMetrics", "majority", "mean_baseline"]
