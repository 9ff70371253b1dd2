"""几个进程一起训练：建立进程组、包装模型、起进程、收场。

一个进程也是一种分布式：没有进程组时 rank 是 0、world_size 是 1，下面的函数照样能用，
所以训练的代码不必写两份。

书中：sec-ddp
"""

import ctypes
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")

NOTHING = nullcontext()  # 什么也不做的 with

_RENDEZVOUS = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class DistributedError(RuntimeError):
    """进程之间出了事：连不上、端口被占、有进程死了。

    书中：sec-ddp
    """


class _LostPeerError(DistributedError):
    """与别的进程断了联系：自己没有错，是别的进程出事的后果。"""


# 我是谁


def rank() -> int:
    """这个进程的编号，从 0 数起；没有进程组时是 0。

    书中：sec-ddp
    """
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """进程组里有几个进程；没有进程组时是 1。

    书中：sec-ddp
    """
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """是不是 0 号进程：只有它打印、存检查点。

    书中：sec-ddp
    """
    return rank() == 0


def print_main(*values: object, **options: Any) -> None:
    """只在 0 号进程里 print。

    书中：sec-ddp
    """
    if is_main():
        print(*values, **options)


# 进程组


@contextmanager
def session(
    device: torch.device | str = "cpu", timeout: timedelta = timedelta(minutes=10)
) -> Iterator[None]:
    """with 里有进程组：GPU 用 nccl，CPU 用 gloo；结束时销毁。

    由 torchrun 或 :func:`launch` 启动的进程从环境变量得知自己是谁；单独启动的进程没有那些变量，
    什么也不建。一次通信超过 timeout 没有完成就报错。连不上、端口被占、通信中断（多半是有进程死了）
    抛出 DistributedError。

    书中：sec-ddp
    """
    if dist.is_initialized() or "WORLD_SIZE" not in os.environ:
        yield
        return
    missing = [name for name in _RENDEZVOUS if name not in os.environ]
    if missing:
        raise DistributedError(f"环境变量不全，缺 {'、'.join(missing)}；请用 torchrun 启动")
    die_with_parent()
    _init_process_group(torch.device(device), timeout)
    try:
        yield
    except RuntimeError as error:
        if _is_broken_link(error):
            message = f"第 {rank()} 号进程与别的进程断了联系，多半是有一个出错或被杀了"
            raise _LostPeerError(message) from error
        raise
    # 出错时不销毁：别的进程可能已经不在，销毁会一直等它们；进程退出时系统自会收回一切。
    dist.destroy_process_group()


def _init_process_group(device: torch.device, timeout: timedelta) -> None:
    if device.type == "cuda":
        torch.cuda.set_device(device)
        backend: dict[str, Any] = {"backend": "nccl", "device_id": device}
    else:
        backend = {"backend": "gloo"}
    attempt = "0"
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]:
        # 全在一台机器上：走回环网卡，不必能解析主机名。
        os.environ.setdefault("GLOO_SOCKET_IFNAME", _loopback())
        # torchrun 重启各进程之后，碰头的地方还留着死去的进程的地址；按第几次重启分开。
        # （许多台机器时各台数的次数不同，要重启请设 TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1。）
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        store, rank, size = next(dist.rendezvous("env://", timeout=timeout))
        store = dist.PrefixStore(f"attempt-{attempt}", store)
        dist.init_process_group(store=store, rank=rank, world_size=size, timeout=timeout, **backend)
    except RuntimeError as error:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        if "EADDRINUSE" in str(error):
            raise DistributedError(
                f"端口 {os.environ['MASTER_PORT']} 已被别的程序占用；"
                "换一个 MASTER_PORT，或用 torchrun --standalone 让它自己找空闲的端口"
            ) from error
        raise DistributedError(f"在 {address} 没有等齐各个进程（{_first_line(error)}）") from error


def _loopback() -> str:
    names = [name for _, name in socket.if_nameindex()]
    return next((name for name in ("lo", "lo0") if name in names), names[0])


