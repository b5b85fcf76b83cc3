"""Outputs that would take many nodes, with their small couplings merged into a few points.

Every point is a shift of the bias, so that the outputs are those of other models: without the
couplings that are merged, and with other biases (`merged`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .accuracy import Integers, ModelOutputs, Target, tolerances
from .loss import ContourWork
from .merged import Merged, merge
from .plan import MAX_NODES

__all__ = ["Run", "sum_with_few_nodes"]

MANY_NODES = 2048
"""An output that takes more is worth the attempt."""

Run = Callable[[Integers, Target, int, ModelOutputs], None]
"""Computes outputs to a target as `sum_outputs` does."""


def _merged(i: int, target: Target, model: ModelOutputs, contour: ContourWork) -> Merged:
    """Merge what a third of the tolerances lets."""
    tolerance, gradient_tolerance = tolerances(target, float(model.importance[i]))
    return merge(
        i, model.bias[i], model.gram[i], model.density, tolerance / 3, gradient_tolerance / 3,
        contour.law, contour.gates,
    )  # fmt: skip


def _model_at(point: int, merged: dict[int, Merged], model: ModelOutputs) -> ModelOutputs:
    """Return the model at a point of the merged features of each output."""
    gram, bias = model.gram.copy(), model.bias.copy()
    for i, law in merged.items():
        gram[i, law.is_merged] = 0.0
        bias[i] += law.shift[point]
    return model._replace(
        gram=gram, bias=bias, value=np.zeros_like(bias), slope=np.zeros_like(bias),
        error=np.zeros_like(bias), gradient_error=np.zeros_like(bias),
        dgram=np.zeros_like(gram),
    )  # fmt: skip


def _put_together(i: int, law: Merged, points: list[ModelOutputs], model: ModelOutputs) -> None:
    """Write the output as the weighted sum over the points."""
    value, slope, error, gradient_error = (
        np.array([getattr(at, name)[i] for at in points])
        for name in ("value", "slope", "error", "gradient_error")
    )
    model.value[i], model.slope[i] = law.weight @ value, law.weight @ slope
    model.error[i] = law.loss_error + abs(law.weight) @ error
    weights = np.vstack([law.weight, law.share[law.is_merged]])
    model.gradient_error[i] = law.gradient_error + (abs(weights) @ gradient_error).max()
    model.dgram[i] = law.weight @ np.array([at.dgram[i] for at in points])
    model.dgram[i, law.is_merged] = law.share[law.is_merged] @ slope


def _sum_points(run: Run, merged: dict[int, Merged], target: Target, model: ModelOutputs) -> None:
    """Compute outputs at all points; one that takes many nodes there is left as it is."""
    count = max(len(law.shift) for law in merged.values())
    share = 0.6 / max(abs(law.weight).sum() for law in merged.values())
    target = Target(share * target.loss, share * target.gradient, target.number, target.last)
    points = []
    for k in range(count):
        left = np.array(list(merged))
        at = _model_at(k, merged, model)
        run(left, target, MANY_NODES // 2, at)
        merged = {i: law for i, law in merged.items() if at.error[i] < np.inf}
        points.append(at)
        if not merged:
            return
    for i, law in merged.items():
        _put_together(i, law, points, model)


def sum_with_few_nodes(
    run: Run, outputs: Integers, target: Target, model: ModelOutputs, contour: ContourWork
) -> None:
    """Compute outputs to the target; merge small couplings where that saves nodes."""
    run(outputs, target, MANY_NODES, model)
    many = outputs[np.isinf(model.error[outputs])]
    merged = {int(i): _merged(int(i), target, model, contour) for i in many}
    merged = {i: law for i, law in merged.items() if len(law.shift)}
    if merged:
        _sum_points(run, merged, target, model)
    rest = outputs[np.isinf(model.error[outputs])]
    if len(rest):
        run(rest, target, MAX_NODES + 1, model)
