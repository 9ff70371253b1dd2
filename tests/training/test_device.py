"""选设备、搬数据。没有 GPU 的机器上，用替身检查分配 GPU 的规则。"""

from typing import NamedTuple

import pytest
import torch

from dlbook.training import move, pick_device, supports_bfloat16


@pytest.fixture
def gpus(monkeypatch):
    """假装有 count 块 GPU。"""

    def pretend(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.version, "cuda", "12.9")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    return pretend


def test_auto_prefers_the_gpu(gpus):
    gpus(0)
    assert pick_device() == torch.device("cpu") == pick_device("cpu")
    gpus(2)
    assert pick_device() == torch.device("cuda:0") == pick_device("cuda")
    assert pick_device("cuda:1") == torch.device("cuda:1")
    assert pick_device("cpu") == torch.device("cpu")


def test_each_process_gets_its_gpu(gpus, monkeypatch):
    gpus(4)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert pick_device() == torch.device("cuda:3") == pick_device("cuda")
    assert pick_device("cuda:0") == torch.device("cuda:0")
    gpus(2)
    with pytest.raises(ValueError, match="没有第 3 块 GPU：这台机器有 2 块"):
        pick_device()


def test_what_is_not_there(gpus, monkeypatch):
    with pytest.raises(ValueError, match="不认识的设备 '显卡'；应是 auto、cpu"):
        pick_device("显卡")
    gpus(0)
    with pytest.raises(ValueError, match="'cuda' 不可用：没有找到 GPU"):
        pick_device("cuda")
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(ValueError, match="'cuda:1' 不可用：这个 PyTorch 编译时没有带 CUDA"):
        pick_device("cuda:1")
    with pytest.raises(ValueError, match="没有可用的 mps"):
        pick_device("mps")


class Pair(NamedTuple):
    x: torch.Tensor
    name: str


def test_move_keeps_the_structure():
    x = torch.zeros(2)
    batch = {"a": [x, (x, 3)], "b": Pair(x, "名字"), "c": None}
    moved = move(batch, "meta")
    assert moved["a"][0].device.type == moved["a"][1][0].device.type == "meta"
    assert type(moved["b"]) is Pair and moved["b"].x.device.type == "meta"
    assert (moved["a"][1][1], moved["b"].name, moved["c"]) == (3, "名字", None)
    assert move(x, "cpu") is x  # 已经在那里，不复制


def test_bfloat16_is_asked_of_the_hardware():
    assert supports_bfloat16("cpu") in (True, False)
    assert not supports_bfloat16("meta")