def _is_broken_link(error: RuntimeError) -> bool:
    marks = ("gloo", "Gloo", "NCCL", "Connection", "connectFullMesh", "recvValue", "Broken pipe")
    return isinstance(error, dist.DistError) or any(mark in str(error) for mark in marks)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def wrap(model: nn.Module) -> nn.Module:
    """有几个进程时把 model 包成 DistributedDataParallel，反向传播时平均各进程的梯度。

    书中：sec-ddp
    """
    if world_size() == 1 or isinstance(model, DistributedDataParallel):
        return model
    return DistributedDataParallel(model)


def sync(model: nn.Module, needed: bool) -> AbstractContextManager:
    """needed=False 时，with 里的前向与反向只把梯度累积在本进程，不与别的进程交换。

    书中：sec-ddp
    """
    if needed or not isinstance(model, DistributedDataParallel):
        return NOTHING
    return model.no_sync()


def unwrap(model: nn.Module) -> nn.Module:
    """去掉 DistributedDataParallel 与 torch.compile 的包装，露出原来的模型。

    书中：sec-ddp
    """
    while True:
        if isinstance(model, DistributedDataParallel):
            model = model.module
        elif hasattr(model, "_orig_mod"):
            model = model._orig_mod
        else:
            return model


# 互通消息


def gather(values: torch.Tensor) -> torch.Tensor:
    """把各进程的 values (k,) 收齐，每个进程都得到 (world_size, k)，在 CPU 上。

    书中：sec-ddp
    """
    if world_size() == 1:
        return values.detach().cpu()[None]
    parts = [torch.empty_like(values) for _ in range(world_size())]
    dist.all_gather(parts, values.detach())
    return torch.stack(parts).cpu()


def gather_objects(value: T) -> list[T]:
    """把各进程的 value 收齐成列表，每个进程都得到。value 须能 pickle。

    书中：sec-ddp
    """
    parts: list[Any] = [value]
    if world_size() > 1:
        parts = [None] * world_size()
        dist.all_gather_object(parts, value)
    return parts


def from_main(function: Callable[[], T]) -> T:
    """只在 0 号进程里调用 function，结果给每个进程；它抛出的异常也在每个进程里抛出。

    书中：sec-ddp
    """
    if world_size() == 1:
        return function()
    outcome: list[Any] = [None, None]
    if is_main():
        try:
            outcome[0] = function()
        except Exception as error:
            outcome[1] = error
    dist.broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


# 起进程


def launch(
    function: Callable[..., T], processes: int, *args: Any, port: int = 0, threads: int = 1
) -> list[T]:
    """在这台机器上起 processes 个进程，各自运行 function(*args)，返回各自的结果。

    进程里已经备好环境变量，function 用 :func:`session` 就能建立进程组；function 须能从模块里导入
    （不能是笔记本里定义的），参数与结果须能 pickle。每个进程用 threads 个 CPU 线程。
    port=0 由系统挑一个空闲的端口；指定的端口被占用时抛出 DistributedError。

    有一个进程出错，其余的随即结束，那个异常在这里重新抛出；有一个进程被杀，抛出
    DistributedError，说明是哪一个。调用者被打断、被杀，各进程也都结束，不会留下孤儿。

    书中：sec-ddp
    """
    if processes < 1:
        raise ValueError(f"进程数应是正整数，收到 {processes}")
    store = _listen(port)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="dlbook-") as name:
        folder = Path(name)
        shared = (processes, store.port, threads, folder, os.getpid(), function, args)
        workers = [
            context.Process(target=_worker, args=(index, *shared)) for index in range(processes)
        ]
        try:
            for worker in workers:
                worker.start()
            _watch(workers)
            outcomes = [_outcome(worker, folder, i) for i, worker in enumerate(workers)]
        except KeyboardInterrupt:
            _join(workers, 10)  # 终端的 Ctrl-C 各进程也收到了，让它们把检查点存完
            raise
        finally:
            _end(workers)
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if failures:
        # 一个进程出事，别的进程报“断了联系”：那是后果，先说原因。
        raise min(failures, key=lambda failure: isinstance(failure, _LostPeerError))
    return outcomes


