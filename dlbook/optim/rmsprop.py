"""RMSprop：步长除以梯度近来的均方根。

书中：sec-bp-training
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from dlbook._options import refuse
from dlbook.autograd.tensor import Tensor
from dlbook.optim.optimizer import (
    Optimizer,
    advance,
    check_range,
    descent,
    zero_step,
)


class RMSprop(Optimizer):
    """RMSprop：s ← alpha·s + (1 − alpha)·g²，p ← p − lr · g/(√s + eps)。

    centered=True 时另记梯度的滑动平均 ḡ，根号下用 s − ḡ²；momentum 不为零时，
    先把 g/(√s + eps) 累积成动量 v ← momentum·v + g/(√s + eps)，再走 lr·v。
    g 是梯度加上 weight_decay·p。超参数为负抛出 ValueError。

    书中：sec-bp-training
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse(capturable=capturable, foreach=foreach, differentiable=differentiable)
        check_range("lr", lr)
        check_range("alpha", alpha)
        check_range("eps", eps)
        check_range("weight_decay", weight_decay)
        check_range("momentum", momentum)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update(
        self, group: dict[str, Any], param: np.ndarray, grad: np.ndarray, state: dict[str, Any]
    ) -> None:
        lr, alpha, momentum = float(group["lr"]), group["alpha"], group["momentum"]
        if not state:
            names = ["square_avg"]
            names += ["momentum_buffer"] if momentum else []
            names += ["grad_avg"] if group["centered"] else []
            zeros = {name: Tensor(np.zeros_like(param)) for name in names}
            state.update(step=zero_step(), **zeros)
        advance(state)
        g, s = descent(group, param, grad), state["square_avg"].array
        s *= alpha
        s += (1 - alpha) * g * g
        variance = s
        if group["centered"]:
            mean = state["grad_avg"].array
            mean += (1 - alpha) * (g - mean)
            variance = s - mean * mean
        change = g / (np.sqrt(variance) + group["eps"])
        if momentum:
            v = state["momentum_buffer"].array
            v *= momentum
            v += change
            change = v
        param -= lr * change
