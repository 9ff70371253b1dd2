"""整个数据集放得进内存时，按批取样本：不逐个取、不拼批、不起工作进程。

书中：sec-dataloader
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from dlbook.training import distributed

Transform = Callable[..., tuple[torch.Tensor, ...]]


class Batches:
    """把几个第 0 维等长的张量（或数组）按批给出，每批是一个元组。

    给出的每一批都与 ``DataLoader`` 配 ``DistributedSampler``（同样的 batch_size、shuffle、seed、
    drop_last、rank 与 world_size，每轮调用 ``set_epoch``）相同，快得多。次序只取决于 seed 与
    第几轮，所以 :meth:`epoch` 能从任何一轮的任何一批开始，中断之后可以原样接上。

    batch_size 是每个进程一批的样本数。rank、world_size 缺省取自当前的进程组，没有就是 0 与 1；
    样本数不是 world_size 的倍数时，drop_last=False 从头补几个重复的样本，drop_last=True 舍去
    多余的。
    transform(*tensors, rng) 加工取出的一批（如数据增强），rng 是这一批专用的
    ``np.random.Generator``，种子由 seed、轮、批、进程决定。

    各张量样本数不等、没有样本、batch_size 不是正整数、rank 越界时抛出 ValueError。

    书中：sec-dataloader
    """

    def __init__(
        self,
        *tensors: torch.Tensor | np.ndarray,
        batch_size: int,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        transform: Transform | None = None,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        self.tensors = tuple(torch.as_tensor(tensor) for tensor in tensors)
        sizes = [len(tensor) for tensor in self.tensors]
        if len(set(sizes)) != 1 or sizes[0] == 0:
            raise ValueError(f"各张量的样本数（第 0 维）应相同且不为零，收到 {sizes}")
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size 应是正整数，收到 {batch_size!r}")
        self.rank = distributed.rank() if rank is None else rank
        self.world_size = distributed.world_size() if world_size is None else world_size
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank 应在 0 与 {self.world_size - 1} 之间，收到 {self.rank}")
        self.batch_size, self.drop_last, self.transform = batch_size, drop_last, transform
        self.shuffle, self.seed, self._next = shuffle, seed, 0

    @property
    def samples(self) -> int:
        """这个进程一轮取多少个样本。"""
        total = len(self.tensors[0])
        if self.drop_last:
            return total // self.world_size
        return math.ceil(total / self.world_size)

    def __len__(self) -> int:
        full, rest = divmod(self.samples, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def set_epoch(self, epoch: int) -> None:
        """下一次迭代给出第 epoch 轮（从 0 数起）。"""
        self._next = epoch

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        """给出一轮；每迭代一次，轮数加一，次序随之不同。"""
        epoch, self._next = self._next, self._next + 1
        return self.epoch(epoch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[torch.Tensor, ...]]:
        """第 epoch 轮里从第 start 批起的各批，都从 0 数起。"""
        order = self.order(epoch)[start * self.batch_size : len(self) * self.batch_size]
        if len(order) == 0:
            return
        order = order.to(self.tensors[0].device)
        for batch, rows in enumerate(order.split(self.batch_size), start):
            chosen = tuple([tensor.index_select(0, rows) for tensor in self.tensors])
            if self.transform is not None:
                rng = np.random.default_rng([self.seed, epoch, batch, self.rank])
                chosen = self.transform(*chosen, rng)
            yield chosen

    def order(self, epoch: int) -> torch.Tensor:
        """第 epoch 轮里这个进程依次取哪些样本：(samples,) 个编号，int64。"""
        total = len(self.tensors[0])
        if self.shuffle:
            generator = torch.Generator().manual_seed(self.seed + epoch)
            order = torch.randperm(total, generator=generator)
        else:
            order = torch.arange(total)
        # 先补齐（或截短）到各进程一样多，再像发牌那样每隔 world_size 个取一个。
        wanted = self.samples * self.world_size
        if wanted > total:
            order = order.repeat(math.ceil(wanted / total))
        return order[self.rank : wanted : self.world_size]
