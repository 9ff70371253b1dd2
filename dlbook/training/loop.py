"""训练循环：一个函数，任何设备，一个或许多进程，随时可以中断再接着来。

书中：sec-training-loop
"""

import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, NoReturn

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from dlbook.training import distributed
from dlbook.training.checkpoint import CheckpointError, Checkpoints
from dlbook.training.device import move, supports_bfloat16
from dlbook.training.metrics import evaluating
from dlbook.training.progress import Progress
from dlbook.training.randomness import get_rng_state, preserved_rng, set_rng_state

_PATIENCE = 16  # 在 GPU 上攒几步的损失才取回一次
# 按一次 Ctrl-C，进程可能收到两遍信号：终端发一遍，torchrun 又转一遍。隔不到这么多秒的算同一次。
_ONE_PRESS = 1.0

LossFunction = Callable[[nn.Module, Any], torch.Tensor]
Evaluate = Callable[[nn.Module], Mapping[str, float]]
Report = Callable[[dict[str, float]], None]
_Losses = list[tuple[torch.Tensor, int, int]]  # 一步里的各个损失，来自第几轮、第几批


class NonFiniteLossError(ArithmeticError):
    """损失成了 nan 或无穷。step 从 1 数起；epoch、batch 从 0 数起，与 ``Batches.epoch`` 相同。

    书中：sec-training-loop
    """

    def __init__(self, loss: float, step: int, epoch: int, batch: int, rank: int) -> None:
        super().__init__(loss, step, epoch, batch, rank)
        self.loss, self.step, self.epoch, self.batch, self.rank = loss, step, epoch, batch, rank

    def __str__(self) -> str:
        who = f"第 {self.rank} 号进程的" if distributed.world_size() > 1 or self.rank else ""
        return (
            f"第 {self.step} 步的损失是 {self.loss}，训练停下：{who}"
            f"第 {self.epoch} 轮第 {self.batch} 批（都从 0 数起）；"
            "看看那一批数据，或者降低学习率、裁剪梯度"
        )


@dataclass
class History:
    """一次训练的记录。

    loss、lr 每步一项：各进程、各小批的平均损失（更新之前），与第一组参数的学习率。
    evaluations 每次评估一项：``{"step": 走过的步数, …评估的各项}``。

    书中：sec-training-loop
    """

    loss: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    evaluations: list[dict[str, float]] = field(default_factory=list)

    def metric(self, name: str) -> list[float]:
        """各次评估里名为 name 的那一项。"""
        return [record[name] for record in self.evaluations if name in record]


def classification_loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """分类的损失：一批是输入 x 与类别编号 y (m,)，返回分数与 y 的平均交叉熵。

    书中：sec-training-loop
    """
    x, y = batch
    return cross_entropy(model(x), y)


