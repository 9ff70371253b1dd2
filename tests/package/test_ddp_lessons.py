"""第 7 章的多进程小实验、完整的 DDP 脚本、取得慢的数据集，以及画计算图的函数。"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from dlbook.data.slow import SlowDataset
from dlbook.plot.pytorch import autograd_graph
from dlbook.training import ddp_experiments, ddp_mnist
from dlbook.training.distributed import launch


@pytest.fixture(scope="module")
def both():
    """两个进程各自的结果。"""
    return launch(ddp_experiments.everything, 2)


def test_ddp_averages_to_the_gradient_of_the_whole_batch(both):
    for found in both:
        assert found["梯度"]["DDP，等分"] < 1e-6
        for broken in ("只用自己的一半", "DDP，三比一", "DDP，带批归一化"):
            assert found["梯度"][broken] > 0.1, broken


def test_no_sync_communicates_once(both):
    results = both[0]["累积"]
    assert results["每次都通信"][0] == 4
    assert results["no_sync"][0] == 1
    assert all(gap < 1e-6 for _, gap in results.values())


def test_speed_counts_the_samples_of_all_processes(both):
    assert all(value > 0 for found in both for value in found["吞吐"].values())


def test_script_trains_with_two_processes():
    script = ("-m", "dlbook.training.ddp_mnist", "--processes", "2")
    printed = ddp_experiments.run_command(*script, "--epochs", "2", "--images", "640")
    losses = [float(v) for v in re.findall(r"训练损失 ([\d.]+)", printed)]
    assert len(losses) == 2  # 只有 0 号进程打印
    assert losses[1] < losses[0]


def test_failing_command_is_reported():
    with pytest.raises(RuntimeError, match="状态 3"):
        ddp_experiments.run_command("-c", "raise SystemExit(3)")


# 两种时机：两个工作进程刚启动，还在导入；训练途中。
@pytest.mark.skipif(sys.platform != "linux", reason="只在 Linux 上保证立即结束")
@pytest.mark.parametrize("seconds", [0.1, 10])
def test_killed_caller_leaves_no_process_behind(seconds):
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    script = ("-m", "dlbook.training.ddp_mnist", "--epochs", "99")
    code = f"from dlbook.training import ddp_experiments as e; e.run_command(*{torchrun + script})"
    caller = subprocess.Popen([sys.executable, "-c", code])
    while len(children := descendants(caller.pid)) < 3:  # torchrun 与它起的两个进程
        assert caller.poll() is None
        time.sleep(0.05)
    time.sleep(seconds)
    caller.kill()
    caller.wait()
    deadline = time.monotonic() + 30
    while (alive := [pid for pid in children if is_running(pid)]) and time.monotonic() < deadline:
        time.sleep(0.2)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    assert not alive


def descendants(root):
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int(status(entry.name)[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def is_running(pid):
    with contextlib.suppress(OSError):
        return status(pid)[0] != "Z"
    return False


def status(pid):
    """/proc/<pid>/stat 里进程名之后的各项：状态、父进程……"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def test_speed_is_positive_with_one_process():
    speed = ddp_experiments.samples_per_second(steps=2, batch=8)
    assert all(value > 0 for value in speed.values())


def test_free_port_can_be_bound():
    assert 1024 <= ddp_mnist.free_port() <= 65535


def test_evaluate_counts_every_sample():
    class Constant(nn.Module):
        def forward(self, x):
            return nn.functional.one_hot(torch.full((len(x),), 3), 10).float()

    labels = torch.tensor([3, 3, 3, 1, 2])
    loader = DataLoader(TensorDataset(torch.zeros(5, 1), labels), batch_size=2)
    assert ddp_mnist.evaluate(Constant(), loader, torch.device("cpu")) == 3 / 5


@pytest.mark.parametrize("delay", [0.0, 0.001])
def test_slow_dataset(delay):
    dataset = SlowDataset(3, delay)
    assert len(dataset) == 3
    x, y = dataset[0]
    assert x.shape == (784,)
    assert y == 0


def test_autograd_graph_refuses_a_branching_graph():
    w = torch.tensor(2.0, requires_grad=True)
    with pytest.raises(ValueError, match="非叶子"):
        autograd_graph((w * 2) * (w + 1), {"$w$": w})
