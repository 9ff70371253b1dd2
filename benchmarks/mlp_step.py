"""训练一步的用时：``dlbook.models.mlp`` 与 PyTorch（即时模式），同样的网络、数据与单线程。

    OMP_NUM_THREADS=1 python benchmarks/mlp_step.py

一步 = 前向 + 损失 + 反向 + 更新，float32。两边交替计时，取各轮之比的中位数，
这样机器忙闲的变化对两边的影响大致相同。比值小于 1 表示 dlbook 更快。
"""

import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch

from dlbook.backprop import cross_entropy, cross_entropy_backward
from dlbook.models import mlp

WORKLOADS = {
    "784-10-10，批量 100": ([784, 10, 10], 100, 200),
    "784-10-10，全批量 59000": ([784, 10, 10], 59000, 2),
    "784-512-10，批量 100": ([784, 512, 10], 100, 50),
}
ROUNDS = 9


def dlbook_step(sizes: list[int], x: np.ndarray, y: np.ndarray) -> Callable[[], float]:
    """一步 dlbook 训练。"""
    params = mlp.init(sizes, np.random.default_rng(0), dtype=np.float32)

    def step() -> float:
        logits, caches = mlp.forward(params, x)
        loss, cache = cross_entropy(logits, y)
        mlp.sgd_step(params, mlp.backward(cross_entropy_backward(1.0, cache), caches), 0.1)
        return float(loss)

    return step


def torch_step(sizes: list[int], x: np.ndarray, y: np.ndarray) -> Callable[[], float]:
    """一步 PyTorch 训练。"""
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)

    def step() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def seconds(step: Callable[[], float], repeats: int) -> float:
    """重复若干步的平均用时。"""
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


def main() -> None:
    """打印每种负载的用时与比值。"""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    print(f"NumPy {np.__version__}，PyTorch {torch.__version__}，单线程")
    for name, (sizes, m, repeats) in WORKLOADS.items():
        x = rng.random((m, sizes[0]), dtype=np.float32)
        y = rng.integers(0, sizes[-1], m)
        ours, theirs = dlbook_step(sizes, x, y), torch_step(sizes, x, y)
        seconds(ours, 2), seconds(theirs, 2)
        pairs = [(seconds(ours, repeats), seconds(theirs, repeats)) for _ in range(ROUNDS)]
        a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(p / q for p, q in pairs)
        print(f"{name}：dlbook {a * 1e3:.2f} ms，torch {b * 1e3:.2f} ms，比值 {ratio:.2f}")


if __name__ == "__main__":
    main()
