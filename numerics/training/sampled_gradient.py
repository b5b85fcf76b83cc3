"""Loss and gradient of many models on their batches, written by hand and evaluated in place.

With z = WᵀW x + b, x̂ = σ(z) and the mean over a batch,

    δ_i = I_i (x̂_i − x_i) σ'(z_i),   C_ij = 2 mean(δ_i x_j),   dL/dW = W (C + Cᵀ),
    dL/db_i = 2 mean(δ_i),           dP/dW = 4 λ W (G − diag G),   G = WᵀW,

where P is the interference penalty. Inputs arrive negated, as the sampler makes them.

The gradient of a model must not depend, to the last bit, on the models beside it. Reductions and
fused operations are therefore used only along the batch, whose length is the same in any pack;
everything between models is one rounded operation at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...architecture import Architecture
from .packed_models import (
    MATRIX_ALIGNMENT,
    MATRIX_MODELS,
    PackedModels,
    SampledGradient,
    activate,
    aligned_rows,
    mask_,
    round_up,
)
from .two_layer_gradient import TwoLayerGradient

__all__ = ["PackedModels", "SampledGradient", "make_gradient", "smallest_pack"]

# Up to this many features, n² products of whole planes are faster than matrix products of tiny
# matrices (measured: 2-fold at n = 5, 0.8-fold at n = 8).
ELEMENTWISE_FEATURES = 6


def make_gradient(models: PackedModels) -> SampledGradient:
    """Return the evaluation for this architecture that is fastest for this number of features."""
    if not models.architecture.is_standard:
        return TwoLayerGradient(models)
    if models.W.shape[-1] <= ELEMENTWISE_FEATURES:
        return ElementwiseGradient(models)
    return MatrixGradient(models)


def smallest_pack(n_features: int, architecture: Architecture) -> int:
    """Return how many models have to be evaluated together at least, for the sake of the bits."""
    elementwise = architecture.is_standard and n_features <= ELEMENTWISE_FEATURES
    return 1 if elementwise else MATRIX_MODELS


class ElementwiseGradient(SampledGradient):
    """Few features: arrays (features, models, batch), one product of planes for each G_ij."""

    features_first = True
    multiple = 2

    def __init__(self, models: PackedModels) -> None:
        n_models, n_hidden, n_features = models.W.shape
        self._models = models
        # One flat parameter, so that an optimizer's update is one call per operation.
        flat = torch.cat([models.W.flatten(1), models.b], dim=1).T.contiguous()
        gradient = torch.empty_like(flat)
        self.parameters, self.gradients = (flat,), (gradient,)
        split, shape = n_hidden * n_features, (n_hidden, n_features, n_models)
        self._W, self._b = flat[:split].view(shape), flat[split:]
        self._dW, self._db = gradient[:split].view(shape), gradient[split:]
        importance = models.importance.T.contiguous()
        self._importance = importance
        self._db_factor = importance * (2 * models.scale / models.batch_size)
        self._penalty_factor = None if models.penalty is None else models.penalty * models.scale * 4
        batch = (n_features, n_models, models.batch_size)
        self._z, self._delta, self._product = (flat.new_empty(batch) for _ in range(3))
        self._negated_G = flat.new_empty((n_features, n_features, n_models))
        self._C = torch.empty_like(self._negated_G)
        self._scratch = torch.empty_like(self._negated_G)

    def evaluate(self, negated: torch.Tensor) -> None:
        """Set `gradients` to the gradient at `parameters` on the inputs −`negated`."""
        self._negated = negated[..., : self._models.batch_size]
        self._forward()
        self._backward()

    def _forward(self) -> None:
        G, scratch = self._negated_G, self._scratch
        torch.mul(self._W[0][:, None], self._W[0][None], out=G)
        for row in self._W[1:]:
            G.add_(torch.mul(row[:, None], row[None], out=scratch))
        G.neg_()
        z = torch.mul(G[:, 0, :, None], self._negated[0], out=self._z)
        for j in range(1, len(self._b)):
            # A fused operation, but along the batch: its rounding is the same in any pack.
            z.addcmul_(G[:, j, :, None], self._negated[j])
        z.add_(self._b[:, :, None])

    def _backward(self) -> None:
        delta, C = self._delta, self._C
        torch.add(self._z, self._negated, out=delta)
        mask_(delta, self._z, self._models.activation)
        for j, negated in enumerate(self._negated):
            torch.sum(torch.mul(delta, negated, out=self._product), dim=-1, out=C[j])
        C.mul_(self._db_factor).neg_()
        torch.sum(delta, dim=-1, out=self._db).mul_(self._db_factor)
        S = torch.add(C, C.transpose(0, 1), out=self._scratch)
        if self._penalty_factor is not None:
            off_diagonal = self._negated_G * self._penalty_factor
            off_diagonal.diagonal().zero_()
            S.sub_(off_diagonal)
        # dW_aj = Σ_i W_ai S_ij, one rounded operation at a time.
        dW, W = self._dW, self._W
        torch.mul(W[:, 0, None], S[0], out=dW)
        for i in range(1, len(S)):
            dW.add_(W[:, i, None] * S[i])

    def last_loss(self) -> torch.Tensor:
        """Loss of shape (models,) of the last evaluation: sum over features, mean over examples."""
        errors = activate(self._z, self._models.activation) + self._negated
        per_feature = errors.square_().sum(dim=-1).mul_(self._importance)
        loss = per_feature[0].clone()
        for term in per_feature[1:]:
            loss.add_(term)
        loss.div_(self._models.batch_size)
        if self._models.penalty is not None:
            n_features = len(per_feature)
            for i in range(n_features):
                for j in range(n_features):
                    if i != j:
                        loss.add_(self._negated_G[i, j].square() * self._models.penalty)
        return loss

    def flattened(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Tensors like `parameters` as rows, W row by row, then b: shape (models, size)."""
        return tensors[0].T

    def assign(self, tensors: Sequence[torch.Tensor], rows: torch.Tensor) -> None:
        """Overwrite tensors like `parameters` with what `flattened` would return."""
        tensors[0].copy_(rows.T)


