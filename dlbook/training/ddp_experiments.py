"""第 7 章关于多进程训练的几个小实验：每个函数由 ``launch`` 起的各个进程各自运行一遍。

放在包里而不是笔记本里，是因为新进程要能导入它们。

书中：sec-ddp
"""

import os
import subprocess
import sys
import time
from contextlib import nullcontext

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from dlbook.data import mnist
from dlbook.models import cnn
from dlbook.training import distributed


def run_command(*arguments: str) -> str:
    """用同一个 Python 解释器运行 ``python 参数…``，返回它打印的文字；出错抛出 RuntimeError。

    调用者一死，它与它起的进程也随之结束（Linux）。

    书中：sec-ddp-script
    """
    result = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        preexec_fn=_bind if sys.platform == "linux" else None,
    )
    if result.returncode:
        raise RuntimeError(f"命令以状态 {result.returncode} 退出：\n{result.stderr}")
    return result.stdout


def _bind() -> None:
    """在新进程里、换成新程序之前执行：与启动者共存亡，并让它起的进程也知道该跟着谁。"""
    distributed.die_with_parent()
    os.environ["DDP_STARTER"] = str(os.getpid())


def perceptron(hidden: int = 64) -> nn.Module:
    """(N, 1, 28, 28) → (N, 10) 的多层感知机，初值固定。

    书中：sec-ddp-identity
    """
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10)
    )  # fmt: skip


def convolutional() -> nn.Module:
    """第 4 章的卷积网络（带批归一化），初值固定。

    书中：sec-ddp-identity
    """
    torch.manual_seed(0)
    return cnn.build(torch)


def digits(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """前 count 张训练图 (count, 1, 28, 28) 与标签 (count,)。

    书中：sec-ddp-identity
    """
    data = mnist()
    images = data.x_train[:count, None].astype(np.float32) / 255
    return torch.from_numpy(images), torch.from_numpy(data.y_train[:count].astype(np.int64))


def gradient(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """平均交叉熵对全部参数的梯度，拼成一个长向量。

    书中：sec-ddp-identity
    """
    model.zero_grad()
    F.cross_entropy(model(x), y).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def compare_gradients(batch: int = 64) -> dict[str, float]:
    """DDP 得到的梯度与合并的一批的梯度相差多少（除以后者的最大绝对值）。

    各进程各拿 batch 张里的一份：等分，或 0 号多拿一些；模型带或不带批归一化。

    书中：sec-ddp-identity
    """
    x, y = digits(batch)
    with distributed.session():
        ranks, me = distributed.world_size(), distributed.rank()
        even = slice(me * batch // ranks, (me + 1) * batch // ranks)
        cut = batch - batch // (2 * ranks)  # 只对两个进程有意义：一个拿四分之三
        uneven = slice(0, cut) if me == 0 else slice(cut, batch)

        def gap(build: object, share: slice) -> float:
            whole = gradient(build(), x, y)
            averaged = gradient(DistributedDataParallel(build()), x[share], y[share])
            return float((averaged - whole).abs().max() / whole.abs().max())

        mine = gradient(perceptron(), x[even], y[even])
        whole = gradient(perceptron(), x, y)
        return {
            "只用自己的一半": float((mine - whole).abs().max() / whole.abs().max()),
            "DDP，等分": gap(perceptron, even),
            "DDP，三比一": gap(perceptron, uneven),
            "DDP，带批归一化": gap(convolutional, even),
        }


def accumulate(parts: int = 4, batch: int = 64) -> dict[str, object]:
    """梯度累积：一批分成 parts 份，反向 parts 次再更新；数一数通信了几次。

    书中：sec-ddp-accumulate
    """
    x, y = digits(batch)
    with distributed.session():
        rows = slice(distributed.rank(), batch, distributed.world_size())
        pieces = list(zip(x[rows].chunk(parts), y[rows].chunk(parts), strict=True))
        results = {}
        for quiet in (False, True):
            model = DistributedDataParallel(perceptron())
            calls = _count_communications(model)
            for k, (features, labels) in enumerate(pieces):
                last = k == parts - 1
                with model.no_sync() if quiet and not last else nullcontext():
                    (F.cross_entropy(model(features), labels) / parts).backward()
            grads = torch.cat([p.grad.flatten() for p in model.parameters()])
            results["no_sync" if quiet else "每次都通信"] = len(calls), grads
        whole = gradient(perceptron(), x, y)
        return {
            name: (count, float((grads - whole).abs().max() / whole.abs().max()))
            for name, (count, grads) in results.items()
        }


def _count_communications(model: DistributedDataParallel) -> list[int]:
    """每做一次 all-reduce，返回的列表就多一项：这次传了几个数。"""
    sizes: list[int] = []

    def hook(state: None, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        sizes.append(bucket.buffer().numel())
        total = dist.all_reduce(bucket.buffer(), async_op=True).get_future()
        return total.then(lambda done: done.value()[0] / distributed.world_size())

    model.register_comm_hook(None, hook)
    return sizes


def samples_per_second(steps: int = 5, batch: int = 64) -> dict[str, float]:
    """合起来每秒训练多少个样本：每个进程一批 batch 个；预热之后测三次，每次 steps 步，取最快的。

    “小模型”计算少、通信多，“卷积网络”相反。

    书中：sec-ddp-scaling
    """
    x, y = digits(batch)
    with distributed.session():
        return {
            "小模型": _speed(perceptron(128), x, y, steps),
            "卷积网络": _speed(convolutional(), x, y, steps),
        }


def _speed(model: nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int) -> float:
    model = distributed.wrap(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def seconds(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return time.perf_counter() - start

    seconds(2)  # 头几步要建立连接、分配内存，不算
    # 别的程序只会使它变慢，所以最快的一次最接近真实。
    fastest = min(seconds(steps) for _ in range(3))
    return distributed.world_size() * steps * len(x) / fastest


def everything() -> dict[str, dict]:
    """本章的三个小实验，在同一组进程里依次做完：起进程、导入 PyTorch 要好几秒，起一次就够了。

    书中：sec-ddp-identity
    """
    with distributed.session():
        return {
            "梯度": compare_gradients(),
            "累积": accumulate(),
            "吞吐": samples_per_second(),
        }
