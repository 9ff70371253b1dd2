"""模块、优化器、数据集的每个公开方法，PyTorch 的同名类也都有，参数的名字也都是那里的。

张量自己的方法与各个函数在 test_ops_parity.py；这里管类。
"""

import inspect

import pytest
import torch

import dlbook
from dlbook import nn, optim
from dlbook.optim import lr_scheduler
from dlbook.utils import data

# torch 没有的方法，各有原因。
OWN = {
    ("MultiheadAttention", "reset_parameters"),  # torch 里叫 _reset_parameters
    ("TensorDataset", "take"),  # DataLoader 一次取一批的近路
}
# 参数名不同的：一个方法服务两个类，torch 在两个类里用了两个名字。
RENAMED = {("Sequential", "extend")}


def classes(module, twin):
    for name in dir(module):
        cls = getattr(module, name)
        ours = inspect.isclass(cls) and cls.__module__.startswith("dlbook.")
        if ours and hasattr(twin, name) and not issubclass(cls, dlbook.Tensor):
            yield cls, getattr(twin, name)


PAIRS = [
    *classes(nn, torch.nn),
    *classes(optim, torch.optim),
    *classes(lr_scheduler, torch.optim.lr_scheduler),
    *classes(data, torch.utils.data),
    (dlbook.Generator, torch.Generator),
]


def test_all_public_classes_are_here():
    names = {cls.__name__ for cls, _ in PAIRS}
    assert {"Module", "Conv2d", "AdamW", "StepLR", "DataLoader", "Generator"} <= names
    assert len(names) > 50


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda cls: cls.__name__)
def test_every_public_method_is_torchs(ours, theirs):
    for name in dir(ours):
        if name.startswith("_") or (ours.__name__, name) in OWN:
            continue
        assert hasattr(theirs, name), f"torch 的 {ours.__name__} 没有 {name}"
        method, twin = getattr(ours, name), getattr(theirs, name)
        if not (inspect.isfunction(method) and inspect.isfunction(twin)):
            continue
        mine = inspect.signature(method).parameters
        general = any(p.kind == p.VAR_POSITIONAL for p in mine.values())
        if not general and (ours.__name__, name) not in RENAMED:
            extra = set(mine) - set(inspect.signature(twin).parameters)
            assert not extra, f"{ours.__name__}.{name} 多出参数 {extra}"
