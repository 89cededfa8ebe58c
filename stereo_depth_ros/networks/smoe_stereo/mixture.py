"""Mixtures of experts that adapt a frozen transformer, one beside each of two layers of a block.

Which expert serves which token, and whether the mixture takes part at all, depends on the image.
So that the graph does not, all experts are evaluated and all but the chosen one masked: they are
small, and the result is the same.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.conv import MLP
from stereo_depth_ros.networks.layers.dinov2 import Block

RANKS = (4, 8, 16, 32)
KERNELS = (3, 5, 7, 9)
ADAPTER_WIDTH = 32


class MixtureBlock(Block):
    """A transformer block with low-rank experts beside qkv and convolutional ones beside the MLP.

    ``selective``: each mixture has a gate that switches it on or off for each image. Its tokens are
    (B, 1 + h w, C), class token first, and its ``grid`` is (h, w).
    """

    def __init__(self, width: int, heads: int, selective: bool) -> None:
        super().__init__(width, heads)
        self.attn.qkv = LowRankMixture(width, selective)
        self.mlp = AdapterMixture(width, selective)


class Gate(nn.Module):
    """Whether an image needs a mixture, from the class token that enters the layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp_head = nn.Linear(width, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return 1 or 0 for each image of ``tokens`` (B, N, C), (B, 1, 1) in their type.

        In training noise helps to choose, and the gradient is that of a soft choice.
        """
        # The second of the two logits has no say in the published network.
        logit = self.mlp_head(tokens[:, :1])[..., :1]
        if not self.training:
            return (logit > 0).to(tokens.dtype)
        gumbel = -torch.empty_like(logit).exponential_().log()
        soft = torch.sigmoid((logit + gumbel) / 5)
        return (soft > 0.5).to(soft) + soft - soft.detach()


class RoutingNoise(nn.Module):
    """What makes experts take turns in training: noise on the scores that they are chosen by.

    Its size is fixed, where the authors learn one; their files' is not needed to match.
    """

    SIZE = 0.694  # softplus(0) + 0.001, theirs where nothing is learned yet

    def forward(self, scores: Tensor) -> Tensor:
        """Return ``scores`` (B, N, E), with noise in training."""
        return scores + self.SIZE * torch.randn_like(scores) if self.training else scores


class LowRankMixture(nn.Module):
    """qkv plus one of four low-rank updates of it, chosen for each token."""

    def __init__(self, width: int, selective: bool) -> None:
        super().__init__()
        self.base_layer = nn.Linear(width, 3 * width)
        self.lora_w_gate = nn.Parameter(torch.zeros(width, len(RANKS)))
        self.lora_A = nn.ModuleList(nn.Linear(width, rank, bias=False) for rank in RANKS)
        self.lora_B = nn.ModuleList(nn.Linear(rank, 3 * width, bias=False) for rank in RANKS)
        self.lora_layer_select = Gate(width) if selective else None
        self.noise = RoutingNoise()
        owner = torch.tensor([index for index, rank in enumerate(RANKS) for _ in range(rank)])
        self.register_buffer("owner", owner, persistent=False)  # (60,), the expert of each rank

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) to (B, N, 3 C)."""
        update = self.mixture(tokens)
        if self.lora_layer_select is not None:
            update = self.lora_layer_select(tokens) * update
        return self.base_layer(tokens) + update

    def mixture(self, tokens: Tensor) -> Tensor:
        """Return the chosen experts' updates (B, N, 3 C)."""
        chosen = self.route(tokens) == self.owner  # (B, N, 60)
        down = torch.cat(list(self.lora_A.parameters()))  # (60, C)
        up = torch.cat(list(self.lora_B.parameters()), 1)  # (3 C, 60)
        return F.linear(F.linear(tokens, down) * chosen, up)

    def route(self, tokens: Tensor) -> Tensor:
        """Return the expert of each token, (B, N, 1)."""
        return self.noise(tokens @ self.lora_w_gate).argmax(-1, keepdim=True)


class AdapterMixture(nn.Module):
    """The MLP plus one of four convolutional adapters of its input, chosen for each image."""

    def __init__(self, width: int, selective: bool) -> None:
        super().__init__()
        self.base_layer = MLP(width)
        self.lora_w_gate = nn.Parameter(torch.zeros(width, len(KERNELS)))
        self.lora_A = nn.ModuleList(nn.Linear(width, ADAPTER_WIDTH) for _ in KERNELS)
        self.lora_adapter = nn.ModuleList(
            nn.Conv2d(ADAPTER_WIDTH, ADAPTER_WIDTH, kernel, padding=kernel // 2)
            for kernel in KERNELS
        )
        self.lora_B = nn.ModuleList(nn.Linear(ADAPTER_WIDTH, width) for _ in KERNELS)
        self.lora_layer_select = Gate(width) if selective else None
        self.noise = RoutingNoise()

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, 1 + h w, C) to the same, ``grid`` being (h, w)."""
        update = self.mixture(tokens, grid)
        if self.lora_layer_select is not None:
            update = self.lora_layer_select(tokens) * update
        return self.base_layer(tokens) + update

    def mixture(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return the chosen expert's update (B, 1 + h w, C)."""
        chosen = self.route(tokens)
        updates = (
            (chosen == index) * self._expert(index, tokens, grid) for index in range(len(KERNELS))
        )
        return cast(Tensor, sum(updates))

    def route(self, tokens: Tensor) -> Tensor:
        """Return the expert of each image, (B, 1, 1)."""
        scores = tokens.mean(1, keepdim=True) @ self.lora_w_gate
        return self.noise(scores).argmax(-1, keepdim=True)

    def _expert(self, index: int, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        narrow = self.lora_A[index](tokens).transpose(1, 2)  # (B, 32, 1 + h w)
        convolve = self.lora_adapter[index]
        # The class token passes as an image of one pixel, apart from the patches.
        token = convolve(narrow[:, :, :1, None])  # (B, 32, 1, 1)
        patches = convolve(narrow[:, :, 1:].unflatten(2, grid))  # (B, 32, h, w)
        narrow = torch.cat([token.flatten(2), patches.flatten(2)], 2).transpose(1, 2)
        return self.lora_B[index](narrow * torch.sigmoid(1.702 * narrow))
