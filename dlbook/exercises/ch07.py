"""第 7 章练习的检查。书中：sec-exercises-7"""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data.distributed import DistributedSampler

from dlbook.exercises import Case, exercise


@exercise("ex-7-1", title="损失对偏置的梯度")
def _(solution: Callable) -> Iterator[Case]:
    def sigmoid(z: float) -> float:
        return 1 / (1 + math.exp(-z))

    for x1, w1, b, y in ((1.1, 2.2, 0.0, 1.0), (1.1, 2.2, 0.0, 0.0), (-0.7, 1.5, 0.4, 1.0)):
        a = sigmoid(w1 * x1 + b)
        yield Case(
            f"x1 = {x1}，w1 = {w1}，b = {b}，y = {y:g}",
            lambda x1=x1, w1=w1, b=b, y=y: float(solution(x1, w1, b, y)),
            a - y,
            rtol=1e-9,
            mistakes={
                "这是对 w1 的梯度：z 对 b 的偏导数是 1，不是 x1": (a - y) * x1,
                "符号反了": y - a,
                "漏了 σ 的导数 a(1 − a)": (a - y) / (a * (1 - a)),
                "多乘了一次 σ 的导数": (a - y) * a * (1 - a),
                "忘了过 sigmoid，用 z 当作 a": w1 * x1 + b - y,
                "这是 y = 1 的式子，y = 0 时不成立": a - 1,
            },
            hint="链式法则：∂𝓛/∂a · ∂a/∂z · ∂z/∂b",
        )


@exercise("ex-7-2", title="数参数")
def _(solution: Callable) -> Iterator[Case]:
    for sizes in ([2, 30, 20, 2], [50, 30, 20, 3], [784, 10], [5, 4, 3, 2, 1]):
        layers = [nn.Linear(i, o) for i, o in pairwise(sizes)]
        weights = sum(layer.weight.numel() for layer in layers)
        biases = sum(layer.bias.numel() for layer in layers)
        yield Case(
            f"各层的宽度 {sizes}",
            lambda sizes=sizes: int(solution(list(sizes))),
            weights + biases,
            mistakes={
                "忘了偏置": weights,
                "把输入也算上了一份偏置": weights + sum(sizes),
                "每层只算了一个偏置": weights + len(layers),
                "漏了最后一层": sum(p.numel() for layer in layers[:-1] for p in layer.parameters()),
            },
            hint="一个 in → out 的线性层有 in × out 个权重、out 个偏置",
        )


class _AsyncDevice:
    """假的异步设备：run 只把活排进队列（花 launch 秒），synchronize 等到做完；时钟也是假的。"""

    def __init__(self, launch: float, work: float, first: float) -> None:
        self.now = self.free_at = 0.0
        self.launch, self.work, self.extra, self.runs = launch, work, first, 0

    def run(self) -> None:
        self.now += self.launch
        self.free_at = max(self.free_at, self.now) + self.work + self.extra
        self.extra = 0.0  # 只有第一次要多花时间
        self.runs += 1

    def synchronize(self) -> None:
        self.now = max(self.now, self.free_at)

    def clock(self) -> float:
        return self.now


@exercise("ex-7-3", title="给异步的设备计时")
def _(solution: Callable) -> Iterator[Case]:
    launch, first = 1 / 1024, 8.0
    # work 远大于 launch：每次的真实用时就是 work（流水线的起步那一点除外）。
    for work, repeats in ((1.0, 10), (0.25, 40)):

        def measured(work: float = work, repeats: int = repeats) -> float:
            device = _AsyncDevice(launch, work, first)
            return float(solution(device.run, device.synchronize, device.clock, repeats))

        yield Case(
            f"一次真正用 {work} 秒、下命令只用 {launch} 秒、头一次多用 {first} 秒的设备，"
            f"repeats = {repeats}",
            measured,
            work + launch / repeats,
            rtol=1e-9,
            mistakes={
                "停表之前没有同步，只量到下命令的时间": launch,
                "没有预热，把头一次多花的时间也算进去了": work + (launch + first) / repeats,
                "忘了除以次数": repeats * work + launch,
                "预热之后没有同步，预热的那一次也被算进去了": (
                    first + work + repeats * work
                ) / repeats,
                "每次都同步，测到的是一次一等，不是连续运行": work + launch,
            },
            hint="预热、同步、起表、连着运行、同步、停表，再除以次数",
        )  # fmt: skip

    def count() -> int:
        device = _AsyncDevice(1 / 1024, 1.0, 0.0)
        solution(device.run, device.synchronize, device.clock, 5)
        return device.runs

    yield Case(
        "repeats = 5 时一共运行几次",
        count,
        "6 次上下：预热 1 次或几次，再计时 5 次",
        accept=lambda runs: 6 <= runs <= 20,
        hint="先至少预热一次，再运行 repeats 次",
    )


