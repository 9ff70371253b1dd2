"""训练一步的用时与内存：dlbook 的引擎与 PyTorch（即时模式），同一份用户写法、同样的参数与数据。

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 python benchmarks/engine.py [a b …]

一步 = 前向 + 损失 + 反向 + 更新，float32，单线程。先从同样的参数各走 20 步，损失与参数须一致
（相对误差 1e-4），然后两边交替计时，取各轮之比的中位数。计的是处理器时间：单线程时它就是
空闲机器上的用时，机器上有别的程序时也不受排队的影响。比值小于 1 表示 dlbook 更快。
``--floor`` 另量地板：只做那一步里的矩阵乘法（NumPy 的 BLAS，切段与引擎相同），别的什么也不做，
除以 torch 的一步；用同一个 BLAS 的引擎，比值低不过它。
``--memory`` 另开进程，量训练使内存峰值升高多少（只在 Linux 上）。
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

ROUNDS = 15


class Engine:
    """同一份代码要用到的名字：dlbook 的，或 torch 的。"""

    def __init__(self, name: str) -> None:
        if name == "dlbook":
            import dlbook
            import dlbook.nn.functional as functional
            from dlbook import nn, optim

            self.root: ModuleType = dlbook
        else:
            import torch
            from torch import nn, optim
            from torch.nn import functional

            torch.set_num_threads(1)
            self.root = torch
        self.nn, self.optim, self.F = nn, optim, functional


def mlp(e: Engine, *sizes: int) -> Any:
    """全连接网络。"""
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [e.nn.Linear(n_in, n_out), e.nn.ReLU()]
    return e.nn.Sequential(*layers[:-1])


def cnn(e: Engine) -> Any:
    """两层卷积、两次池化、一层全连接，28 × 28 的图。"""
    nn = e.nn
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1568, 10),
    )


def gpt(e: Engine, vocabulary: int = 1000, d: int = 128, heads: int = 4, length: int = 64) -> Any:
    """两层的 GPT：先归一化，因果注意力，4 倍宽的 GELU 前馈。"""
    nn, F, root = e.nn, e.F, e.root

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
            # 注意力的键若有偏置，它的梯度恰好是 0，Adam 会把舍入误差放大成一步；所以不要偏置。
            self.qkv, self.proj = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d)
            self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

        def attend(self, x: Any) -> Any:
            b, t, _ = x.shape
            q, k, v = (
                part.view(b, t, heads, d // heads).transpose(1, 2)
                for part in self.qkv(x).split(d, dim=2)
            )
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.proj(y.transpose(1, 2).reshape(b, t, d))

        def forward(self, x: Any) -> Any:
            x = x + self.attend(self.norm1(x))
            return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(vocabulary, d)
            self.positions = nn.Embedding(length, d)
            self.blocks = nn.Sequential(Block(), Block())
            self.norm = nn.LayerNorm(d)
            self.head = nn.Linear(d, vocabulary, bias=False)

        def forward(self, tokens: Any) -> Any:
            x = self.tokens(tokens) + self.positions(root.arange(tokens.shape[1]))
            return self.head(self.norm(self.blocks(x))).flatten(0, 1)

    return GPT()


def images(m: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """随机的图与标签。"""
    rng = np.random.default_rng(0)
    return rng.random((m, *shape), dtype=np.float32), rng.integers(0, 10, m)


def tokens(m: int = 16, length: int = 64, vocabulary: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """随机的词与下一个词。"""
    drawn = np.random.default_rng(0).integers(0, vocabulary, (m, length + 1))
    return drawn[:, :-1].copy(), drawn[:, 1:].reshape(-1)


WORKLOADS: dict[str, tuple] = {
    # 名称，目标，网络，优化器，数据，每轮几步
    "a": ("MLP 784-10-10，批量 100", 0.40, lambda e: mlp(e, 784, 10, 10), "SGD",
          lambda: images(100, 784), 200),
    "b": ("同上，全批量 59000", 0.65, lambda e: mlp(e, 784, 10, 10), "SGD",
          lambda: images(59000, 784), 1),
    "c": ("MLP 784-512-256-10，批量 128", 0.85, lambda e: mlp(e, 784, 512, 256, 10), "SGD",
          lambda: images(128, 784), 20),
    "d": ("CNN 16-32，批量 64", 1.00, cnn, "SGD", lambda: images(64, 1, 28, 28), 5),
    "e": ("GPT 2 层，Adam", 1.00, gpt, "Adam", tokens, 2),
}  # fmt: skip


def build(name: str, workload: str, state: dict[str, np.ndarray] | None = None) -> tuple:
    """一个负载在一个引擎上：返回（模型，走一步的函数）。给了 state 就从那些参数开始。"""
    e = Engine(name)
    _, _, make, optimizer, data, _ = WORKLOADS[workload]
    e.root.manual_seed(0)
    model = make(e)
    if state is not None:
        with e.root.no_grad():
            for key, p in model.named_parameters():
                p.copy_(e.root.from_numpy(state[key]))
    optimizer = {
        "SGD": lambda p: e.optim.SGD(p, lr=0.01 if workload == "d" else 0.1),
        "Adam": lambda p: e.optim.Adam(p, lr=1e-3),
    }[optimizer](model.parameters())
    x, y = map(e.root.from_numpy, data())

    def step() -> float:
        optimizer.zero_grad()
        loss = e.F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return model, step


# 一步里的矩阵乘法：（样本数，输入宽，输出宽，要不要对输入的梯度，几次）。
PRODUCTS: dict[str, list[tuple[int, int, int, bool, int]]] = {
    "a": [(100, 784, 10, False, 1), (100, 10, 10, True, 1)],
    "b": [(59000, 784, 10, False, 1), (59000, 10, 10, True, 1)],
    "c": [(128, 784, 512, False, 1), (128, 512, 256, True, 1), (128, 256, 10, True, 1)],
    # 卷积按行展开：每幅图一个小矩阵；第二层的核有 5 行，各乘一次。
    "d": [(28 * 28, 25, 16, False, 64), (14 * 14, 80, 32, True, 64 * 5), (64, 1568, 10, True, 1)],
    # 前馈、投影、词表；注意力的 q kᵀ 与 p v 各 16 × 4 个头。
    "e": [(1024, 128, 384, True, 2), (1024, 128, 128, True, 2), (1024, 128, 512, True, 2),
          (1024, 512, 128, True, 2), (1024, 128, 1000, True, 1), (64, 32, 64, True, 2 * 64),
          (64, 64, 32, True, 2 * 64)],
}  # fmt: skip


def bare_products(workload: str) -> Callable[[], float]:
    """只做一步里的矩阵乘法的函数：前向 x Wᵀ、权重的梯度 Gᵀ x、输入的梯度 G W。"""
    from dlbook.backprop.products import row_product, transposed_product

    rng = np.random.default_rng(0)

    def matrix(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    layers = [
        (matrix(m, k), matrix(n, k), matrix(m, n), need, times)
        for m, k, n, need, times in PRODUCTS[workload]
    ]

    def step() -> float:
        for x, w, g, need, times in layers:
            for _ in range(times):
                row_product(x, w.T)
                transposed_product(g, x)
                if need:
                    row_product(g, w)
        return 0.0

    return step


def parameters(model: Any) -> dict[str, np.ndarray]:
    """模型的参数，各复制一份。"""
    return {key: p.detach().numpy().copy() for key, p in model.named_parameters()}


def check_equal(workload: str, steps: int = 20) -> tuple[float, float]:
    """两边从同样的参数走若干步；返回损失、参数的最大相对误差，超过 1e-4 就报错。

    参数的误差按整个数组的长度（二范数）算：逐个元素比没有意义，舍入的差别会让个别样本的
    ReLU 由关变开，那几个权重的梯度就跳一下。
    """
    model, ours = build("dlbook", workload)
    other, theirs = build("torch", workload, parameters(model))
    loss_error = max(abs(a - b) / abs(b) for a, b in ((ours(), theirs()) for _ in range(steps)))
    after, expected = parameters(model), parameters(other)
    error = max(
        np.linalg.norm(after[key] - expected[key]) / np.linalg.norm(expected[key]) for key in after
    )
    if loss_error > 1e-4 or error > 1e-4:
        raise AssertionError(f"{workload}：损失差 {loss_error:.1e}，参数差 {error:.1e}")
    return loss_error, error


def seconds(step: Callable[[], float], repeats: int) -> float:
    """重复若干步的平均用时。"""
    start = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - start) / repeats


def peak_memory(name: str, workload: str) -> float:
    """另开进程走 5 步；返回内存峰值比开始之前高出多少 MiB。"""
    command = [sys.executable, __file__, "--grow", name, workload]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def grow(name: str, workload: str) -> float:
    """在本进程里量：峰值清零，走 5 步，常驻内存的峰值比走之前的常驻内存高出多少 MiB。"""
    _, step = build(name, workload)
    build(name, "a")[1]()  # 先把库里第一次用时才建的东西建好
    Path("/proc/self/clear_refs").write_text("5")  # 内核把峰值重置为此刻的用量
    before = resident("VmRSS")
    for _ in range(5):
        step()
    return resident("VmHWM") - before


def resident(key: str) -> float:
    """本进程的常驻内存（VmRSS）或它的峰值（VmHWM），MiB。"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def measure(workload: str, rounds: int, floor: bool = False) -> str:
    """一个负载：核对、交替计时，返回表的一行；floor 为真时，dlbook 的一步换成只做矩阵乘法。"""
    title, goal, *_, repeats = WORKLOADS[workload]
    loss_error, error = check_equal(workload)
    model, ours = build("dlbook", workload)
    _, theirs = build("torch", workload, parameters(model))
    if floor:
        ours = bare_products(workload)
    seconds(ours, 2), seconds(theirs, 2)
    times = []
    for i in range(rounds):
        # 先后也轮换，谁也不总占便宜。
        order = (ours, theirs) if i % 2 else (theirs, ours)
        pair = {id(f): seconds(f, repeats) for f in order}
        times.append((pair[id(ours)], pair[id(theirs)]))
    a, b = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(p / q for p, q in times)
    low, *_, high = sorted(p / q for p, q in times)
    return (
        f"{workload}  {title:<28} {a:9.3f} {b:9.3f}   {ratio:.2f} ({low:.2f}–{high:.2f})"
        f"   ≤ {goal:.2f}   {loss_error:.0e} {error:.0e}"
    )


def main() -> None:
    """打印每种负载的用时、比值、与 torch 的误差。"""
    parser = argparse.ArgumentParser()
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--floor", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--grow", nargs=2)
    args = parser.parse_args()
    if args.grow:
        print(grow(*args.grow))
        return
    if args.memory:
        print("负载   峰值增量 MiB：dlbook   torch   比值")
        for w in args.workloads:
            a, b = peak_memory("dlbook", w), peak_memory("torch", w)
            ratio = f"{a / b:.2f}" if b >= 1 else "—"  # 不到 1 MiB 的，量不准
            print(f"{w}  {a:18.1f} {b:9.1f}   {ratio}")
        return
    ours = "只做乘法" if args.floor else "  dlbook"
    print(f"负载                               {ours}     torch   比值（各轮）      目标    误差")
    for w in args.workloads:
        print(measure(w, args.rounds, args.floor), flush=True)


if __name__ == "__main__":
    main()