class MatrixGradient(SampledGradient):
    """Many features: arrays (models, features, batch) and batched matrix products.

    Batches are padded with examples that are masked, and W with hidden dimensions that are zero,
    such that every matrix fills whole cache lines. Zero rows of W have zero gradient, so they stay.
    """

    features_first = False
    multiple = MATRIX_ALIGNMENT

    def __init__(self, models: PackedModels) -> None:
        self._models = models
        n_models, n_hidden, n_features = models.W.shape
        rows = aligned_rows(n_hidden, n_features)
        W = models.W.new_zeros((n_models, rows, n_features))
        W[:, :n_hidden] = models.W
        self.parameters = (W, models.b.clone())
        self.gradients = (torch.empty_like(W), torch.empty_like(models.b))
        padded = round_up(models.batch_size, self.multiple)
        self._z = models.W.new_empty((n_models, n_features, padded))
        self._delta = torch.empty_like(self._z)
        self._h = models.W.new_empty((n_models, rows, padded))
        self._dh = torch.empty_like(self._h)
        self._db_factor = models.importance * (2 * models.scale / models.batch_size)

    def evaluate(self, negated: torch.Tensor) -> None:
        """Set `gradients` to the gradient at `parameters` on the inputs −`negated`."""
        (W, b), (dW, db) = self.parameters, self.gradients
        z, delta, h, dh = self._z, self._delta, self._h, self._dh
        self._negated = negated
        torch.bmm(W, negated, out=h)
        torch.sub(b[..., None], torch.bmm(W.mT, h, out=z), out=z)
        torch.add(z, negated, out=delta)
        mask_(delta, z, self._models.activation)
        delta[..., self._models.batch_size :].zero_()
        torch.sum(delta, dim=-1, out=db).mul_(self._db_factor)
        # dW = Σ (dh xᵀ + h δᵀ) over the batch, both with the sign of −x.
        negated_factor = -self._db_factor[:, None]
        torch.bmm(W * negated_factor, delta, out=dh)
        torch.bmm(dh, negated.mT, out=dW)
        dW.add_(torch.bmm(h, delta.mT).mul_(negated_factor))
        if self._models.penalty is not None:
            # W (G − diag G) = (W Wᵀ) W − W diag G, without the n × n matrix.
            K, squared_norms = self._overlaps()
            factor = (self._models.penalty * self._models.scale * 4)[:, None, None]
            dW.add_(torch.bmm(K, W).sub_(W * squared_norms[:, None]).mul_(factor))

    def _overlaps(self) -> tuple[torch.Tensor, torch.Tensor]:
        """W Wᵀ of shape (models, rows, rows) and the ‖W_i‖² of shape (models, n_features)."""
        W = self.parameters[0]
        return torch.bmm(W, W.mT), W.square().sum(dim=1)

    def last_loss(self) -> torch.Tensor:
        """Loss of shape (models,) of the last evaluation: sum over features, mean over examples."""
        errors = activate(self._z, self._models.activation) + self._negated
        errors = errors[..., : self._models.batch_size].square()
        loss = (errors.sum(dim=-1) * self._models.importance).sum(dim=-1)
        loss.div_(self._models.batch_size)
        if self._models.penalty is not None:
            # ‖WᵀW‖² = ‖WWᵀ‖² in the Frobenius norm.
            K, squared_norms = self._overlaps()
            interference = K.square().flatten(1).sum(dim=1) - squared_norms.square().sum(dim=1)
            loss.add_(interference * self._models.penalty)
        return loss

    def flattened(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Tensors like `parameters` as rows, W row by row, then b: shape (models, size)."""
        W, b = tensors
        return torch.cat([W[:, : self._models.W.shape[1]].flatten(1), b], dim=1)

    def assign(self, tensors: Sequence[torch.Tensor], rows: torch.Tensor) -> None:
        """Overwrite tensors like `parameters` with what `flattened` would return."""
        W, b = tensors
        own_W, own_b = rows.tensor_split([-b.shape[1]], dim=1)
        W[:, : self._models.W.shape[1]] = own_W.reshape(len(b), -1, b.shape[1])
        b.copy_(own_b)
