"""优化器的公共部分：参数组、状态、存取。每种优化器只写一个参数怎样走一步。

书中：sec-bp-training
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from dlbook.autograd.tensor import Tensor, enable_grad, no_grad


class Optimizer:
    """优化器的基类：params 是参数，或参数组 ``{"params": […], "lr": …}`` 的列表。

    参数组里没有写的超参数取 defaults 的值。state[p] 是参数 p 的状态（动量等），与 p 同形。
    没有参数、参数不是叶子、同一个参数出现在两组里，抛出 ValueError；不是张量抛出 TypeError。

    书中：sec-bp-training
    """

    def __init__(
        self, params: Iterable[Tensor] | Iterable[dict[str, Any]], defaults: dict[str, Any]
    ) -> None:
        if isinstance(params, Tensor):
            raise TypeError("params 应是参数的列表（或参数组的列表），收到一个张量；请写成 [参数]")
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("没有参数可优化：参数列表是空的")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """加一组参数，可以有自己的超参数。"""
        params = param_group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        seen = {id(p) for group in self.param_groups for p in group["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"要优化的应是张量，收到 {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError("只能优化叶子张量；算出来的张量不是参数，改了它也不影响模型")
            if id(p) in seen:
                raise ValueError("同一个参数出现了两次，它会被更新两次")
            seen.add(id(p))
        self.param_groups.append({**self.defaults, **param_group, "params": params})

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """按各参数的 grad 更新一步；grad 为 None 的参数不动。

        给了 closure（重新算损失并反向传播的函数）就先调用它，并返回它的结果。
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._update(group, p.write(), p.grad.array, self.state[p])
        return loss

    def _update(
        self, group: dict[str, Any], param: np.ndarray, grad: np.ndarray, state: dict[str, Any]
    ) -> None:
        """用 grad 就地更新 param。"""
        raise NotImplementedError(f"{type(self).__name__} 没有写 _update()")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """清掉各参数的梯度：缺省设为 None，set_to_none=False 时填零。"""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad.zero_()

    def state_dict(self) -> dict[str, Any]:
        """可以存盘的状态：参数用编号表示，其余与 torch 的优化器相同。"""
        numbers = {id(p): i for i, p in enumerate(self._params())}
        groups = [
            {**group, "params": [numbers[id(p)] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {numbers[id(p)]: entry for p, entry in self.state.items() if entry}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """恢复 :meth:`state_dict` 的状态；参数组的个数与各组参数的个数须相同，否则 ValueError。

        状态里的张量会被复制，转成参数的 dtype；来自 torch 的（CPU 张量）也可以。
        """
        groups = state_dict["param_groups"]
        expected = [len(group["params"]) for group in self.param_groups]
        found = [len(group["params"]) for group in groups]
        if expected != found:
            raise ValueError(f"各组参数的个数应是 {expected}，状态里是 {found}")
        params = dict(zip(chain(*(g["params"] for g in groups)), self._params(), strict=True))
        self.state = defaultdict(dict)
        for number, entry in state_dict["state"].items():
            p = params[number]
            self.state[p] = {key: _restore(key, value, p) for key, value in entry.items()}
        self.param_groups = [
            {**group, "params": own["params"]}
            for group, own in zip(groups, self.param_groups, strict=True)
        ]

    def _params(self) -> Iterator[Tensor]:
        return chain(*(group["params"] for group in self.param_groups))

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for i, group in enumerate(self.param_groups):
            rows = [f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params"]
            text += f"\nParameter Group {i}\n{''.join(rows)}"
        return text + ")"


def descent(group: dict[str, Any], p: np.ndarray, g: np.ndarray) -> np.ndarray:
    """加上权重衰减的梯度 g + λp；maximize 时先取反。

    书中：sec-bp-training
    """
    if group["maximize"]:
        g = -g
    return g + group["weight_decay"] * p if group["weight_decay"] else g


def check_range(name: str, value: float, low: float = 0.0, below: float = float("inf")) -> None:
    """low ≤ value < below，否则抛出 ValueError。

    书中：sec-bp-training
    """
    if not low <= value < below:
        upper = "" if below == float("inf") else f"、小于 {below:g}"
        raise ValueError(f"{name} 应不小于 {low:g}{upper}，收到 {value}")


def zero_step() -> Tensor:
    """步数的起点：零维的 float32 张量，与 torch 存的一样。

    书中：sec-bp-training
    """
    return Tensor(np.zeros((), np.float32))


def advance(state: dict[str, Any]) -> int:
    """步数加一，返回新的步数。

    书中：sec-bp-training
    """
    step = state["step"].array
    step += 1
    return int(step)


def _restore(key: str, value: object, p: Tensor) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    array = np.asarray(value)
    return Tensor(array.astype(array.dtype if key == "step" else p.dtype))