def _listen(port: int) -> dist.TCPStore:
    """各进程碰头的地方，由本进程守着；端口从占到用没有空隙，不会被别人抢去。"""
    try:
        return dist.TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
    except dist.DistNetworkError as error:
        raise DistributedError(
            f"端口 {port} 用不了，多半已被别的程序占用（{_first_line(error)}）；"
            "换一个，或不指定 port，由系统挑选"
        ) from error


def _worker(
    index: int,
    processes: int,
    port: int,
    threads: int,
    folder: Path,
    parent: int,
    function: Callable[..., Any],
    args: tuple[Any, ...],
) -> None:
    """子进程的全部：运行 function，把结果或异常写进 folder。"""
    die_with_parent(parent)
    torch.set_num_threads(threads)
    os.environ.update(
        RANK=str(index),
        LOCAL_RANK=str(index),
        WORLD_SIZE=str(processes),
        LOCAL_WORLD_SIZE=str(processes),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        TORCHELASTIC_USE_AGENT_STORE="True",  # 碰头的地方有启动者守着，0 号进程不必再开
    )
    try:
        outcome, failed = function(*args), False
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        error.add_note(f"发生在第 {index} 号进程：\n{traceback.format_exc()}")
        outcome, failed = error, True
    try:
        content = pickle.dumps(outcome)
    except Exception as error:
        failed = True
        content = pickle.dumps(
            DistributedError(f"第 {index} 号进程：{outcome!r} 传不回来（{error}）")
        )
    (folder / str(index)).write_bytes(content)
    if failed:
        sys.exit(1)


def _watch(workers: Sequence[BaseProcess]) -> None:
    """等到全部正常结束，或者有一个出事；出事之后给其余的几秒钟自己结束。"""
    running = list(workers)
    while running and all(worker.exitcode in (0, None) for worker in workers):
        wait([worker.sentinel for worker in running])
        running = [worker for worker in running if worker.is_alive()]
    _join(workers, 5)


def _join(workers: Sequence[BaseProcess], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for worker in workers:
        if worker.pid is not None:
            worker.join(max(0.0, deadline - time.monotonic()))


def _outcome(worker: BaseProcess, folder: Path, index: int) -> Any:
    """第 index 号进程的结果；它出了错就是那个异常。"""
    file = folder / str(index)
    if file.exists():
        return pickle.loads(file.read_bytes())
    who = f"第 {index} 号进程"
    if worker.exitcode is None:
        return _LostPeerError(f"{who}没有自己结束，已被终止")
    if worker.exitcode < 0:
        name = signal.Signals(-worker.exitcode).name
        return DistributedError(f"{who}被信号 {name} 杀死，其余的进程也已结束")
    return DistributedError(f"{who}以状态 {worker.exitcode} 退出，没有交回结果，其余的也已结束")


def _end(workers: Sequence[BaseProcess]) -> None:
    """不管在做什么，都结束：先 SIGTERM，不听再 SIGKILL。"""
    for worker in workers:
        if worker.pid is not None:
            worker.terminate()
    _join(workers, 5)
    for worker in workers:
        if worker.pid is not None:
            worker.kill()
            worker.join()


# 与启动者共存亡


def die_with_parent(parent: int | None = None) -> None:
    """启动这个进程的进程（编号 parent）一死，这个进程立即结束，不管它正在做什么。

    书中：sec-ddp
    """
    parent = os.getppid() if parent is None else parent
    if sys.platform == "linux":
        set_death_signal = 1  # <linux/prctl.h> 的 PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
    else:
        threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # 在上面那一行之前它就死了
        os._exit(1)


def _exit_after(parent: int) -> NoReturn:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