@exercise("ex-7-4", title="交叉点")
def _(solution: Callable) -> Iterator[Case]:
    sizes = [64, 128, 256, 512, 1024]
    cases = [
        ("GPU 从 256 起一直更快", [1, 2, 9, 70, 500], [5, 5, 5, 6, 9], 256,
         {"CPU 与 GPU 比反了": None}),
        ("GPU 在 64 处偶然快一次，从 512 起才一直更快", [6, 2, 4, 70, 500], [5, 5, 5, 6, 9], 512,
         {"只找了第一次更快的地方，后面又慢了": 64}),
        ("GPU 始终更快", [9, 9, 9, 70, 500], [5, 5, 5, 6, 9], 64, {}),
        ("GPU 始终没有更快", [1, 1, 1, 1, 1], [5, 5, 5, 6, 9], None, {}),
        ("最大的一个又慢了回去", [9, 9, 9, 9, 9], [5, 5, 5, 6, 10], None,
         {"最后一个尺寸上 GPU 更慢，应返回 None": 64}),
        ("相等不算更快", [5, 5, 9, 9, 99], [5, 5, 5, 6, 9], 256, {"相等不算更快": 64}),
    ]  # fmt: skip
    for given, cpu, gpu, answer, mistakes in cases:
        yield Case(
            f"{given}；sizes = {sizes}，cpu = {cpu}，gpu = {gpu}",
            lambda cpu=cpu, gpu=gpu: solution(sizes, cpu, gpu),
            answer if answer is None else int(answer),
            mistakes=mistakes | {"返回了下标，应返回尺寸": sizes.index(answer) if answer else -1},
            hint="从最大的尺寸往回找，遇到不更快的就停",
            accept=lambda got, answer=answer: (got is None) if answer is None else got == answer,
        )


@exercise("ex-7-5", title="发牌")
def _(solution: Callable) -> Iterator[Case]:
    for total, ranks, drop_last in (
        (6, 2, False), (5, 2, False), (5, 2, True), (10, 4, False), (10, 4, True), (1, 3, False),
        (2, 5, False),
    ):  # fmt: skip
        for rank in range(ranks):
            sampler = DistributedSampler(
                range(total), num_replicas=ranks, rank=rank, shuffle=False, drop_last=drop_last
            )
            share = math.ceil(total / ranks)
            yield Case(
                f"{total} 个样本，{ranks} 个进程，第 {rank} 个，drop_last = {drop_last}",
                lambda a=total, b=ranks, c=rank, d=drop_last: [
                    int(i) for i in solution(a, b, c, d)
                ],
                list(sampler),
                mistakes={
                    "drop_last=True 时应舍去多余的，不是补齐": [
                        i % total for i in range(rank, share * ranks, ranks)
                    ],
                    "这是一段一段地分，应像发牌一样轮流": [
                        i % total for i in range(rank * share, (rank + 1) * share)
                    ],
                }
                if drop_last
                else {
                    "没有补齐：各进程的个数不一样多": list(range(rank, total, ranks)),
                    "这是一段一段地分，应像发牌一样轮流": [
                        i % total for i in range(rank * share, (rank + 1) * share)
                    ],
                },
                hint="先补齐或截短到进程数的倍数，再从第 rank 个起每隔 world_size 个取一个",
            )


@exercise("ex-7-6", title="大小不一的梯度累积")
def _(solution: Callable) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(12, 4, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 3, (12,), generator=generator)
    torch.manual_seed(0)
    model = nn.Linear(4, 3).double()

    def gradient(scales: list[float], pieces: list[int]) -> np.ndarray:
        """各份的平均损失乘以 scales 再相加，求梯度。"""
        parts = zip(scales, x.split(pieces), y.split(pieces), strict=True)
        total = sum(scale * F.cross_entropy(model(a), b) for scale, a, b in parts)
        return torch.cat(
            [g.flatten() for g in torch.autograd.grad(total, model.parameters())]
        ).numpy()

    for pieces in ([3, 3, 3, 3], [6, 4, 2], [11, 1]):

        def answer(pieces: list[int] = pieces) -> np.ndarray:
            for p in model.parameters():  # 留下的旧梯度，不清零就会混进来
                p.grad = torch.ones_like(p)
            solution(model, list(zip(x.split(pieces), y.split(pieces), strict=True)))
            return torch.cat([p.grad.flatten() for p in model.parameters()]).numpy()

        count = len(pieces)
        right = gradient([n / 12 for n in pieces], pieces)
        yield Case(
            f"12 个样本分成 {pieces}，模型里留着以前的梯度",
            answer,
            right,
            rtol=1e-9,
            mistakes={
                "没有先清零，以前的梯度混进来了": right + 1,
                "每份都没有按样本数加权": gradient([1.0] * count, pieces),
                "各份一样看重，只有各份一样大时才对": gradient([1 / count] * count, pieces),
                "每份之前都清零，只剩最后一份": gradient(
                    [0.0] * (count - 1) + [pieces[-1] / 12], pieces
                ),
                "只剩最后一份，而且没有加权": gradient([0.0] * (count - 1) + [1.0], pieces),
            },
            hint="每份的平均损失乘以（这份的样本数 / 总样本数）再反向",
        )
