"""dlbook.training 的两个比值：``train`` 比手写的循环慢多少，内存里的批比 DataLoader 快多少。

    OMP_NUM_THREADS=1 python benchmarks/training.py
    OMP_NUM_THREADS=1 python benchmarks/training.py --instructions

单线程，CPU。计的是处理器时间；两边交替进行，各取最短的一轮：别的程序抢缓存只会使它变长，最短的
最接近空闲的机器（各轮之比的中位数也打印出来）。比较之前先核对：两个循环的损失逐位相同，两种读法的
每一批逐位相同。

机器忙时，计时的出入比差别本身还大。``--instructions`` 改数执行的指令：用 valgrind 数两种循环各走
5 步与 45 步的指令数，相减得到 40 步的，再现性很好（要装 valgrind，约十分钟）。
"""

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from dlbook.data import mnist
from dlbook.models import cnn
from dlbook.training import Batches, train

Data = tuple[torch.Tensor, torch.Tensor]
ROUNDS = 45


def mlp() -> nn.Module:
    """784-128-10。"""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def convolutional() -> nn.Module:
    """第 4 章的卷积网络。"""
    torch.manual_seed(0)
    return cnn.build(torch)


def by_hand(build: Callable[[], nn.Module], batches: Iterable[Data]) -> list[float]:
    """一轮，手写的循环，记下每步的损失。"""
    model = build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    model.train()
    for x, y in batches:
        loss = cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def by_train(build: Callable[[], nn.Module], batches: Iterable[Data]) -> list[float]:
    """同一轮，用 train。"""
    model = build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    return train(model, batches, optimizer, epochs=1).loss


def read(batches: Iterable[Data]) -> int:
    """读一遍，返回样本数。"""
    return sum(len(y) for _, y in batches)


def seconds(work: Callable[[], object]) -> float:
    """work() 用了多少处理器时间。"""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(name: str, ours: Callable[[], object], theirs: Callable[[], object]) -> float:
    """交替计时，打印并返回 ours 与 theirs 的最短用时之比。"""
    ours(), theirs()
    pairs = []
    for turn in range(ROUNDS):
        if turn % 2:  # 谁先谁后也交替
            b = seconds(theirs)
            pairs.append((seconds(ours), b))
        else:
            pairs.append((seconds(ours), seconds(theirs)))
    a, b = (min(column) * 1e3 for column in zip(*pairs, strict=True))
    typical = statistics.median(p / q for p, q in pairs)
    print(f"{name}：{a:.1f} ms 与 {b:.1f} ms，比值 {a / b:.3f}（各轮之比的中位数 {typical:.3f}）")
    return a / b


def overhead(data: Data) -> None:
    """train 与手写的循环。"""
    x, y = data
    for name, build, steps, size in (
        ("784-128-10，批量 64", mlp, 100, 64),
        ("784-128-10，批量 256", mlp, 50, 256),
        ("卷积网络，批量 64", convolutional, 10, 64),
    ):
        rows = slice(0, steps * size)
        batches = list(Batches(x[rows], y[rows], batch_size=size))
        same = by_train(build, batches) == by_hand(build, batches)
        ratio = compare(
            f"{name}，train 与手写，{steps} 步（损失逐位{'相同' if same else '不同'}）",
            lambda b=build, batches=batches: by_train(b, batches),
            lambda b=build, batches=batches: by_hand(b, batches),
        )
        print(f"    train 多用 {ratio - 1:.1%}，目标不超过 3%")


class Pixels(Dataset):
    """原始的像素，取出时才换算成 0 到 1 之间的小数。"""

    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.x, self.y = x, y

    def __getitem__(self, index: int) -> Data:
        return scale(self.x[index], self.y[index])

    def __len__(self) -> int:
        return len(self.y)


def scale(x: torch.Tensor, y: torch.Tensor, rng: np.random.Generator | None = None) -> Data:
    """像素 ÷ 255。"""
    return x.float() / 255, y


def loading(floats: Data, pixels: Data) -> None:
    """内存里的批与 DataLoader：同样的次序、同样的每一批。"""
    for name, data, dataset, transform in (
        ("换算好的小数", floats, TensorDataset(*floats), None),
        ("原始的像素", pixels, Pixels(*pixels), scale),
    ):
        sampler = DistributedSampler(dataset, num_replicas=1, rank=0)
        for size in (64, 256):
            loader = DataLoader(dataset, size, sampler=sampler)
            batches = Batches(*data, batch_size=size, transform=transform)
            batches.set_epoch(0)
            same = all(
                torch.equal(a, c) and torch.equal(b, d)
                for (a, b), (c, d) in zip(batches, loader, strict=True)
            )
            ratio = compare(
                f"MNIST 读一遍，{name}，批量 {size}，Batches 与 DataLoader"
                f"（逐批{'相同' if same else '不同'}）",
                lambda batches=batches: read(batches),
                lambda loader=loader: read(loader),
            )
            print(f"    Batches 快 {1 / ratio:.1f} 倍，目标不低于 5 倍")


LOOPS = {"train": by_train, "hand": by_hand}


def instructions() -> None:
    """train 与手写的循环走一步各执行多少条指令。"""
    counts = {name: counted(name, 45) - counted(name, 5) for name in LOOPS}
    ours, theirs = (counts[name] / 40 / 1e6 for name in LOOPS)
    print(f"784-128-10，批量 64，一步的指令：train {ours:.3f} 百万条，手写 {theirs:.3f} 百万条")
    print(f"    train 多用 {ours / theirs - 1:.2%}，目标不超过 3%")


def counted(loop: str, steps: int) -> int:
    """另起一个进程，在 valgrind 里走 steps 步，返回整个进程执行的指令数。"""
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command = [*tool, sys.executable, __file__, loop, str(steps)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


def one_loop(loop: str, steps: int) -> None:
    """走 steps 步，供 :func:`counted` 来数。"""
    torch.manual_seed(0)
    draw = [(torch.rand(64, 1, 28, 28), torch.randint(0, 10, (64,))) for _ in range(steps)]
    LOOPS[loop](mlp, draw)


def main(*arguments: str) -> None:
    """打印全部比值。"""
    torch.set_num_threads(1)
    if arguments == ("--instructions",):
        return instructions()
    if arguments:
        return one_loop(arguments[0], int(arguments[1]))
    print(f"PyTorch {torch.__version__}，单线程")
    digits = mnist()
    x = torch.from_numpy(digits.x_train[:, None])
    y = torch.from_numpy(digits.y_train.astype(np.int64))
    floats = scale(x, y)
    overhead(floats)
    loading(floats, (x, y))


if __name__ == "__main__":
    main(*sys.argv[1:])
