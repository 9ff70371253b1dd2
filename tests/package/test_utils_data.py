"""数据集、取样器、DataLoader：与 torch.utils.data 比较。"""

import collections
import inspect

import numpy as np
import pytest
import torch
import torch.utils.data as theirs
from hypothesis import given, settings
from hypothesis import strategies as st

import dlbook.utils.data as ours
from dlbook.autograd.tensor import Tensor
from dlbook.random import Generator, manual_seed

repeatable = settings(derandomize=True, database=None, deadline=None, max_examples=60)

PUBLIC = {
    name
    for name, value in vars(ours).items()
    if getattr(value, "__module__", "") == ours.__name__ and not name.startswith("_")
}
X = np.arange(14, dtype=np.float32).reshape(7, 2)
Y = np.arange(7)


def pair():
    return ours.TensorDataset(Tensor(X), Tensor(Y)), theirs.TensorDataset(
        torch.from_numpy(X), torch.from_numpy(Y)
    )


def assert_same(found, expected):
    if isinstance(expected, torch.Tensor):
        assert isinstance(found, Tensor)
        assert found.array.dtype == expected.numpy().dtype
        np.testing.assert_array_equal(found.array, expected.numpy(), strict=True)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple) and not (expected and isinstance(expected[0], str)):
        assert type(found) is type(expected) and len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert_same(a, b)
    else:
        assert found == expected


def test_every_public_name_is_torchs():
    assert {
        "Dataset", "TensorDataset", "Subset", "random_split", "Sampler", "SequentialSampler",
        "RandomSampler", "SubsetRandomSampler", "WeightedRandomSampler", "BatchSampler",
        "DataLoader", "default_collate",
    } == PUBLIC  # fmt: skip
    assert all(hasattr(theirs, name) for name in PUBLIC)