def train(
    model: nn.Module,
    batches: Iterable[Any],
    optimizer: Optimizer | Sequence[Optimizer],
    *,
    loss: LossFunction = classification_loss,
    epochs: int | None = None,
    steps: int | None = None,
    schedule: LRScheduler | Sequence[LRScheduler] = (),
    clip_norm: float | None = None,
    accumulate: int = 1,
    precision: str = "float32",
    device: torch.device | str | None = None,
    evaluate: Evaluate | None = None,
    evaluate_every: int | None = None,
    report: Report | None = None,
    checkpoints: Checkpoints | None = None,
    save_every: int | None = None,
    resume: bool = False,
    config: Mapping[str, Any] | None = None,
    progress: bool | None = None,
    count: Callable[[Any], int] | None = None,
) -> History:
    """训练 epochs 轮或 steps 步，就地更新 model，返回每一步的记录。

    batches：每迭代一次给出一轮的各批，如 :class:`~dlbook.training.Batches` 或 ``DataLoader``。
    loss(model, 一批) 返回标量损失。一步 = accumulate 批的平均梯度更新一次参数；
    optimizer、schedule 可以各有几个，schedule 每步走一次。clip_norm 裁剪全部梯度的范数。
    device 缺省为 model 所在的设备；precision 是 "float32"、"bfloat16" 或 "auto"
    （设备有 bfloat16 的电路就用），后者在前向时自动混合精度。

    有进程组时每个进程都调用本函数，各取各的批，梯度在进程之间平均。

    evaluate(model) 返回各项评估，每 evaluate_every 步（缺省每轮）与末尾各一次，记进 History，
    并交给 report。它用掉的随机数不影响训练。

    checkpoints 给出文件夹，每 save_every 步（缺省每轮）、评估出最好的成绩、末尾时存；resume=True
    从最近的检查点接着训练（没有就从头开始），在 CPU 上与没有中断过的训练逐位相同；
    resume=False 而文件夹里已有检查点，抛出 FileExistsError，免得混在一起。
    config（设置的字典）存进检查点，接着训练时须相同，否则抛出 CheckpointError。

    Ctrl-C：走完这一步、存好检查点再抛出 KeyboardInterrupt。损失不是有限的数：抛出
    NonFiniteLossError，CPU 上参数还没有被它更新。progress 显示进度条，缺省只在终端里显示；
    count(一批) 是进度条里计速度的个数，缺省为样本数。

    书中：sec-training-loop
    """
    total, per_epoch = _plan(batches, epochs, steps, accumulate)
    if device is not None:
        model.to(device)
    device = next(model.parameters()).device
    optimizers = [optimizer] if isinstance(optimizer, Optimizer) else list(optimizer)
    schedules = [schedule] if isinstance(schedule, LRScheduler) else list(schedule)
    history, stream = History(), _Stream(batches)
    run = _Run(
        distributed.unwrap(model), optimizers, schedules, stream, history, dict(config or {})
    )
    if checkpoints is not None:
        _begin(run, checkpoints, resume)

    replica = distributed.wrap(model)
    parameters = [p for p in model.parameters() if p.requires_grad]
    autocast = _autocast(device, precision)
    pending = _Pending(history, device)
    bar = Progress(total, len(history.loss), show=progress, count=count)
    model.train()
    with bar, _interruptible() as interrupted:
        for step in range(len(history.loss) + 1, total + 1):
            losses = []
            for i in range(accumulate):
                batch = move(next(stream), device)
                # 攒几批才更新一次时，只有最后一批需要各进程交换梯度。
                with distributed.sync(replica, i == accumulate - 1):
                    with autocast():
                        value = loss(replica, batch)
                    if i == 0:
                        for o in optimizers:
                            o.zero_grad()
                    (value if accumulate == 1 else value / accumulate).backward()
                losses.append((value.detach(), stream.epoch, stream.batch - 1))
                bar.add(batch)
            stop = pending.add(losses, optimizers[0].param_groups[0]["lr"], interrupted())
            if clip_norm is not None:
                clip_grad_norm_(parameters, clip_norm)
            for o in optimizers:
                o.step()
            for s in schedules:
                s.step()

            best, end = False, step == total
            if evaluate is not None and (end or step % (evaluate_every or per_epoch) == 0):
                pending.flush()
                best = _evaluate(run, evaluate, checkpoints, report, bar)
            if checkpoints is not None and (
                end or stop or best or step % (save_every or per_epoch) == 0
            ):
                pending.flush()
                _save(run, checkpoints, best)
            bar.update(history)
            if stop:
                raise KeyboardInterrupt(f"按要求停在第 {step} 步，一共 {total} 步")
    pending.flush()
    return history


