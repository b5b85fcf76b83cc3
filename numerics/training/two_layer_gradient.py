"""Loss and gradient of models with any architecture on their batches, written by hand.

With h = ρ(W x), z = V h + b, x̂ = σ(z), the target t(x) and the mean over a batch,

    δ_i = 2 I_i (x̂_i − t_i) σ'(z_i),   dL/dV = mean(δ hᵀ),   dL/db = mean(δ),
    dL/dW = mean((Vᵀδ ∘ ρ'(W x)) xᵀ),

and where V = Wᵀ the transpose of dL/dV is added to dL/dW. Inputs arrive negated, as the sampler
makes them. Like the other evaluations, this one gives the same bits in any pack.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .packed_models import (
    MATRIX_ALIGNMENT,
    PackedModels,
    SampledGradient,
    activate,
    aligned_rows,
    mask_,
    round_up,
)

__all__ = ["TwoLayerGradient"]


class TwoLayerGradient(SampledGradient):
    """Arrays (models, features or hidden dimensions, batch) and batched matrix products.

    The decoder is kept transposed, like the encoder, and both are padded with hidden dimensions
    that are zero, whose gradient is zero: see `MatrixGradient`.
    """

    features_first = False
    multiple = MATRIX_ALIGNMENT

    def __init__(self, models: PackedModels) -> None:
        self._models = models
        n_models, n_hidden, n_features = models.W.shape
        rows = aligned_rows(n_hidden, n_features)
        layers = [models.W] if models.V is None else [models.W, models.V.mT]
        padded = [layer.new_zeros((n_models, rows, n_features)) for layer in layers]
        for target, layer in zip(padded, layers, strict=True):
            target[:, :n_hidden] = layer
        self.parameters = (*padded, models.b.clone())
        self.gradients = tuple(torch.empty_like(parameter) for parameter in self.parameters)
        batch = round_up(models.batch_size, self.multiple)
        self._z = models.W.new_empty((n_models, n_features, batch))
        self._delta = torch.empty_like(self._z)
        self._h = models.W.new_empty((n_models, rows, batch))
        self._dh = torch.empty_like(self._h)
        self._small = torch.empty_like(padded[0])
        self._factor = models.importance * (2 * models.scale / models.batch_size)

    def evaluate(self, negated: torch.Tensor) -> None:
        """Set `gradients` to the gradient at `parameters` on the inputs −`negated`."""
        self._negated = negated
        self._forward()
        self._backward()

    def _forward(self) -> None:
        W, decoder, b = self.parameters[0], self.parameters[-2], self.parameters[-1]
        # −W, because it is smaller than −x; their product is W x to the last bit.
        torch.bmm(torch.neg(W, out=self._small), self._negated, out=self._h)
        if self._models.architecture.hidden == "relu":
            self._h.relu_()
        torch.bmm(decoder.mT, self._h, out=self._z).add_(b[..., None])

    def _backward(self) -> None:
        decoder, dW, db = self.parameters[-2], self.gradients[0], self.gradients[-1]
        delta, h, dh, factor = self._delta, self._h, self._dh, self._factor[:, None]
        self._subtract_target(self._z, out=delta)
        mask_(delta, self._z, self._models.activation)
        delta[..., self._models.batch_size :].zero_()
        torch.sum(delta, dim=-1, out=db).mul_(self._factor)
        # Minus its gradient, because the inputs have the other sign too.
        torch.bmm(torch.mul(decoder, -factor, out=self._small), delta, out=dh)
        mask_(dh, h, self._models.architecture.hidden)
        torch.bmm(dh, self._negated.mT, out=dW)
        if self._models.architecture.tied:
            dW.add_(torch.bmm(h, delta.mT, out=self._small).mul_(factor))
        else:
            torch.bmm(h, delta.mT, out=self.gradients[1]).mul_(factor)

    def _subtract_target(self, outputs: torch.Tensor, *, out: torch.Tensor) -> torch.Tensor:
        if self._models.architecture.target == "identity":
            return torch.add(outputs, self._negated, out=out)
        return torch.sub(outputs, torch.abs(self._negated, out=out), out=out)

    def last_loss(self) -> torch.Tensor:
        """Loss of shape (models,) of the last evaluation: sum over features, mean over examples."""
        outputs = activate(self._z, self._models.activation)
        errors = self._subtract_target(outputs, out=self._delta)
        squares = errors[..., : self._models.batch_size].square()
        loss = (squares.sum(dim=-1) * self._models.importance).sum(dim=-1)
        return loss.div_(self._models.batch_size)

    def flattened(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Tensors like `parameters` as rows: W row by row, V if it is not Wᵀ, b; (models, size)."""
        n_hidden = self._models.W.shape[1]
        W, *decoder, b = tensors
        V = [layer[:, :n_hidden].mT.flatten(1) for layer in decoder]
        return torch.cat([W[:, :n_hidden].flatten(1), *V, b], dim=1)

    def assign(self, tensors: Sequence[torch.Tensor], rows: torch.Tensor) -> None:
        """Overwrite tensors like `parameters` with what `flattened` would return."""
        n_models, n_hidden, n_features = self._models.W.shape
        W, *decoder, b = tensors
        ends = [k * n_hidden * n_features for k in range(1, len(tensors))]
        own_W, *own_V, own_b = rows.tensor_split(ends, dim=1)
        W[:, :n_hidden] = own_W.reshape(n_models, n_hidden, n_features)
        for layer, own in zip(decoder, own_V, strict=True):
            layer[:, :n_hidden] = own.reshape(n_models, n_features, n_hidden).mT
        b.copy_(own_b)
