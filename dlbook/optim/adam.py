"""Adam 与 AdamW。

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


class Adam(Optimizer):
    """Adam：动量 m 与均方 v 都是滑动平均，起初为零，所以要改正偏差。

    m ← β₁m + (1 − β₁)g，v ← β₂v + (1 − β₂)g²，m̂ = m/(1 − β₁ᵗ)，v̂ = v/(1 − β₂ᵗ)，
    p ← p − lr · m̂/(√v̂ + eps)，其中 g 是梯度加上 weight_decay·p。

    decoupled_weight_decay=True 时 g 里不含衰减，改为先缩小 p ← (1 − lr·weight_decay)p，
    这就是 AdamW；amsgrad=True 时分母用 v 的历史最大值。
    超参数为负、β 不在 [0, 1) 里，抛出 ValueError。

    书中：sec-bp-training
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        refuse(foreach=foreach, capturable=capturable, differentiable=differentiable, fused=fused)
        check_range("lr", lr)
        check_range("eps", eps)
        check_range("betas[0]", betas[0], below=1.0)
        check_range("betas[1]", betas[1], below=1.0)
        check_range("weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _update(
        self, group: dict[str, Any], param: np.ndarray, grad: np.ndarray, state: dict[str, Any]
    ) -> None:
        lr, (beta1, beta2) = float(group["lr"]), group["betas"]
        if not state:
            names = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * group["amsgrad"]
            zeros = {name: Tensor(np.zeros_like(param)) for name in names}
            state.update(step=zero_step(), **zeros)
        t = advance(state)
        if group["decoupled_weight_decay"]:
            param *= 1 - lr * group["weight_decay"]
            group = group | {"weight_decay": 0}
        g, m, v = descent(group, param, grad), state["exp_avg"].array, state["exp_avg_sq"].array
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * g * g
        if group["amsgrad"]:
            largest = state["max_exp_avg_sq"].array
            v = np.maximum(largest, v, out=largest)
        # m̂/(√v̂ + eps) 的分子分母同乘 √(1 − β₂ᵗ)：改正偏差只动标量，少过一遍数组。
        root = (1 - beta2**t) ** 0.5
        param -= (lr * root / (1 - beta1**t)) * m / (np.sqrt(v) + group["eps"] * root)


class AdamW(Adam):
    """AdamW：权重衰减与梯度分开的 :class:`Adam`，weight_decay 缺省 0.01。

    书中：sec-bp-training
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