def _plan(
    batches: Iterable[Any], epochs: int | None, steps: int | None, accumulate: int
) -> tuple[int, int]:
    """一共几步，每轮几步。"""
    if (epochs is None) == (steps is None):
        raise ValueError(f"epochs 与 steps 应恰好给一个，收到 epochs={epochs}、steps={steps}")
    if accumulate < 1:
        raise ValueError(f"accumulate 应是正整数，收到 {accumulate}")
    length = len(batches) if hasattr(batches, "__len__") else None
    if length == 0:
        raise ValueError("batches 一批也没有：样本不足一批，又要丢掉末尾不足的一批？")
    if epochs is None:
        total = steps
    elif length is None:
        raise ValueError("batches 没有长度，不知道一轮有几批；请改用 steps")
    else:
        total = epochs * length // accumulate
    if total < 0:
        raise ValueError(f"epochs 与 steps 不能是负数，收到 epochs={epochs}、steps={steps}")
    return total, max(1, length // accumulate) if length else max(1, total)


def _autocast(device: torch.device, precision: str) -> Callable[[], AbstractContextManager]:
    if precision not in ("float32", "bfloat16", "auto"):
        raise ValueError(f"precision 应是 float32、bfloat16 或 auto，收到 {precision!r}")
    if precision == "float32" or (precision == "auto" and not supports_bfloat16(device)):
        return lambda: distributed.NOTHING
    return partial(torch.autocast, device.type, torch.bfloat16)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """with 里第一次 Ctrl-C 只记下来，再按一次照常打断；给出的函数说记下了没有。"""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # 只有主线程能接信号
        return
    first: float | None = None

    def note(signum: int, frame: object) -> None:
        nonlocal first
        if first is None:
            first = time.monotonic()
        elif time.monotonic() - first > _ONE_PRESS:
            raise KeyboardInterrupt

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: first is not None
    finally:
        signal.signal(signal.SIGINT, previous)


class _Stream:
    """一轮接一轮地给出批；知道自己在第几轮（epoch），这一轮已经取了几批（batch）。"""

    def __init__(self, batches: Iterable[Any]) -> None:
        self.batches, self.epoch, self.batch = batches, 0, 0
        self._rng: dict[str, Any] | None = None  # 这一轮开始时的随机数状态
        self._iterator: Iterator[Any] | None = None

    def __next__(self) -> Any:
        while True:
            if self._iterator is None:
                self._iterator = self._open()
            for batch in self._iterator:
                self.batch += 1
                return batch
            if self.batch == 0:
                raise ValueError(f"第 {self.epoch} 轮（从 0 数起）一批数据也没有")
            self.epoch, self.batch = self.epoch + 1, 0
            self._rng = self._iterator = None

    def _open(self) -> Iterator[Any]:
        if callable(getattr(self.batches, "epoch", None)):
            return self.batches.epoch(self.epoch, self.batch)
        # DataLoader 之类：次序由这一轮开始时的随机数决定；恢复它，再空取到上次停下的地方。
        if self._rng is None:
            self._rng = get_rng_state()
        else:
            set_rng_state(self._rng)
        for part in (self.batches, getattr(self.batches, "sampler", None)):
            if hasattr(part, "set_epoch"):
                part.set_epoch(self.epoch)
        iterator = iter(self.batches)
        for _ in islice(iterator, self.batch):
            pass
        return iterator

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "batch": self.batch, "rng": self._rng}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch, self.batch, self._rng = state["epoch"], state["batch"], state["rng"]
        self._iterator = self._open()


class _Pending:
    """还没有取回的损失。

    在 GPU 上每步都取回，CPU 与 GPU 就要互相等，所以攒几步看一次；在 CPU 上每步都看，
    损失不对时参数还没有被它更新。
    """

    def __init__(self, history: History, device: torch.device) -> None:
        self.history = history
        self.patience = 1 if device.type == "cpu" else _PATIENCE
        self._steps: list[tuple[_Losses, float]] = []

    def add(self, losses: _Losses, lr: float, stop: bool) -> bool:
        """又走完一步的反向；stop 是这个进程要不要停。返回有没有哪个进程要停。"""
        self._steps.append((losses, float(lr)))
        return self.flush(stop) if len(self._steps) >= self.patience else False

    def flush(self, stop: bool = False) -> bool:
        """取回攒着的损失，在各进程之间平均，记进 history；有不是有限的数就报错。"""
        if not self._steps:
            return False
        steps, self._steps = self._steps, []
        if distributed.world_size() == 1:
            table = [[loss.item() for losses, _ in steps for loss, _, _ in losses]]
        else:
            mine = [loss for losses, _ in steps for loss, _, _ in losses]
            mine.append(torch.tensor(float(stop), device=mine[0].device))
            table = distributed.gather(torch.stack(mine).float()).tolist()
            stop = any([row.pop() for row in table])
        start = 0
        for losses, lr in steps:
            end = start + len(losses)
            mean = sum([sum(row[start:end]) for row in table]) / (len(table) * len(losses))
            if not math.isfinite(mean):
                self._complain(losses, [row[start:end] for row in table])
            self.history.loss.append(mean)
            self.history.lr.append(lr)
            start = end
        return stop

    def _complain(self, losses: _Losses, table: list[list[float]]) -> NoReturn:
        step = len(self.history.loss) + 1
        for index, (_, epoch, batch) in enumerate(losses):
            for rank, row in enumerate(table):
                if not math.isfinite(row[index]):
                    raise NonFiniteLossError(row[index], step, epoch, batch, rank)
        raise OverflowError(f"第 {step} 步的各个损失加起来超出了浮点数的范围")


