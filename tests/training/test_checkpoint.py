"""检查点：存什么读回什么；残缺、损坏、外来、更新的文件说得清；写不成时原来的不动。"""

import errno
import os
import pickle
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from dlbook.training import (
    CheckpointError,
    Checkpoints,
    get_rng_state,
    load_checkpoint,
    preserved_rng,
    save_checkpoint,
    seed_everything,
    set_rng_state,
)
from dlbook.training import checkpoint as module
from tests.training.jobs import same

STATE = {
    "weights": torch.arange(6.0).reshape(2, 3),
    "bf16": torch.ones(3, dtype=torch.bfloat16),
    "nested": [1, (2.5, None, True), {"键": "值", 7: b"\x00"}, float("inf")],
}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "a.pt"
    save_checkpoint(path, STATE)
    return path


def test_roundtrip(saved):
    assert same(load_checkpoint(saved), STATE)
    assert os.listdir(saved.parent) == ["a.pt"]


def test_plain_torch_reads_it_too(saved):
    whole = torch.load(saved, weights_only=True)
    assert same(whole["state"], STATE)
    assert whole["versions"]["torch"] == torch.__version__
    assert zipfile.ZipFile(saved).testzip() is None


def test_every_kind_of_torch_state(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    optimizers = [
        kind(model.parameters(), lr=0.1)
        for kind in (torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop)
    ]
    schedulers = torch.optim.lr_scheduler
    schedules = [
        schedulers.OneCycleLR(optimizers[0], 0.1, 10),
        schedulers.MultiStepLR(optimizers[1], [2, 4]),
        schedulers.SequentialLR(
            optimizers[2],
            [schedulers.ConstantLR(optimizers[2]), schedulers.CosineAnnealingLR(optimizers[2], 5)],
            [2],
        ),
    ]
    model(torch.randn(4, 2)).sum().backward()
    for part in (*optimizers, *schedules):
        part.step()
    state = {"model": dict(model.state_dict())}
    state["parts"] = [part.state_dict() for part in (*optimizers, *schedules)]
    save_checkpoint(tmp_path / "a.pt", state)
    assert same(load_checkpoint(tmp_path / "a.pt"), state)


def test_loading_runs_no_code(tmp_path):
    path = tmp_path / "evil.pt"
    with open(path, "wb") as file:
        writer = module._SignedWriter(file)
        torch.save({"state": Path("x")}, writer)
        writer.finish()
    with pytest.raises(CheckpointError, match="内容不合格式"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": [1, Path("x")]}, r"state\['a'\]\[1\]"),
        ({"loss": np.float64(1)}, r"float64（在 state\['loss'\]）"),
        ({"f": lambda: 0}, "function"),
        ({"a": np.zeros(2)}, "ndarray"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(tmp_path, value, where):
    with pytest.raises(TypeError, match=where):
        save_checkpoint(tmp_path / "a.pt", value)
    assert os.listdir(tmp_path) == []


# 不对的文件


@pytest.mark.parametrize("left", [0.0, 0.01, 0.3, 0.7, 0.99, 0.9999])
def test_truncated(saved, left):
    raw = saved.read_bytes()
    saved.write_bytes(raw[: int(len(raw) * left)])
    with pytest.raises(CheckpointError, match=r"不完整|空的|不是检查点"):
        load_checkpoint(saved)


def test_every_damaged_byte_is_noticed(saved):
    raw = bytearray(saved.read_bytes())
    for position in random.Random(0).sample(range(len(raw)), 60):
        raw[position] ^= 1
        saved.write_bytes(raw)
        with pytest.raises(CheckpointError):
            load_checkpoint(saved)
        raw[position] ^= 1
    saved.write_bytes(raw)
    assert same(load_checkpoint(saved), STATE)


def test_damage_in_the_version(saved):
    """版本那几位坏了也说是损坏，不猜成别的版本。"""
    raw = saved.read_bytes()
    place = raw.rindex(b"0001 ")
    for position in range(place, place + 4):
        damaged = bytearray(raw)
        damaged[position] ^= 0x40  # 不再是数字
        saved.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="已损坏"):
            load_checkpoint(saved)


def test_foreign_files(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"state": {}}, path)
    with pytest.raises(CheckpointError, match=r"torch\.save 存的，请直接用 torch\.load"):
        load_checkpoint(path)
    path.write_bytes(pickle.dumps({}))
    with pytest.raises(CheckpointError, match="不是检查点（开头是 80"):
        load_checkpoint(path)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="空的"):
        load_checkpoint(path)
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "nowhere")


