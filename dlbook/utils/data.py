"""数据集、取样顺序与按批读取，名字与用法同 ``torch.utils.data``。

一批数据是这样来的：取样器给出一批编号，数据集按编号给出样本，拼批函数把样本叠成张量。

书中：sec-bp-tools
"""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from typing import Any

import numpy as np

from dlbook.autograd.dtypes import float64
from dlbook.autograd.ops.creation import from_numpy, tensor
from dlbook.autograd.ops.shapes import stack
from dlbook.autograd.tensor import Tensor
from dlbook.random import Generator, source


class Dataset:
    """按编号取样本的数据集；子类写 ``__getitem__(index)`` 与 ``__len__()``。

    书中：sec-bp-tools
    """

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} 没有写 __getitem__(index)")


class TensorDataset(Dataset):
    """几个张量按第 0 维对齐：第 i 个样本是 ``(tensors[0][i], tensors[1][i], …)``。

    各张量第 0 维的长度须相同，否则抛出 ValueError。

    书中：sec-bp-tools
    """

    def __init__(self, *tensors: Tensor) -> None:
        sizes = [len(tensor) for tensor in tensors]
        if len(set(sizes)) != 1:
            raise ValueError(f"各张量的样本数（第 0 维）应相同且至少有一个张量，收到 {sizes}")
        self.tensors = tensors

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def take(self, indices: Sequence[int]) -> list[Tensor]:
        """一次取出一批，与逐个取出再 :func:`default_collate` 的结果相同，快得多。"""
        rows = np.asarray(indices, dtype=np.int64)
        return [tensor[rows] for tensor in self.tensors]


class Subset(Dataset):
    """dataset 里由 indices 选出的那些样本，按 indices 的次序。

    书中：sec-bp-tools
    """

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(
    dataset: Dataset, lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset]:
    """把 dataset 随机分成互不相交的几份，各份的样本数由 lengths 给出。

    lengths 之和为 1 时看作比例：先向下取整，余下的从第一份起每份轮流加一。
    个数之和不等于 len(dataset)、比例不在 0 与 1 之间，抛出 ValueError。

    书中：sec-bp-tools
    """
    total = len(dataset)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        lengths = _counts(lengths, total)
    if sum(lengths) != total:
        raise ValueError(f"各份的样本数 {list(lengths)} 之和应等于总数 {total}")
    order = source(generator).permutation(total).tolist()
    ends = accumulate(lengths)
    return [Subset(dataset, order[end - n : end]) for end, n in zip(ends, lengths, strict=True)]


def _counts(fractions: Sequence[float], total: int) -> list[int]:
    if any(not 0 <= fraction <= 1 for fraction in fractions):
        raise ValueError(f"各份的比例应在 0 与 1 之间，收到 {list(fractions)}")
    counts = [math.floor(total * fraction) for fraction in fractions]
    for i in range(total - sum(counts)):
        counts[i % len(counts)] += 1
    if 0 in counts:
        warnings.warn(f"有的份没有样本：{counts}", stacklevel=3)
    return counts


# 取样器：给出编号的次序


