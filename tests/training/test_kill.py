"""任何时刻被 kill -9，接着训练，最后的参数与损失曲线和没有中断过的训练逐位相同。"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dlbook.training import Checkpoints, load_checkpoint
from tests.training import jobs

REPO = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="要用 fork")


@pytest.fixture(scope="module")
def server():
    """分叉服务器；call(**命令) 发一条命令，返回它的回答。"""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.training.jobs", "serve"],
        cwd=REPO,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )

    def call(**command):
        process.stdin.write(json.dumps(command) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield call
    process.stdin.close()
    process.wait(timeout=10)


def finish(server, **command):
    """跑到完。"""
    pid = server(**command)["pid"]
    assert server(wait=pid)["exit"] == 0


@pytest.fixture(scope="module")
def whole(server, tmp_path_factory):
    """没有中断过的训练的结果。"""
    folder = tmp_path_factory.mktemp("whole")
    finish(server, folder=str(folder / "run"), result=str(folder / "result.pt"))
    return load_checkpoint(folder / "result.pt")


def check(server, whole, folder):
    """接着训练到完，与没有中断过的比较；文件夹里没有残留。"""
    result = folder.with_suffix(".result")
    finish(server, folder=str(folder), result=str(result))
    assert jobs.same(load_checkpoint(result), whole)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["best.pt", "step-00000056.pt", "step-00000057.pt", "step-00000060.pt"]


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_moments(server, whole, tmp_path, seed):
    """4 × 5 = 20 个随机的时刻；同一个训练连着被杀五次。

    每次等检查点走到某一步，再等随机的一小会儿：机器忙闲不同，落在哪条指令上也就不同。
    """
    rng = random.Random(seed)
    folder = tmp_path / "run"
    for step in sorted(rng.sample(range(jobs.STEPS - 6), 5)):
        pid = server(folder=str(folder))["pid"]
        deadline = time.monotonic() + 120
        while reached(folder) < step:
            assert time.monotonic() < deadline, f"等不到第 {step} 步"
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        assert server(wait=pid)["exit"] in (-signal.SIGKILL, 0)
    check(server, whole, folder)


def reached(folder):
    paths = Checkpoints(folder).paths()
    return int(paths[-1].stem[5:]) if paths else 0


@pytest.mark.parametrize("call", ["fsync", "replace", "unlink"])
@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_killed_inside_a_save(server, whole, tmp_path, call, count):
    """存检查点的每一步之前：落盘、改名、删除旧的。"""
    folder = tmp_path / "run"
    pid = server(folder=str(folder), call=call, count=count)["pid"]
    assert server(wait=pid)["exit"] == -signal.SIGKILL
    for path in Checkpoints(folder).paths():
        load_checkpoint(path)  # 留下的都是完好的
    check(server, whole, folder)
