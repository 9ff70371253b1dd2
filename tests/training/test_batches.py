"""内存中的批：与 DataLoader + DistributedSampler 逐批相同，能从任何一批接着来。"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from dlbook.training import Batches

repeatable = settings(derandomize=True, database=None, deadline=None, max_examples=80)


def tensors(n):
    return torch.arange(n, dtype=torch.float32)[:, None] * torch.ones(3), torch.arange(n)


@st.composite
def settings_of_batches(draw):
    world_size = draw(st.integers(1, 5))
    return {
        "n": draw(st.integers(1, 30)),
        "batch_size": draw(st.integers(1, 8)),
        "shuffle": draw(st.booleans()),
        "seed": draw(st.integers(0, 100)),
        "drop_last": draw(st.booleans()),
        "world_size": world_size,
        "rank": draw(st.integers(0, world_size - 1)),
    }


def same(ours, theirs):
    ours, theirs = list(ours), list(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert len(a) == len(b)
        assert all(torch.equal(x, y) and x.dtype == y.dtype for x, y in zip(a, b, strict=True))


@repeatable
@given(settings_of_batches())
def test_same_as_dataloader_with_distributed_sampler(options):
    data = tensors(options.pop("n"))
    dataset = TensorDataset(*data)
    sampler = DistributedSampler(
        dataset,
        num_replicas=options["world_size"],
        rank=options["rank"],
        shuffle=options["shuffle"],
        seed=options["seed"],
        drop_last=options["drop_last"],
    )
    loader = DataLoader(
        dataset, options["batch_size"], sampler=sampler, drop_last=options["drop_last"]
    )
    batches = Batches(*data, **options)
    assert len(batches) == len(loader) and batches.samples == len(sampler)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        same(batches, loader)  # 每迭代一次，轮数加一
    batches.set_epoch(1)
    sampler.set_epoch(1)
    same(batches, loader)


@repeatable
@given(settings_of_batches(), st.integers(0, 5), st.integers(0, 35))
def test_any_epoch_resumes_at_any_batch(options, epoch, start):
    batches = Batches(*tensors(options.pop("n")), **options)
    same(batches.epoch(epoch, start), list(batches.epoch(epoch))[start:])


def test_each_sample_once_and_a_new_order_each_epoch():
    batches = Batches(torch.arange(20), batch_size=6)
    epochs = [torch.cat([x for (x,) in batches]).tolist() for _ in range(3)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_five_samples_two_processes():
    """书里的例子：补上一个重复的样本，或舍去一个。"""
    data = torch.arange(5)

    def shares(**options):
        return [
            Batches(data, batch_size=9, shuffle=False, rank=rank, world_size=2, **options).order(0)
            for rank in (0, 1)
        ]

    assert [share.tolist() for share in shares()] == [[0, 2, 4], [1, 3, 0]]
    assert [share.tolist() for share in shares(drop_last=True)] == [[0, 2], [1, 3]]


def test_processes_share_each_batch_of_one_process():
    """k 个进程、每个 b 个样本的一批，合起来就是一个进程的第几批 k·b 个样本。"""
    data = torch.arange(24)
    whole = Batches(data, batch_size=6, seed=5)
    parts = [Batches(data, batch_size=2, seed=5, rank=r, world_size=3) for r in range(3)]
    for epoch in range(2):
        shares = zip(*(part.epoch(epoch) for part in parts), strict=True)
        for (batch,), share in zip(whole.epoch(epoch), shares, strict=True):
            assert sorted(batch.tolist()) == sorted(torch.cat([x for (x,) in share]).tolist())


def test_transform_has_its_own_randomness():
    x, y = tensors(12)

    def noisy(x, y, rng):
        return x + torch.from_numpy(rng.normal(size=x.shape).astype(np.float32)), y

    batches = Batches(x, y, batch_size=5, transform=noisy, seed=1)
    first = list(batches.epoch(2))
    torch.manual_seed(9)
    same(batches.epoch(2, 1), first[1:])
    assert not torch.equal(first[0][0], next(batches.epoch(3))[0])


def test_arrays_are_welcome():
    (x,) = next(iter(Batches(np.arange(4.0), batch_size=4, shuffle=False)))
    assert x.dtype == torch.float64 and x.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((torch.zeros(3), torch.zeros(4)), {}, r"样本数.*\[3, 4\]"),
        ((torch.zeros(0),), {}, "不为零"),
        ((torch.zeros(3),), {"batch_size": 0}, "batch_size 应是正整数，收到 0"),
        ((torch.zeros(3),), {"batch_size": 1.5}, "batch_size 应是正整数，收到 1.5"),
        ((torch.zeros(3),), {"rank": 2, "world_size": 2}, "rank 应在 0 与 1 之间，收到 2"),
    ],
)
def test_errors(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        Batches(*arguments, **{"batch_size": 2} | options)


def test_length_without_a_full_batch():
    assert len(Batches(torch.zeros(3), batch_size=4, drop_last=True)) == 0
    assert len(Batches(torch.zeros(9), batch_size=4)) == math.ceil(9 / 4)
