"""Muon：更新矩阵时，把动量换成离它最近的“正交”矩阵，各个方向走得一样快。

书中：sec-lm-muon
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

# Newton–Schulz 迭代的系数：一步把每个奇异值 s 变成 a·s + b·s³ + c·s⁵。
A, B, C = 3.4445, -4.7750, 2.0315


def orthogonalize(matrices: Tensor, steps: int = 5, dtype: torch.dtype = torch.float32) -> Tensor:
    """matrices (…, m, n) → 同形：奇异向量不变，奇异值都变到 1 附近（约 0.7 到 1.2）。

    不做奇异值分解，只用 steps 次迭代，每次三个矩阵乘法；dtype 是迭代时的精度，
    bfloat16 已经够用。零矩阵仍得零。

    书中：sec-lm-muon
    """
    x = matrices.to(dtype)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)  # 奇异值都不超过 1，迭代才收敛
    for _ in range(steps):
        gram = x @ x.mT
        x = A * x + (B * gram + C * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """动量 M ← βM + (1 − β)G，再取 U = (1 − β)G + βM，W ← (1 − ηλ)W − η·√max(1, m/n)·正交化(U)。

    参数应都是矩阵 (m, n)。m = 3n 的当作 q、k、v 三个矩阵叠在一起，各自正交化。
    形状相同的矩阵一起算；bfloat16=True 时正交化用 bfloat16。参数不是矩阵时抛出 ValueError。

    书中：sec-lm-muon
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.015,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        steps: int = 5,
        bfloat16: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "steps": steps,
            "bfloat16": bfloat16,
        }
        super().__init__(params, defaults)
        for p in (p for group in self.param_groups for p in group["params"]):
            if p.ndim != 2:
                raise ValueError(f"Muon 只更新矩阵，收到形状 {tuple(p.shape)}")

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """更新一次；没有梯度的参数不动。"""
        for group in self.param_groups:
            batches: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
            for p in group["params"]:
                if p.grad is None:
                    continue
                buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                buffer.lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(buffer, group["momentum"])
                rows, columns = p.shape
                size = columns if rows == 3 * columns else rows
                for part, direction in zip(p.split(size), update.split(size), strict=True):
                    batches.setdefault(part.shape, []).append((part, direction))
            dtype = torch.bfloat16 if group["bfloat16"] else torch.float32
            for (rows, columns), items in batches.items():
                directions = torch.stack([direction for _, direction in items])
                directions = orthogonalize(directions, group["steps"], dtype)
                size = group["lr"] * max(1, rows / columns) ** 0.5
                for (part, _), direction in zip(items, directions, strict=True):
                    part.mul_(1 - group["lr"] * group["weight_decay"])
                    part.add_(direction, alpha=-size)
