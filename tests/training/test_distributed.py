"""几个真的进程：结果与一个进程相同；有一个被杀、出错、被打断，都干净地收场。"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from dlbook.training import distributed, load_checkpoint
from dlbook.training.distributed import DistributedError, launch
from tests.training import jobs

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """两个进程各做一遍 jobs.report_everything。"""
    folder = tmp_path_factory.mktemp("two")
    return launch(jobs.report_everything, 2, folder)


def alive(pid):
    """pid 还在运行（僵尸不算）。"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if sys.platform == "linux":
        stat = Path(f"/proc/{pid}/stat")
        return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "等得太久"
        time.sleep(0.02)


def pids_in(folder):
    return [int(path.read_text()) for path in folder.glob("*.pid") if path.read_text()]


# 一切正常


def test_without_a_group_there_is_one_process():
    assert (distributed.rank(), distributed.world_size(), distributed.is_main()) == (0, 1, True)
    with distributed.session():
        assert not torch.distributed.is_initialized()
    model = jobs.toy_model()
    assert distributed.wrap(model) is model
    assert distributed.from_main(lambda: 3) == 3
    assert distributed.gather_objects("x") == ["x"]
    assert distributed.gather(torch.tensor([1.0, 2.0])).tolist() == [[1.0, 2.0]]


def test_each_process_knows_who_it_is(reports):
    assert [(r["rank"], r["world"], r["group"], r["threads"]) for r in reports] == [
        (0, 2, True, 1),
        (1, 2, True, 1),
    ]


def test_messages(reports):
    for found in reports:
        assert found["gather"] == [[0.5, 7.0], [1.5, 7.0]]
        assert found["objects"] == [{"rank": 0}, {"rank": 1}]
        assert found["from_main"] == "来自 0"
        assert found["error"] == "division by zero"


@pytest.mark.parametrize("kind", ["gradient", "accumulated"])
def test_averaged_gradient_is_the_gradient_of_the_whole_batch(reports, kind):
    x, y = jobs.toy_data()
    whole = jobs.gradient_of(jobs.toy_model().double(), x.double(), y)
    for found in reports:
        torch.testing.assert_close(found[kind], whole, rtol=1e-6, atol=1e-12)


def test_batches_take_the_share_of_their_process(reports):
    both = [found["own"] for found in reports]
    assert sorted(both[0] + both[1]) == list(range(10))


def test_two_processes_train_like_one(reports, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "shaky", None)
    toy_model = jobs.toy_model
    monkeypatch.setattr(jobs, "toy_model", lambda **_: toy_model())
    alone = jobs.result_of(*jobs.toy_training(tmp_path))
    for found in reports:
        torch.testing.assert_close(found["train"]["loss"], alone["loss"], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found["train"]["model"], alone["model"], rtol=1e-4, atol=1e-6)
    assert jobs.same(reports[0]["train"], reports[1]["train"])


def test_nan_on_one_process_stops_all_and_names_the_batch(reports):
    for found in reports:
        step, epoch, batch, rank, message = found["nan"]
        assert (step, epoch, batch, rank) == (4, 0, 3, 1)
        assert "第 4 步的损失是 nan" in message and "第 1 号进程的第 0 轮第 3 批" in message


def test_full_disk_stops_all(reports):
    for found in reports:
        assert "检查点没有存成" in found["full"][1]


# 出事


def test_killed_process_ends_all(tmp_path):
    with pytest.raises(DistributedError, match="第 1 号进程被信号 SIGKILL 杀死"):
        launch(jobs.killed, 2, 1, tmp_path)
    assert time.time() - float((tmp_path / "death").read_text()) < 30
    pids = pids_in(tmp_path)
    assert len(pids) == 2 and not any(map(alive, pids))


def test_error_in_one_process_is_raised_here():
    with pytest.raises(LookupError, match="一号出错") as caught:
        launch(jobs.fails, 2)
    assert "发生在第 1 号进程" in caught.value.__notes__[0]


def test_result_that_cannot_travel():
    with pytest.raises(DistributedError, match="传不回来"):
        launch(jobs.unpicklable, 1)


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGINT])
def test_processes_die_with_the_one_that_launched_them(tmp_path, death):
    """书的构建被打断、被杀，它起的进程也要结束。"""
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.training.jobs", "launch_sleepers", str(tmp_path)],
        cwd=REPO,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: len(pids_in(tmp_path)) == 2)
    parent.send_signal(death)
    parent.wait(timeout=30)
    wait_for(lambda: not any(map(alive, pids_in(tmp_path))), 30)


def test_no_process_makes_no_sense():
    with pytest.raises(ValueError, match="正整数"):
        launch(jobs.fails, 0)


@pytest.fixture
def busy_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_port_in_use(busy_port):
    with pytest.raises(DistributedError, match=f"端口 {busy_port} 用不了，多半已被别的程序占用"):
        launch(jobs.fails, 2, port=busy_port)


def test_port_in_use_by_hand(busy_port, monkeypatch):
    """自己设环境变量、自己起进程时，端口被占。"""
    monkeypatch.setattr(distributed, "die_with_parent", lambda: None)
    for name, value in {"RANK": 0, "WORLD_SIZE": 1, "MASTER_PORT": busy_port}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(DistributedError, match="缺 MASTER_ADDR"), distributed.session():
        pass
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(DistributedError, match=f"端口 {busy_port} 已被"), distributed.session():
        pass


# torchrun


def torchrun(*arguments, restarts=0):
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc_per_node", "2", "--max-restarts", str(restarts), *arguments),
        ],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_torchrun_ends_all_when_one_is_killed(tmp_path):
    """不重启：1 号进程被杀，另一个说出原因，torchrun 报错，30 秒之内都结束。"""
    run = torchrun("-m", "tests.training.jobs", "killed", "1", str(tmp_path))
    assert time.time() - float((tmp_path / "death").read_text()) < 30
    assert run.returncode != 0
    assert "第 0 号进程与别的进程断了联系" in run.stderr, run.stderr
    assert "SIGKILL" in run.stderr
    pids = pids_in(tmp_path)
    assert len(pids) == 2 and not any(map(alive, pids))


def test_torchrun_restarts_from_the_last_checkpoint(tmp_path, reports):
    """1 号进程在一半被杀，torchrun 重启，结果与没有出过事的一样。"""
    run = torchrun("-m", "tests.training.jobs", "restart", str(tmp_path), restarts=1)
    assert run.returncode == 0, run.stderr
    found = load_checkpoint(tmp_path / "result.pt")
    assert jobs.same(found["model"], reports[0]["train"]["model"])
    assert jobs.same(found["loss"], reports[0]["train"]["loss"])