class Sampler:
    """取样器的基类；子类写 ``__iter__()``，逐个给出样本的编号，并写 ``__len__()``。

    书中：sec-bp-tools
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} 没有写 __iter__()")


class SequentialSampler(Sampler):
    """0, 1, 2, …，依次到最后一个样本。

    书中：sec-bp-tools
    """

    def __init__(self, data_source: Dataset) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """每一轮打乱次序，每个样本恰好一次；replacement=True 时有放回地抽。

    num_samples 缺省为样本总数；不放回而 num_samples 超过总数时，抽完一轮再打乱一轮。

    书中：sec-bp-tools
    """

    def __init__(
        self,
        data_source: Dataset,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source, self.replacement = data_source, replacement
        self._num_samples, self.generator = num_samples, generator
        _check_positive("num_samples（缺省为样本总数）", self.num_samples)

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        rng, total = source(self.generator), len(self.data_source)
        if self.replacement:
            yield from rng.integers(total, size=self.num_samples).tolist()
            return
        left = self.num_samples
        while left > 0:
            yield from rng.permutation(total)[:left].tolist()
            left -= total

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """把给定的编号打乱，每个恰好一次。

    书中：sec-bp-tools
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        for i in source(self.generator).permutation(len(self.indices)).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """按权重抽 num_samples 个编号：第 i 个样本被抽到的机会与 weights[i] 成正比。

    weights 不必归一，不能有负数；不放回时 num_samples 不能超过非零权重的个数。

    书中：sec-bp-tools
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        _check_positive("num_samples", num_samples)
        self.weights = np.asarray(weights, dtype=np.float64)
        if self.weights.ndim != 1:
            raise ValueError(f"weights 应是一维的，收到形状 {self.weights.shape}")
        if not (self.weights >= 0).all() or not 0 < self.weights.sum() < math.inf:
            raise ValueError("weights 应非负、有限，且不全为零")
        if not replacement and num_samples > np.count_nonzero(self.weights):
            raise ValueError(f"不放回地抽不出 {num_samples} 个：权重非零的样本没有那么多")
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        rng, p = source(self.generator), self.weights / self.weights.sum()
        picked = rng.choice(len(p), self.num_samples, replace=self.replacement, p=p)
        return iter(picked.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """把 sampler 给出的编号每 batch_size 个编成一批；drop_last=True 时丢掉末尾不足的一批。

    书中：sec-bp-tools
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        _check_positive("batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last 应是 True 或 False，收到 {drop_last!r}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        full, rest = divmod(len(self.sampler), self.batch_size)
        return full + (rest > 0 and not self.drop_last)


def _check_positive(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} 应是正整数，收到 {value!r}")


# 拼批与读取


def default_collate(batch: Sequence[Any]) -> Any:
    """把一批样本拼成一份：张量叠出第 0 维，数变成一维张量，元组、列表、字典逐项拼。

    元组拼成 list（与 torch 相同），具名元组与字典保持原来的结构，字符串原样收进列表。
    Python 的浮点数成为 float64，整数成为 int64；样本的结构不一致抛出 RuntimeError 等错误，
    不认识的类型抛出 TypeError。

    书中：sec-bp-tools
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(batch)
    if isinstance(first, np.ndarray | np.generic):
        return from_numpy(np.stack(batch))
    if isinstance(first, bool | int | float):
        return tensor(list(batch), dtype=float64 if isinstance(first, float) else None)
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, Sequence):
        sizes = sorted({len(sample) for sample in batch})
        if len(sizes) > 1:
            raise RuntimeError(f"一批里各个样本的项数应相同，收到 {sizes}")
        items = [default_collate(column) for column in zip(*batch, strict=True)]
        return type(first)(*items) if hasattr(first, "_fields") else items
    raise TypeError(
        f"不会拼 {type(first).__name__}；样本应由张量、数组、数、字符串与它们组成的元组、列表、"
        "字典构成，否则请传 collate_fn"
    )


class DataLoader:
    """每次迭代把 dataset 从头到尾读一遍，一次给出一批。

    shuffle=True 每一轮重新打乱；也可以自己给 sampler（编号的次序），或给 batch_sampler
    （每批的编号）。collate_fn 把一列样本拼成一批，缺省为 :func:`default_collate`。
    generator 只管打乱的次序，缺省用 ``manual_seed`` 设定的那一个。

    互相冲突的参数抛出 ValueError。只在本进程里读：num_workers、pin_memory 等只接受缺省值，
    batch_size=None（不拼批）也不支持，都抛出 NotImplementedError。

    书中：sec-bp-tools
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: object = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
    ) -> None:
        parallel = (num_workers, pin_memory, timeout, prefetch_factor, persistent_workers)
        if any(parallel) or worker_init_fn or multiprocessing_context:
            raise NotImplementedError("DataLoader 只在本进程里读数据，请去掉 num_workers 等参数")
        if batch_size is None:
            raise NotImplementedError("不支持 batch_size=None；要逐个取样本，直接写 dataset[i]")
        if sampler is not None and shuffle:
            raise ValueError("给了 sampler 就由它决定次序，不能再写 shuffle=True")
        if batch_sampler is None:
            if sampler is None:
                sampler = (
                    RandomSampler(dataset, generator=generator)
                    if shuffle
                    else SequentialSampler(dataset)
                )
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        elif batch_size != 1 or shuffle or sampler is not None or drop_last:
            raise ValueError(
                "给了 batch_sampler，就不能再给 batch_size、shuffle、sampler 或 drop_last"
            )
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.sampler, self.batch_sampler, self.generator = sampler, batch_sampler, generator
        self.collate_fn = default_collate if collate_fn is None else collate_fn

    def __iter__(self) -> Iterator[Any]:
        for indices in self.batch_sampler:
            yield self._fetch(indices)

    def _fetch(self, indices: list[int]) -> Any:
        dataset = self.dataset
        if self.collate_fn is default_collate:
            while type(dataset) is Subset:  # 子类可能改写了 __getitem__，不走近路
                indices = [dataset.indices[i] for i in indices]
                dataset = dataset.dataset
            if type(dataset) is TensorDataset:
                return dataset.take(indices)
        return self.collate_fn([dataset[i] for i in indices])

    def __len__(self) -> int:
        return len(self.batch_sampler)
