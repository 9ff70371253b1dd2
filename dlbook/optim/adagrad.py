"""AdaGrad：每个参数用自己历来梯度的大小调节步长。

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


class Adagrad(Optimizer):
    """AdaGrad：s ← s + g²，p ← p − lr/(1 + (t−1)·lr_decay) · g/(√s + eps)，t 从 1 起。

    s 起初为 initial_accumulator_value；g 是梯度加上 weight_decay·p。
    超参数为负抛出 ValueError。

    书中：sec-bp-training
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        refuse(foreach=foreach, differentiable=differentiable, fused=fused)
        check_range("lr", lr)
        check_range("lr_decay", lr_decay)
        check_range("weight_decay", weight_decay)
        check_range("initial_accumulator_value", initial_accumulator_value)
        check_range("eps", eps)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for p in group["params"]:  # 与 torch 相同：一建立就有状态
            start = np.full_like(p.array, group["initial_accumulator_value"])
            self.state[p] = {"step": zero_step(), "sum": Tensor(start)}

    def _update(
        self, group: dict[str, Any], param: np.ndarray, grad: np.ndarray, state: dict[str, Any]
    ) -> None:
        t = advance(state)
        lr = float(group["lr"]) / (1 + (t - 1) * group["lr_decay"])
        g, s = descent(group, param, grad), state["sum"].array
        s += g * g
        param -= lr * g / (np.sqrt(s) + group["eps"])