@pytest.mark.parametrize("name", sorted(PUBLIC - {"Dataset", "Sampler"}))
def test_signatures(name):
    def parameters(function):
        return [
            (p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()
        ]

    mine, expected = parameters(getattr(ours, name)), parameters(getattr(theirs, name))
    if name == "random_split":  # 缺省的发生器：torch 写的是对象，这里写 None
        assert [p[0] for p in mine] == [p[0] for p in expected]
    elif name == "default_collate":
        assert [p[0] for p in mine] == [
            p[0] for p in expected if p[1] != inspect._ParameterKind.KEYWORD_ONLY
        ]
    else:
        left_out = [p for p in expected if p not in mine]
        assert mine == [p for p in expected if p in mine]
        assert all(p[1] == inspect.Parameter.KEYWORD_ONLY for p in left_out)


def test_tensor_dataset_and_subset():
    mine, expected = pair()
    assert len(mine) == len(expected) == 7
    assert_same(mine[3], expected[3])
    assert_same(mine[-1], expected[-1])
    picks = [5, 0, 5]
    mine_part, expected_part = ours.Subset(mine, picks), theirs.Subset(expected, picks)
    assert len(mine_part) == 3
    assert_same(mine_part[0], expected_part[0])


@pytest.mark.parametrize("tensors", [(), (Tensor(X), Tensor(Y[:3]))])
def test_tensor_dataset_refuses(tensors):
    with pytest.raises(ValueError, match="样本数"):
        ours.TensorDataset(*tensors)


BATCHES = [
    dict(batch_size=3),
    dict(batch_size=3, drop_last=True),
    dict(batch_size=7),
    dict(batch_size=10),
    dict(batch_size=10, drop_last=True),
    dict(),
    dict(sampler=[4, 1, 1], batch_size=2),
    dict(batch_sampler=[[0, 1], [6]]),
]


@pytest.mark.parametrize("options", BATCHES)
@pytest.mark.parametrize("nested", [False, True])
def test_loader_gives_torchs_batches(options, nested):
    mine, expected = pair()
    if nested:
        for order in ([6, 5, 4, 3, 2, 1, 0], list(range(7))):
            mine, expected = ours.Subset(mine, order), theirs.Subset(expected, order)
    mine, expected = ours.DataLoader(mine, **options), theirs.DataLoader(expected, **options)
    assert len(mine) == len(expected) == len(list(mine))
    for _ in range(2):  # 可以反复遍历
        for found, want in zip(mine, expected, strict=True):
            assert_same(found, want)


@repeatable
@given(st.integers(1, 40), st.integers(1, 12), st.booleans(), st.integers(0, 2**32))
def test_shuffled_batches_partition_the_data(size, batch_size, drop_last, seed):
    dataset = ours.TensorDataset(Tensor(np.arange(size)))
    loader = ours.DataLoader(
        dataset, batch_size, True, drop_last=drop_last, generator=Generator().manual_seed(seed)
    )
    batches = [batch.tolist() for (batch,) in loader]
    seen = [i for batch in batches for i in batch]
    kept = size // batch_size * batch_size if drop_last else size
    assert len(loader) == len(batches) and len(seen) == len(set(seen)) == kept
    assert set(seen) <= set(range(size))


def test_shuffle_follows_the_seed():
    def orders(**options):
        loader = ours.DataLoader(range(50), batch_size=50, shuffle=True, **options)
        return [next(iter(loader)).tolist() for _ in range(2)]

    manual_seed(3)
    first = orders()
    manual_seed(3)
    assert orders() == first and first[0] != first[1]
    own = orders(generator=Generator().manual_seed(3))
    assert own == orders(generator=Generator().manual_seed(3))
    manual_seed(4)
    before = orders()
    manual_seed(4)
    orders(generator=Generator().manual_seed(9))
    assert orders() == before  # 自己的发生器不动用全局的


def test_custom_dataset_collate_and_subclasses():
    class Squares(ours.Dataset):
        def __getitem__(self, index):
            return {"x": np.float32(index), "y": index**2}

        def __len__(self):
            return 5

    batch = next(iter(ours.DataLoader(Squares(), batch_size=4)))
    assert_same(batch, {"x": torch.arange(4.0), "y": torch.arange(4) ** 2})
    raw = ours.DataLoader(Squares(), batch_size=2, collate_fn=lambda samples: len(samples))
    assert list(raw) == [2, 2, 1]

    class Doubled(ours.TensorDataset):
        def __getitem__(self, index):
            (x,) = super().__getitem__(index)
            return (x * 2,)

    (found,) = next(iter(ours.DataLoader(Doubled(Tensor(Y)), batch_size=7)))
    np.testing.assert_array_equal(found.array, Y * 2)


Point = collections.namedtuple("Point", "x y")
SAMPLES = {
    "浮点数": [1.0, 2.5],
    "整数": [1, 2],
    "布尔": [True, False],
    "字符串": ["a", "b"],
    "NumPy 标量": [np.float32(1), np.float32(2)],
    "NumPy 整数": [np.int64(1), np.int64(2)],
    "NumPy 数组": [np.ones((2, 3)), np.zeros((2, 3))],
    "元组": [(1.0, "a", 3), (2.0, "b", 4)],
    "列表": [[1, 2.0], [3, 4.0]],
    "具名元组": [Point(1, 2.0), Point(3, 4.0)],
    "字典": [{"a": 1, "b": [1.0]}, {"a": 2, "b": [2.0]}],
    "一个样本": [(1, 2.0)],
}


@pytest.mark.parametrize("name", SAMPLES)
def test_collate(name):
    samples = SAMPLES[name]
    assert_same(ours.default_collate(samples), theirs.default_collate(samples))


def test_collate_stacks_tensors_with_gradients():
    parts = [Tensor(np.ones(2, np.float32), requires_grad=True) for _ in range(3)]
    (
        ours.default_collate(parts) * Tensor(np.arange(6, dtype=np.float32).reshape(3, 2))
    ).sum().backward()
    assert [p.grad.tolist() for p in parts] == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("samples", "error"), [([(1, 2), (3,)], RuntimeError), ([object()] * 2, TypeError)]
)
def test_collate_refuses(samples, error):
    with pytest.raises(error, match=r"[\u4e00-\u9fff]"):
        ours.default_collate(samples)
    with pytest.raises(error):
        theirs.default_collate(samples)


