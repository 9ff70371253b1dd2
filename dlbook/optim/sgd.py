"""随机梯度下降，可带动量。

书中：sec-bp-training
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from dlbook._options import refuse
from dlbook.autograd.tensor import Tensor
from dlbook.backprop._blocks import in_blocks
from dlbook.optim.optimizer import Optimizer, check_range, descent


class SGD(Optimizer):
    """随机梯度下降：p ← p − lr·g，其中 g 是梯度加上 weight_decay·p。

    momentum 不为零时沿动量走：v ← momentum·v + (1 − dampening)·g（第一步 v = g），
    p ← p − lr·v；nesterov=True 时走 g + momentum·v，要求有动量而没有阻尼。

    超参数为负、Nesterov 的条件不满足，抛出 ValueError。

    书中：sec-bp-training
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        refuse(foreach=foreach, differentiable=differentiable, fused=fused)
        check_range("lr", lr)
        check_range("momentum", momentum)
        check_range("weight_decay", weight_decay)
        if nesterov and (momentum == 0 or dampening != 0):
            raise ValueError("nesterov=True 要求 momentum > 0 且 dampening = 0")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _update(
        self, group: dict[str, Any], param: np.ndarray, grad: np.ndarray, state: dict[str, Any]
    ) -> None:
        lr, momentum = float(group["lr"]), group["momentum"]
        g = descent(group, param, grad)
        if momentum:
            share = 1.0 - group["dampening"]
            if not state:
                state["momentum_buffer"], share = Tensor(np.zeros_like(param)), 1.0
            v = state["momentum_buffer"].array
            v *= momentum
            v += share * g
            g = g + momentum * v if group["nesterov"] else v
        for p_block, g_block in in_blocks(param, g):
            p_block -= lr * g_block
