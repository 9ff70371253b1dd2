"""一个取得慢的数据集，用来测量数据加载的工作进程值不值。

放在包里而不是笔记本里：工作进程由 spawn 启动时（Windows、macOS），要能导入这个类。
书中：sec-dataloader-workers
"""

import time

import torch
from torch.utils.data import Dataset


class SlowDataset(Dataset):
    """length 个样本，每取一个先等 delay 秒（像是在等磁盘或网络），再给出 (784,) 的零与标签 0。

    书中：sec-dataloader-workers
    """

    def __init__(self, length: int, delay: float) -> None:
        self.length, self.delay = length, delay

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        if self.delay:
            time.sleep(self.delay)
        return torch.zeros(784), 0

    def __len__(self) -> int:
        return self.length
