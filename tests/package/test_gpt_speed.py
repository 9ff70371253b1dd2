"""GPT 训练的快慢：各级在 CPU 上都走得通、算得对；两个进程的 DDP；运算量的公式。"""

import itertools
import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dlbook.models.gpt import GPTConfig, define
from dlbook.training import gpt_speed

SMALL = GPTConfig(100, context=16, layers=2, heads=2, width=16, bias=True, gelu="tanh")
EAGER = gpt_speed.ladder(4, compiled=False)


def test_each_level_changes_one_thing():
    levels = gpt_speed.ladder()
    for a, b in itertools.pairwise(levels):
        changed = [f for f in a.__dataclass_fields__ if getattr(a, f) != getattr(b, f)]
        assert len(changed) == 2
        assert "name" in changed
    assert levels[-1].compiled
    assert levels[-1].padded
    assert not any(level.compiled for level in gpt_speed.ladder(compiled=False))


def test_every_level_trains_the_same_model():
    speeds = list(gpt_speed.climb(EAGER, SMALL, "cpu", steps=3, warmup=1))
    assert len(speeds) == len(EAGER)
    first = speeds[0]
    for level, speed in zip(EAGER, speeds, strict=True):
        # 补齐词表、混合精度只允许微小的差别；补齐之后候选多了，损失随 log V 变。
        expected = first.loss + (math.log(128 / 100) if level.padded else 0)
        assert speed.loss == pytest.approx(expected, abs=0.05)
        assert speed.tokens_per_second > 0
        assert speed.memory == 0
        assert math.isnan(speed.mfu)
        assert level.name in str(speed)
        assert "MFU" not in str(speed)


def test_precision_setting_is_restored():
    before = torch.get_float32_matmul_precision()
    gpt_speed.measure(EAGER[1], SMALL, "cpu", steps=1, warmup=0)
    assert torch.get_float32_matmul_precision() == before


def test_step_by_step_attention_matches_the_fused_one():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 10, 8, dtype=torch.float64)
    fused = torch.nn.functional.scaled_dot_product_attention
    for causal in (True, False):
        ours = gpt_speed.attend_step_by_step(q, k, v, dropout_p=0.0, is_causal=causal)
        torch.testing.assert_close(ours, fused(q, k, v, is_causal=causal))
    with pytest.raises(ValueError, match="dropout"):
        gpt_speed.attend_step_by_step(q, k, v, dropout_p=0.1, is_causal=True)


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, layers=3, width=24, context=8)])
def test_flops_match_the_counter(config):
    model = define(torch)(config)
    for block in model.blocks:
        block.attention.attend = gpt_speed.attend_step_by_step
    ids = torch.zeros(2, config.context, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        model(ids, ids)[1].backward()
    assert counter.get_total_flops() == 2 * config.context * gpt_speed.flops_per_token(config)


def test_peak_is_looked_up_by_name(monkeypatch):
    cuda = torch.device("cuda", 0)
    for name, peak in (
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
    ):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, name=name: name)
        assert gpt_speed.peak_flops(cuda) == peak
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA GeForce RTX 4090")
    assert math.isnan(gpt_speed.peak_flops(cuda))
    assert math.isnan(gpt_speed.peak_flops(torch.device("cpu")))


def test_two_processes(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "dlbook.training.gpt_speed"]
    command += ["--tiny", "--last", "--no-compile", "--micro-batch", "2", "--steps", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("2 个进程，cpu")
    assert "词元/秒" in lines[1]


def test_full_size_on_a_cpu_is_refused(capsys):
    with pytest.raises(SystemExit):
        gpt_speed.main(["--device", "cpu"])
    assert "--tiny" in capsys.readouterr().err