# 评估与检查点


@dataclass
class _Run:
    """一次训练里所有会变的东西：存下它们，就能原样接着来。"""

    model: nn.Module
    optimizers: list[Optimizer]
    schedules: list[LRScheduler]
    stream: _Stream
    history: History
    config: dict[str, Any]

    def state_dict(self) -> dict[str, Any]:
        """各进程都要调用：随机数与取样的位置每个进程各有一份。"""
        own = {"rng": get_rng_state(), "stream": self.stream.state_dict()}
        return {
            "model": dict(self.model.state_dict()),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "schedules": [s.state_dict() for s in self.schedules],
            "processes": distributed.gather_objects(own),
            "history": {
                "loss": torch.tensor(self.history.loss, dtype=torch.float64),
                "lr": torch.tensor(self.history.lr, dtype=torch.float64),
                "evaluations": self.history.evaluations,
            },
            "config": self.config,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        _check_config(state["config"], self.config)
        try:
            self.model.load_state_dict(state["model"])
            for key, parts in (("optimizers", self.optimizers), ("schedules", self.schedules)):
                for part, part_state in zip(parts, state[key], strict=True):
                    part.load_state_dict(part_state)
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"检查点与现在的模型、优化器或日程对不上，接不下去：{error}"
            ) from error
        self.history.loss.extend(state["history"]["loss"].tolist())
        self.history.lr.extend(state["history"]["lr"].tolist())
        self.history.evaluations.extend(state["history"]["evaluations"])
        own = self._own(state["processes"])
        self.stream.load_state_dict(own["stream"])
        set_rng_state(own["rng"])

    @staticmethod
    def _own(processes: list[dict[str, Any]]) -> dict[str, Any]:
        before, now = len(processes), distributed.world_size()
        if before != now and distributed.is_main():
            warnings.warn(
                f"进程数由 {before} 变成了 {now}：能接着训练，但不再与没有中断时逐位相同",
                stacklevel=2,
            )
        return processes[distributed.rank() % before]


def _check_config(saved: dict[str, Any], now: dict[str, Any]) -> None:
    different = [
        f"{name} 原来是 {saved.get(name)!r}，现在是 {now.get(name)!r}"
        for name in sorted(saved.keys() | now.keys())
        if saved.get(name) != now.get(name)
    ]
    if different:
        raise CheckpointError("设置与检查点里的不同，接不下去：" + "；".join(different))


def _begin(run: _Run, checkpoints: Checkpoints, resume: bool) -> None:
    """接着以前的训练；没有以前的训练，就确认文件夹里是空的。"""

    def find() -> dict[str, Any] | None:
        if not resume and checkpoints.paths():
            raise FileExistsError(
                f"{checkpoints.folder} 里已有检查点：接着训练请指明 resume（命令行加 --resume），"
                "从头训练请换一个文件夹，或先把它清空"
            )
        return checkpoints.load()

    state = distributed.from_main(find)
    if state is not None:
        run.load_state_dict(state)


def _save(run: _Run, checkpoints: Checkpoints, best: bool) -> None:
    state = run.state_dict()
    distributed.from_main(lambda: checkpoints.save(len(run.history.loss), state, best=best))


def _evaluate(
    run: _Run,
    evaluate: Evaluate,
    checkpoints: Checkpoints | None,
    report: Report | None,
    bar: Progress,
) -> bool:
    """评估一次，记进 history；返回是不是到此为止最好的。"""
    with preserved_rng(), evaluating(run.model):
        mine = {name: float(value) for name, value in evaluate(run.model).items()}
    # 各进程的参数相同，结果以 0 号为准，免得批归一化之类的细微差别使各进程步调不一。
    metrics = distributed.from_main(lambda: mine)
    run.history.evaluations.append({"step": len(run.history.loss)} | metrics)
    if report is not None and distributed.is_main():
        bar.clear()
        report(run.history.evaluations[-1])
    if checkpoints is None or checkpoints.metric is None:
        return False
    if checkpoints.metric not in metrics:
        raise ValueError(
            f"评估结果里没有 {checkpoints.metric!r}，分不出好坏；有：{'、'.join(metrics)}"
        )
    return checkpoints.is_better(run.history.metric(checkpoints.metric))
