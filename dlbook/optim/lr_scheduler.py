"""学习率日程：``optimizer.step()`` 之后调用一次 ``scheduler.step()``，学习率走到下一个值。

书中：sec-bp-training
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dlbook.optim.optimizer import Optimizer


class LRScheduler:
    """日程的基类：last_epoch 是走过的步数，建立时为 0；子类写 :meth:`get_lr`。

    建立时把每组参数当时的学习率记为 ``initial_lr``，并把学习率设成第 0 步的值。
    接着以前的训练时，用 :meth:`load_state_dict`；所以 last_epoch 只接受 -1。

    书中：sec-bp-training
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer 应是优化器，收到 {type(optimizer).__name__}")
        if last_epoch != -1:
            raise NotImplementedError("last_epoch 只支持 -1；接着训练请用 load_state_dict()")
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def get_lr(self) -> list[float]:
        """第 last_epoch 步各组参数的学习率。"""
        raise NotImplementedError(f"{type(self).__name__} 没有写 get_lr()")

    def step(self) -> None:
        """走一步，并把新的学习率写进优化器。"""
        self.last_epoch += 1
        self._write(self.get_lr())

    def get_last_lr(self) -> list[float]:
        """最近一次写进优化器的学习率，每组参数一个。"""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """日程的状态：除优化器与函数以外的全部属性。"""
        return {
            name: value
            for name, value in self.__dict__.items()
            if name != "optimizer" and not callable(value)
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """恢复 :meth:`state_dict` 的状态；优化器自己的状态要另外恢复。"""
        self.__dict__.update(state_dict)

    def _write(self, values: list[float]) -> None:
        for group, value in zip(self.optimizer.param_groups, values, strict=True):
            group["lr"] = value
        self._last_lr = values

    def _restart(self) -> None:
        """回到第 0 步（:class:`SequentialLR` 轮到它的时候）。"""
        self.last_epoch = 0
        self._write(self.get_lr())


class LambdaLR(LRScheduler):
    """学习率 = 初始学习率 × lr_lambda(t)；lr_lambda 可以每组参数一个。

    书中：sec-bp-training
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        groups = len(optimizer.param_groups)
        several = isinstance(lr_lambda, list | tuple)
        functions = list(lr_lambda) if several else [lr_lambda] * groups
        if len(functions) != groups:
            raise ValueError(f"有 {groups} 组参数，却给了 {len(functions)} 个 lr_lambda")
        self._factors = lambda t: [function(t) for function in functions]
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        factors = self._factors(self.last_epoch)
        return [base * factor for base, factor in zip(self.base_lrs, factors, strict=True)]


class _Chainable(LRScheduler):
    """学习率与下限之差按 :meth:`_factor` 的比例变化：每一步乘上 c(t)/c(t−1)。

    因为是在当前的学习率上乘，几个日程可以叠在同一个优化器上。
    """

    _floor = 0.0

    def _factor(self, t: int) -> float:
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        t = self.last_epoch
        now, before = self._factor(t), self._factor(t - 1) if t > 0 else 1.0
        if before == 0:  # 已经到底（如余弦的谷底），比例没有意义，从初始学习率重新算
            return self._absolute(now)
        ratio = now / before
        return [self._floor + (g["lr"] - self._floor) * ratio for g in self.optimizer.param_groups]

    def _absolute(self, factor: float) -> list[float]:
        return [self._floor + (base - self._floor) * factor for base in self.base_lrs]

    def _restart(self) -> None:
        self.last_epoch = 0
        self._write(self._absolute(self._factor(0)))


class StepLR(_Chainable):
    """每过 step_size 步，学习率乘以 gamma。

    书中：sec-bp-training
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, t: int) -> float:
        return self.gamma ** (t // self.step_size)


class MultiStepLR(_Chainable):
    """走到 milestones 里的每一步，学习率乘以 gamma。

    书中：sec-bp-training
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, t: int) -> float:
        return self.gamma ** bisect_right(self.milestones, t)


class LinearLR(_Chainable):
    """系数在 total_iters 步里从 start_factor 线性地变到 end_factor，之后不变；常作热身。

    书中：sec-bp-training
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(
                "start_factor 应在 (0, 1]、end_factor 应在 [0, 1] 里，"
                f"收到 {start_factor} 与 {end_factor}"
            )
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, t: int) -> float:
        progress = min(t, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * progress


class CosineAnnealingLR(_Chainable):
    """学习率沿半个余弦从初始值降到 eta_min，用 T_max 步；再往后沿余弦回升。

    书中：sec-bp-training
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        self._floor = eta_min
        super().__init__(optimizer, last_epoch)

    def _factor(self, t: int) -> float:
        return (1 + math.cos(math.pi * t / self.T_max)) / 2


class OneCycleLR(LRScheduler):
    """一个周期：从 max_lr/div_factor 升到 max_lr，再降到起点的 1/final_div_factor。

    升占全程的 pct_start；cycle_momentum=True 时动量（或 Adam 的 β₁）反着走，先降后升。
    three_phase=True 时先降回起点，再降到最低。每个批次之后走一步，总步数为 total_steps，
    或 epochs × steps_per_epoch；走过了头抛出 ValueError。

    书中：sec-bp-training
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None and epochs is not None and steps_per_epoch is not None:
            total_steps = epochs * steps_per_epoch
        if not isinstance(total_steps, int) or total_steps <= 0:
            raise ValueError("要给出正整数 total_steps，或者 epochs 与 steps_per_epoch")
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"pct_start 应是 0 与 1 之间的小数，收到 {pct_start!r}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy 应是 'cos' 或 'linear'，收到 {anneal_strategy!r}")
        if cycle_momentum and not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError("这个优化器没有动量，请写 cycle_momentum=False")
        self.total_steps, self.anneal_strategy = total_steps, anneal_strategy
        self.cycle_momentum = cycle_momentum
        # 每一段：到哪一步为止，学习率与动量从哪个名字变到哪个名字
        up = pct_start * total_steps - 1
        first = (up, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        last = (total_steps - 1, "max_lr", "min_lr", "base_momentum", "max_momentum")
        if three_phase:
            back = (2 * up, "max_lr", "initial_lr", "base_momentum", "max_momentum")
            rest = (total_steps - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum")
            self._phases = [first, back, rest]
        else:
            self._phases = [first, last]
        groups = optimizer.param_groups
        for i, group in enumerate(groups):
            group["max_lr"] = _for_group(max_lr, i, len(groups), "max_lr")
            group["initial_lr"] = group["max_lr"] / div_factor
            group["min_lr"] = group["initial_lr"] / final_div_factor
            if cycle_momentum:
                group["max_momentum"] = _for_group(max_momentum, i, len(groups), "max_momentum")
                group["base_momentum"] = _for_group(base_momentum, i, len(groups), "base_momentum")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(f"日程一共 {self.total_steps} 步，不能走第 {self.last_epoch} 步")
        last = len(self._phases) - 1
        i = next((i for i, phase in enumerate(self._phases) if self.last_epoch <= phase[0]), last)
        start = self._phases[i - 1][0] if i else 0
        end, *names = self._phases[i]
        progress = (self.last_epoch - start) / (end - start)
        groups = self.optimizer.param_groups
        if self.cycle_momentum:
            for group in groups:
                momentum = self._between(group[names[2]], group[names[3]], progress)
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum
        return [self._between(group[names[0]], group[names[1]], progress) for group in groups]

    def _between(self, start: float, end: float, progress: float) -> float:
        if self.anneal_strategy == "cos":
            progress = (1 - math.cos(math.pi * progress)) / 2
        return start + (end - start) * progress


def _for_group(value: float | Sequence[float], i: int, groups: int, name: str) -> float:
    if not isinstance(value, list | tuple):
        return value
    if len(value) != groups:
        raise ValueError(f"有 {groups} 组参数，却给了 {len(value)} 个 {name}")
    return value[i]


class SequentialLR(LRScheduler):
    """几个日程前后相接：走到 milestones[i] 步时换成第 i+1 个，从它的第 0 步开始。

    书中：sec-bp-training
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        if not schedulers or any(s.optimizer is not optimizer for s in schedulers):
            raise ValueError("schedulers 里至少要有一个日程，而且都要属于这个 optimizer")
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"{len(schedulers)} 个日程之间应有 {len(schedulers) - 1} 个换挡的步数，"
                f"收到 {len(milestones)} 个"
            )
        self._schedulers, self._milestones = schedulers, milestones
        super().__init__(optimizer, last_epoch)

    def step(self) -> None:
        self.last_epoch += 1
        scheduler = self._schedulers[bisect_right(self._milestones, self.last_epoch)]
        if self.last_epoch in (0, *self._milestones):
            scheduler._restart()
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        return state | {"_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        own = {name: value for name, value in state_dict.items() if name != "_schedulers"}
        super().load_state_dict(own)
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)

    def _restart(self) -> None:
        self.last_epoch = -1
        self.step()
