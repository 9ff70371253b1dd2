"""n 元模型：数一数前 n − 1 个词元之后出现过什么，用来做神经网络要超过的基线。

词元序列一律以起始词元开头（它只作上文，不作预测的目标），本书里是换行。

书中：sec-lm-ngram
"""

from collections.abc import Sequence

import numpy as np


class _NGram:
    """两种 n 元模型共有的部分：把上文与目标编成整数、求损失、采样。"""

    def __init__(self, vocab_size: int, order: int) -> None:
        if order < 1 or vocab_size**order >= 2**63:
            raise ValueError(f"order 至少是 1，且 {vocab_size}**order 要小于 2**63，收到 {order}")
        self.vocab_size, self.order = vocab_size, order

    def nats(self, sequences: Sequence[Sequence[int]]) -> np.ndarray:
        """每个目标的负对数概率（奈特），各序列首尾相接，形状（目标总数,）。

        书中：sec-lm-ngram
        """
        return -np.log(self._probabilities(self._grams(sequences)))

    def distribution(self, context: Sequence[int]) -> np.ndarray:
        """上文 context（以起始词元开头）之后，下一个词元的概率分布，形状 (vocab_size,)。

        书中：sec-lm-ngram
        """
        first = self._grams([[*context, 0]])[-1]
        return self._probabilities(first + np.arange(self.vocab_size))

    def sample(self, start: int, stop: int, limit: int, rng: np.random.Generator) -> list[int]:
        """从 start 起逐个采样，直到采到 stop 或满 limit 个；返回采到的编号，不含 start 与 stop。

        书中：sec-lm-ngram
        """
        ids = [start]
        while len(ids) <= limit:
            ids.append(int(rng.choice(self.vocab_size, p=self.distribution(ids))))
            if ids[-1] == stop:
                return ids[1:-1]
        return ids[1:]

    def _grams(self, sequences: Sequence[Sequence[int]]) -> np.ndarray:
        """每个目标连同它前面 order − 1 个词元，编成一个 vocab_size 进制的整数。

        开头的上文不够长，用起始词元补足。
        """
        flat: list[int] = []
        target: list[bool] = []
        for ids in sequences:
            padding = max(self.order - 2, 0)
            flat += [ids[0]] * padding
            flat += ids
            target += [False] * (padding + 1) + [True] * (len(ids) - 1)
        ids, grams = np.array(flat, np.int64), np.zeros(len(flat), np.int64)
        for back in range(self.order):
            grams[back:] += ids[: len(ids) - back] * self.vocab_size**back
        return grams[np.array(target, bool)]


class AddK(_NGram):
    """加 k 平滑的 n 元模型：每种可能都当作多见过 k 次。order=1 是一元，2 是二元。

    书中：sec-lm-ngram
    """

    def __init__(
        self, sequences: Sequence[Sequence[int]], vocab_size: int, *, order: int, k: float
    ) -> None:
        super().__init__(vocab_size, order)
        self.k = k
        grams = self._grams(sequences)
        self._counts = _Table(*np.unique(grams, return_counts=True))
        self._contexts = _Table(*np.unique(grams // vocab_size, return_counts=True))

    def _probabilities(self, grams: np.ndarray) -> np.ndarray:
        counts, totals = self._counts[grams], self._contexts[grams // self.vocab_size]
        return (counts + self.k) / (totals + self.k * self.vocab_size)


class KneserNey(_NGram):
    """插值的改进 Kneser–Ney 平滑：从每个计数里扣下一点，留给短一些的上文去分配。

    书中：sec-lm-ngram
    """

    def __init__(self, sequences: Sequence[Sequence[int]], vocab_size: int, *, order: int) -> None:
        super().__init__(vocab_size, order)
        grams, counts = np.unique(self._grams(sequences), return_counts=True)
        self._levels = [_Level(grams, counts, vocab_size)]
        for k in range(order - 1, 0, -1):
            # 低阶数的不是次数，而是“前面接过多少种不同的词元”。
            grams, counts = np.unique(grams % vocab_size**k, return_counts=True)
            self._levels.insert(0, _Level(grams, counts, vocab_size))

    def _probabilities(self, grams: np.ndarray) -> np.ndarray:
        probability = np.full(len(grams), 1 / self.vocab_size)
        for k, level in enumerate(self._levels, 1):
            probability = level.interpolate(grams % self.vocab_size**k, probability)
        return probability


class _Level:
    """Kneser–Ney 的一阶：折扣后的计数、每个上文的总数与余下的份额。"""

    def __init__(self, grams: np.ndarray, counts: np.ndarray, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        discount = _discounts(counts)[np.minimum(counts, 3)]
        contexts, index = np.unique(grams // vocab_size, return_inverse=True)
        total = np.bincount(index, counts)
        self._kept = _Table(grams, (counts - discount) / total[index])
        self._left = _Table(contexts, np.bincount(index, discount) / total, missing=1.0)

    def interpolate(self, grams: np.ndarray, lower: np.ndarray) -> np.ndarray:
        """这一阶的概率 = 留下的份额 + 扣下的份额 × 低一阶的概率；没见过的上文全听低一阶的。"""
        return self._kept[grams] + self._left[grams // self.vocab_size] * lower


def _discounts(counts: np.ndarray) -> np.ndarray:
    """从 1 次、2 次、3 次及以上的计数里各扣多少（下标 0 不用），由“几个 n 元组出现过 c 次”估计。

    样本太少时估计可能落在 0 与 c 之外，这时扣一半。
    """
    n = np.array([np.sum(counts == c) for c in range(5)], float)
    c = np.arange(1, 4)
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = c - (c + 1) * n[1] / (n[1] + 2 * n[2]) * n[2:] / n[1:4]
    usable = (estimate > 0) & (estimate < c)
    return np.append(0, np.where(usable, estimate, c / 2))


class _Table:
    """整数 → 数的查找表：键有序，用二分查找，一次查一整个数组。"""

    def __init__(self, keys: np.ndarray, values: np.ndarray, missing: float = 0.0) -> None:
        self._keys, self._values, self._missing = keys, values, missing

    def __getitem__(self, keys: np.ndarray) -> np.ndarray:
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, self._values[at], self._missing)