def test_newer_version(tmp_path, monkeypatch):
    path = tmp_path / "x.pt"
    monkeypatch.setattr(module, "VERSION", 2)
    save_checkpoint(path, STATE)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="第 2 版，这里只认识到第 1 版，请升级"):
        load_checkpoint(path)


# 写不成


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_failure_keeps_the_old_file(saved, monkeypatch, step):
    before = saved.read_bytes()

    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="检查点没有存成") as caught:
        save_checkpoint(saved, {"new": torch.ones(1000)})
    assert caught.value.errno == errno.ENOSPC
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


@pytest.mark.skipif(sys.platform == "win32", reason="没有 RLIMIT_FSIZE")
def test_full_disk(saved):
    """限制文件大小的进程里，写到一半就写不下去；torch.save 不崩溃，旧文件不动。"""
    before = saved.read_bytes()
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "import torch; from dlbook.training import save_checkpoint\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "save_checkpoint(sys.argv[1], {'x': torch.ones(100000)})"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(saved)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert result.returncode == 1
    assert "检查点没有存成" in result.stderr.splitlines()[-1]
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


# 一个文件夹的检查点


def test_keeps_the_last_and_the_best(tmp_path):
    checkpoints = Checkpoints(tmp_path / "新建" / "的", keep=2, metric="loss")
    assert checkpoints.load() is None and checkpoints.paths() == []
    for step in (1, 2, 3, 10):
        checkpoints.save(step, {"step": step}, best=step == 2)
    assert [path.name for path in checkpoints.paths()] == ["step-00000003.pt", "step-00000010.pt"]
    assert checkpoints.load() == {"step": 10}
    assert load_checkpoint(checkpoints.best) == {"step": 2}


def test_damaged_checkpoint_falls_back_to_the_one_before(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        path = checkpoints.save(step, {"step": step})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(UserWarning, match=r"不完整.*改用 step-00000001.pt"):
        assert checkpoints.load() == {"step": 1}
    first = checkpoints.paths()[0]
    first.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"没有一个检查点是完好的：.*不完整.*；.*空的"):
        checkpoints.load()


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    for name in ("step-last.pt", "step-.pt", "step-3.txt"):
        (tmp_path / name).write_bytes(b"x")
    checkpoints = Checkpoints(tmp_path, keep=1)
    assert checkpoints.load() is None
    checkpoints.save(1, {})
    checkpoints.save(2, {})
    assert sorted(os.listdir(tmp_path)) == [
        *("step-.pt", "step-00000002.pt", "step-3.txt", "step-last.pt")
    ]


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    (tmp_path / "step-00000001.pt.0a.tmp").write_bytes(b"x")
    (tmp_path / "别人的.tmp").write_bytes(b"x")
    Checkpoints(tmp_path).save(1, {})
    assert sorted(os.listdir(tmp_path)) == ["step-00000001.pt", "别人的.tmp"]


def test_which_is_better():
    smaller, larger = Checkpoints("x"), Checkpoints("x", larger_is_better=True)
    assert smaller.is_better([3.0]) and larger.is_better([3.0])
    assert smaller.is_better([3.0, 2.0]) and not larger.is_better([3.0, 2.0])
    assert not smaller.is_better([2.0, 3.0, 2.0]) and larger.is_better([1.0, 3.0, 4.0])
    assert not smaller.is_better([])
    with pytest.raises(ValueError, match="keep 应是正整数，收到 0"):
        Checkpoints("x", keep=0)


# 随机数


def draws():
    return random.random(), np.random.random(), np.random.normal(), torch.rand(2).tolist()


def test_rng_state_travels_through_a_file(tmp_path):
    seed_everything(5)
    first = draws()
    seed_everything(5)
    assert draws() == first
    np.random.normal(size=3)  # 正态分布一次出两个，剩一个存着
    save_checkpoint(tmp_path / "rng.pt", get_rng_state())
    expected = draws()
    seed_everything(6)
    set_rng_state(load_checkpoint(tmp_path / "rng.pt"))
    assert draws() == expected


def test_preserved_rng():
    seed_everything(1)
    expected = draws()
    seed_everything(1)
    with pytest.raises(ZeroDivisionError), preserved_rng():
        draws()
        raise ZeroDivisionError
    assert draws() == expected
