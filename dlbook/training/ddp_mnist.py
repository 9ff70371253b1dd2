"""一个文件、完整的分布式数据并行（DDP）训练：几个进程合力在 MNIST 上训练第 4 章的卷积网络。

两种启动办法，结果相同，每个进程用一块 GPU，不够分就都用 CPU::

    python -m dlbook.training.ddp_mnist --processes 2
    torchrun --standalone --nproc-per-node 2 -m dlbook.training.ddp_mnist

这里把每一步都摊开写；日常训练用 :mod:`dlbook.training.distributed`，它还管出错、超时与收场。

书中：sec-ddp-script
"""

import argparse
import os
import socket
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch.distributed import destroy_process_group, init_process_group
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from dlbook.data import mnist
from dlbook.models import cnn
from dlbook.training.distributed import die_with_parent


def ddp_setup(rank: int, world_size: int) -> torch.device:
    """加入进程组，返回这个进程用的设备。

    大家先在环境变量 MASTER_ADDR、MASTER_PORT 给出的地方碰头，得知彼此的地址。

    书中：sec-ddp-script
    """
    # 启动者没了，自己也立即结束，不留孤儿。
    die_with_parent(int(os.environ.get("DDP_STARTER", os.getppid())))
    local_rank = int(os.environ.get("LOCAL_RANK", rank))  # 在这台机器里的编号
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", world_size))
    if torch.cuda.device_count() >= local_size:
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
        backend = "nccl"
    else:
        device = torch.device("cpu")
        # 平分 CPU 的核：各进程都想占满全部的核，只会互相争抢。
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // local_size))
        backend = "gloo"
    patience = timedelta(minutes=5)  # 别的进程这么久没有音讯，就报错，不再等
    init_process_group(backend, rank=rank, world_size=world_size, timeout=patience)
    return device


def prepare_dataset(images: int, batch_size: int) -> tuple[DataLoader, DataLoader]:
    """训练、测试两个加载器；batch_size 是每个进程一批的样本数。

    书中：sec-ddp-script
    """
    digits = mnist()
    train_ds, test_ds = (
        TensorDataset(
            torch.from_numpy(x[:images, None].astype(np.float32) / 255),
            torch.from_numpy(y[:images].astype(np.int64)),
        )
        for x, y in ((digits.x_train, digits.y_train), (digits.x_test, digits.y_test))
    )
    train_loader = DataLoader(
        train_ds,
        batch_size=batch_size,
        shuffle=False,  # 次序由取样器决定
        sampler=DistributedSampler(train_ds),
        drop_last=True,
        pin_memory=torch.cuda.is_available(),
    )
    return train_loader, DataLoader(test_ds, batch_size=500)


def main(rank: int, world_size: int, num_epochs: int, images: int = 60000) -> None:
    """一个进程做的全部事情。

    书中：sec-ddp-script
    """
    device = ddp_setup(rank, world_size)
    train_loader, test_loader = prepare_dataset(images, batch_size=64 // world_size)
    torch.manual_seed(123)
    model = DDP(cnn.build(torch).to(device))  # 包装时把 0 号进程的参数发给大家
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for epoch in range(num_epochs):
        train_loader.sampler.set_epoch(epoch)  # 每轮换一个次序
        model.train()
        total = torch.zeros((), device=device)
        for features, labels in train_loader:
            features, labels = features.to(device), labels.to(device)
            loss = F.cross_entropy(model(features), labels)
            optimizer.zero_grad()
            loss.backward()  # 反向的途中，各进程的梯度就平均好了
            optimizer.step()
            total += loss.detach()
        dist.all_reduce(total)  # 各进程看到的损失不同，加起来再平均
        if rank == 0:
            accuracy = evaluate(model.module, test_loader, device)
            mean = total.item() / world_size / len(train_loader)
            print(f"轮 {epoch + 1}：训练损失 {mean:.4f}，测试准确率 {accuracy:.3f}", flush=True)
    destroy_process_group()


def evaluate(model: torch.nn.Module, loader: DataLoader, device: torch.device) -> float:
    """model 在 loader 上的准确率。只有一个进程调用，所以传进来的是没有 DDP 包装的模型。

    书中：sec-ddp-script
    """
    model.eval()
    correct = count = 0
    with torch.no_grad():
        for features, labels in loader:
            predicted = model(features.to(device)).argmax(dim=1)
            correct += (predicted == labels.to(device)).sum().item()
            count += len(labels)
    return correct / count


def start() -> None:
    """读命令行；由 torchrun 启动时直接干活，否则自己起几个进程。

    书中：sec-ddp-script
    """
    parser = argparse.ArgumentParser(description="用几个进程在 MNIST 上训练卷积网络")
    parser.add_argument("--processes", type=int, default=torch.cuda.device_count() or 2,
                        help="起几个进程（torchrun 启动时以它为准）")  # fmt: skip
    parser.add_argument("--epochs", type=int, default=2, help="训练几轮")
    parser.add_argument("--images", type=int, default=60000, help="用多少张训练图")
    options = parser.parse_args()
    if "RANK" in os.environ:  # torchrun 把编号、总数、碰头的地方放在环境变量里
        rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        main(rank, world_size, options.epochs, options.images)
    else:
        os.environ.update(
            MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()), DDP_STARTER=str(os.getpid())
        )
        arguments = (options.processes, options.epochs, options.images)
        mp.spawn(main, args=arguments, nprocs=options.processes)


def free_port() -> int:
    """一个此刻空闲的端口，由系统挑选。

    书中：sec-ddp-script
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    start()
