"""另开的进程里跑的东西：由 launch、torchrun、或下面的分叉服务器调用。

python -m tests.training.jobs serve            # 分叉服务器：import torch 一次，分叉许多次
torchrun … -m tests.training.jobs restart 文件夹  # 第一次跑到一半自杀，重启之后接着训练
torchrun … -m tests.training.jobs killed 1 文件夹  # 1 号进程跑到一半自杀，不重启
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dlbook.training import (
    Batches,
    Checkpoints,
    NonFiniteLossError,
    classification_metrics,
    distributed,
    save_checkpoint,
    seed_everything,
    train,
    warmup_cosine,
)

STEPS = 60


def toy_data(n=96):
    """线性可分再加点噪声的两类点，(n, 6) 与 (n,)。"""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    y = (x[:, 0] + 0.3 * rng.normal(size=n) > 0).astype(np.int64)
    return torch.from_numpy(x), torch.from_numpy(y)


def toy_model(dropout=0.0, norm=False):
    torch.manual_seed(0)
    layers = [nn.Linear(6, 16), *([nn.BatchNorm1d(16)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(16, 2))


def shaky(x, y, rng):
    """用到三种随机数的数据增强。"""
    noise = rng.normal(size=x.shape) + random.gauss(0, 1) + np.random.randn()
    return x + 0.1 * torch.from_numpy(noise.astype(np.float32)), y


def toy_training(folder, *, steps=STEPS, save_every=3, keep=3, evaluate=None):
    """一次什么都用上的小训练：丢弃、批归一化、数据增强、日程、裁剪、累积、最好的检查点。"""
    seed_everything(1)
    x, y = toy_data()
    world = distributed.world_size()
    batches = Batches(x, y, batch_size=16 // world, seed=3, transform=shaky if world == 1 else None)
    model = toy_model(dropout=0.2 if world == 1 else 0.0, norm=world == 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    held_out = Batches(x, y, batch_size=50, shuffle=False, rank=0, world_size=1)
    history = train(
        model,
        batches,
        optimizer,
        steps=steps,
        schedule=warmup_cosine(optimizer, STEPS, warmup=5),
        clip_norm=1.0,
        accumulate=2,
        evaluate=evaluate or (lambda m: classification_metrics(m, held_out)),
        evaluate_every=7,
        checkpoints=Checkpoints(folder, keep=keep, metric="loss"),
        save_every=save_every,
        resume=True,
    )
    return model, history


def result_of(model, history):
    return {
        "model": dict(model.state_dict()),
        "loss": history.loss,
        "lr": history.lr,
        "evaluations": history.evaluations,
    }


def same(a, b):
    """逐位相同。"""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


# 分叉服务器


def serve():
    """每读到一行命令就分叉一个进程去做，先回它的编号，结束时再回它怎样结束的。"""
    torch.set_num_threads(1)
    warm_up()
    for line in sys.stdin:
        command = json.loads(line)
        if command.get("wait"):
            _, status = os.waitpid(command["wait"], 0)
            reply = {"exit": os.waitstatus_to_exitcode(status)}
        else:
            pid = os.fork()
            if pid == 0:
                run_toy(command)
            reply = {"pid": pid}
        print(json.dumps(reply), flush=True)


def warm_up():
    """先让 torch 导入它第一次更新参数时才导入的模块；不能反向传播，那之后就不能分叉了。"""
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.ones(2)
    optimizer = torch.optim.AdamW([parameter])
    optimizer.zero_grad()
    optimizer.step()


def run_toy(command):
    """分叉出来的进程：训练，把结果存成一个文件；command 里可以要求在第几次系统调用时自杀。"""
    status = 1
    try:
        if "call" in command:
            die_at(command["call"], command["count"])
        model, history = toy_training(command["folder"])
        if "result" in command:
            save_checkpoint(command["result"], result_of(model, history))
        status = 0
    finally:
        os._exit(status)


def die_at(name, count):
    """第 count 次调用 os.<name> 之前，用 SIGKILL 杀死自己。"""
    original, calls = getattr(os, name), 0

    def counted(*args, **options):
        nonlocal calls
        calls += 1
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **options)

    setattr(os, name, counted)


# 由 launch 起的各个进程运行的函数


def report_everything(folder):
    """一次起进程不便宜，所以许多项检查一次做完。"""
    with distributed.session():
        rank, world = distributed.rank(), distributed.world_size()
        found = {"rank": rank, "world": world, "group": torch.distributed.is_initialized()}
        found["threads"] = torch.get_num_threads()
        found["gather"] = distributed.gather(torch.tensor([rank + 0.5, 7.0])).tolist()
        found["objects"] = distributed.gather_objects({"rank": rank})
        found["from_main"] = distributed.from_main(lambda: f"来自 {rank}")
        try:
            distributed.from_main(lambda: 1 / 0)
        except ZeroDivisionError as error:
            found["error"] = str(error)
        found["gradient"] = averaged_gradient()
        found["accumulated"] = accumulated_gradient()
        x, y = toy_data(10)
        found["own"] = Batches(x, y, batch_size=2).order(0).tolist()
        found["train"] = result_of(*toy_training(folder / "train"))
        found["nan"] = nan_on_one_rank()
        found["full"] = full_disk(folder / "full")
        return found


def gradient_of(model, x, y):
    model.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def averaged_gradient():
    """各进程各用一半样本，DDP 平均之后的梯度。"""
    x, y = toy_data()
    own = slice(distributed.rank(), None, distributed.world_size())
    return gradient_of(distributed.wrap(toy_model().double()), x[own].double(), y[own])


def accumulated_gradient():
    """前一小批不通信，后一小批才平均；应与整批相同。"""
    x, y = toy_data()
    own = slice(distributed.rank(), None, distributed.world_size())
    x, y = x[own].double(), y[own]
    model = distributed.wrap(toy_model().double())
    half = len(x) // 2
    for part, last in ((slice(0, half), False), (slice(half, None), True)):
        with distributed.sync(model, last):
            (nn.functional.cross_entropy(model(x[part]), y[part]) / 2).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def nan_on_one_rank():
    """1 号进程的第 3 批里有 nan：两个进程都应停在同一步，说出是谁的哪一批。"""
    x, y = toy_data(40)
    batches = Batches(x, y, batch_size=4, shuffle=False)
    if distributed.rank() == 1:
        x[batches.order(0)[3 * 4]] = float("nan")
    model = toy_model()
    try:
        train(model, batches, torch.optim.SGD(model.parameters(), 0.1), epochs=2)
    except NonFiniteLossError as error:
        return error.step, error.epoch, error.batch, error.rank, str(error)


def full_disk(folder):
    """0 号进程写检查点时磁盘满了：两个进程都得到这个错误。"""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    model = toy_model()
    try:
        train(
            model,
            Batches(*toy_data(16), batch_size=4),
            torch.optim.SGD(model.parameters(), 0.1),
            steps=2,
            checkpoints=Checkpoints(folder),
        )
    except OSError as error:
        return error.errno, str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


def killed(victim, folder):
    """第 victim 号进程训练到一半被 kill -9。"""
    victim, folder = int(victim), Path(folder)
    (folder / f"{os.environ['RANK']}.pid").write_text(str(os.getpid()))

    def evaluate(model):
        if distributed.rank() == victim:
            (folder / "death").write_text(str(time.time()))
            os.kill(os.getpid(), signal.SIGKILL)
        return {"loss": 1.0}

    with distributed.session():
        toy_training(folder / "train", evaluate=evaluate)


def fails():
    with distributed.session():
        if distributed.rank() == 1:
            raise LookupError("一号出错")
        distributed.gather_objects(0)


def unpicklable():
    return lambda: 0


def sleeps(folder):
    (folder / f"{os.environ['RANK']}.pid").write_text(str(os.getpid()))
    time.sleep(600)


def launch_sleepers(folder):
    distributed.launch(sleeps, 2, Path(folder))


# 由 torchrun 启动


def restart(folder):
    """第一次运行时，1 号进程在一半被 kill -9；torchrun 重启之后接着训练到完。"""
    folder = Path(folder)
    torch.set_num_threads(1)
    first = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"

    def evaluate(model):
        evaluations[0] += 1
        if first and evaluations[0] == 4 and distributed.rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"loss": sum(p.square().sum().item() for p in model.parameters())}

    evaluations = [0]
    with distributed.session():
        model, history = toy_training(folder, evaluate=evaluate)
        if distributed.is_main():
            save_checkpoint(folder / "result.pt", result_of(model, history))


if __name__ == "__main__":
    jobs = (serve, restart, killed, launch_sleepers)
    {job.__name__: job for job in jobs}[sys.argv[1]](*sys.argv[2:])