@pytest.mark.parametrize(
    "lengths", [[3, 4], [7], [0, 7], [0.5, 0.5], [0.2, 0.3, 0.5], [1 / 3, 1 / 3, 1 / 3]]
)
def test_random_split(lengths):
    mine, expected = pair()
    parts = ours.random_split(mine, lengths, Generator().manual_seed(1))
    assert [len(p) for p in parts] == [len(p) for p in theirs.random_split(expected, lengths)]
    everything = [part[i][1].item() for part in parts for i in range(len(part))]
    assert sorted(everything) == list(range(7))
    again = ours.random_split(mine, lengths, Generator().manual_seed(1))
    assert [p.indices for p in again] == [p.indices for p in parts]


def test_random_split_refuses_and_warns():
    mine, _ = pair()
    for lengths in ([3, 3], [1.5, -0.5]):
        with pytest.raises(ValueError, match=r"[\u4e00-\u9fff]"):
            ours.random_split(mine, lengths)
    with pytest.warns(UserWarning, match="没有样本"):
        ours.random_split(ours.TensorDataset(Tensor(Y[:1])), [0.5, 0.5])


def test_random_sampler_counts():
    for replacement, number in ((False, None), (False, 3), (False, 17), (True, 40), (True, None)):
        sampler = ours.RandomSampler(range(7), replacement, number, Generator().manual_seed(0))
        drawn = list(sampler)
        assert len(sampler) == len(drawn) == (number or 7) and set(drawn) <= set(range(7))
        if not replacement:
            assert all(
                sorted(drawn[i : i + 7]) == list(range(7)) for i in range(0, len(drawn) - 6, 7)
            )


def test_permutations_are_uniform():
    manual_seed(0)
    counts = collections.Counter(tuple(ours.RandomSampler(range(3))) for _ in range(6000))
    assert len(counts) == 6 and all(abs(n - 1000) < 150 for n in counts.values())


def test_weighted_sampler_frequencies():
    weights = [0.0, 1.0, 3.0]
    sampler = ours.WeightedRandomSampler(weights, 8000, generator=Generator().manual_seed(0))
    counts = np.bincount(list(sampler), minlength=3)
    assert len(sampler) == 8000 and counts[0] == 0 and abs(counts[2] / 8000 - 0.75) < 0.02
    drawn = list(ours.WeightedRandomSampler(weights, 2, False, Generator().manual_seed(0)))
    assert sorted(drawn) == [1, 2]


def test_other_samplers():
    assert list(ours.SequentialSampler(range(3))) == [0, 1, 2]
    sampler = ours.SubsetRandomSampler([4, 8, 9], Generator().manual_seed(0))
    assert len(sampler) == 3 and sorted(sampler) == [4, 8, 9]
    batches = ours.BatchSampler(iter(range(5)), 2, False)
    assert list(batches) == [[0, 1], [2, 3], [4]]


DATA = ours.TensorDataset(Tensor(X))
REFUSED = [
    (lambda: ours.DataLoader(DATA, num_workers=2), NotImplementedError),
    (lambda: ours.DataLoader(DATA, pin_memory=True), NotImplementedError),
    (lambda: ours.DataLoader(DATA, batch_size=None), NotImplementedError),
    (lambda: ours.DataLoader(DATA, batch_size=0), ValueError),
    (lambda: ours.DataLoader(DATA, batch_size=2.0), ValueError),
    (lambda: ours.DataLoader(DATA, shuffle=True, sampler=[1]), ValueError),
    (lambda: ours.DataLoader(DATA, batch_size=2, batch_sampler=[[1]]), ValueError),
    (lambda: ours.DataLoader(DATA, drop_last=1), ValueError),
    (lambda: ours.DataLoader([], shuffle=True), ValueError),
    (lambda: ours.RandomSampler(DATA, num_samples=0), ValueError),
    (lambda: ours.WeightedRandomSampler([[1.0]], 1), ValueError),
    (lambda: ours.WeightedRandomSampler([-1.0, 2.0], 1), ValueError),
    (lambda: ours.WeightedRandomSampler([0.0], 1), ValueError),
    (lambda: ours.WeightedRandomSampler([1.0, 0.0], 2, False), ValueError),
    (lambda: ours.WeightedRandomSampler([1.0], 0), ValueError),
    (lambda: ours.Dataset()[0], NotImplementedError),
    (lambda: iter(ours.Sampler()), NotImplementedError),
]


@pytest.mark.parametrize(("build", "error"), REFUSED)
def test_refusals(build, error):
    with pytest.raises(error, match=r"[\u4e00-\u9fff]"):
        build()
