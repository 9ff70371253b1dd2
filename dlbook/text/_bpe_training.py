"""BPE 的训练：合并之后只改动受影响的计数，而且一次改动一批位置。

书中：sec-lm-bpe-fast
"""

from collections.abc import Iterable, Iterator
from heapq import heapify, heappush, heapreplace
from typing import NamedTuple

import numpy as np

_BORDER, _GONE = -1, -2  # 片段之间的分隔、已并入左边词元的位置
_BLOCK = 512  # 开头的对很多，按这个数目分块，找最大值时不必扫过全部
_SHIFT = 32  # 对 (a, b) 记成一个整数 a << 32 | b，整数的大小次序就是对的字典序


def learn_merges(
    pieces: Iterable[tuple[list[int], int]], first_id: int, merges: int
) -> Iterator[tuple[int, int]]:
    """依次交出至多 merges 个合并（左编号, 右编号），得到的词元依次编号 first_id、first_id + 1……

    pieces 是互不相同的片段：（编号的列表，它在语料里出现的次数）。每一步取出现次数最多的
    相邻对，次数相同取字典序最小的，把它从左到右、不重叠地换成新的编号。没有相邻对时提前结束。

    书中：sec-lm-bpe-fast
    """
    corpus = _Corpus(pieces)
    for new in range(first_id, first_id + merges):
        if not corpus.heap or corpus.most_frequent() == 0:
            return
        yield corpus.merge(new)


class _Block(NamedTuple):
    """一块对：登记号 first、first + 1……，按字典序；第 k 个的位置是 here[starts[k]:stops[k]]。"""

    first: int
    codes: np.ndarray
    here: np.ndarray
    starts: np.ndarray
    stops: np.ndarray


class _Corpus:
    """全部片段接成一列，每个位置记着左右邻居（双向链表），和“它与右邻居是哪一个对”。"""

    def __init__(self, pieces: Iterable[tuple[list[int], int]]) -> None:
        symbols, lengths, counts = [_BORDER], [1], [0]
        for piece, count in pieces:
            symbols += [*piece, _BORDER]
            lengths.append(len(piece) + 1)
            counts.append(count)
        size = len(symbols)
        self.token = np.array(symbols, np.int64)
        self.weight = np.repeat(np.array(counts, np.int64), lengths)
        self.left, self.right = np.arange(size) - 1, np.arange(size) + 1
        self.pair = np.zeros(size, np.int64)  # 位置 → 对的登记号
        # 登记号 → 出现次数。每合并一处至多多出两个对，总共至多合并 size 处。
        self.count = np.zeros(3 * size, np.int64)
        self.registered = 0
        # 每块在堆里有一项：（−块内最大次数, 对, 块）。次数登记之后只减不增，堆里的旧值只会偏早。
        here = np.flatnonzero((self.token[:-1] >= 0) & (self.token[1:] >= 0))
        self.heap = [self._best(block) for block in self._register(here, _BLOCK)]
        heapify(self.heap)

    def _register(self, here: np.ndarray, size: int) -> list[_Block]:
        """登记始于位置 here、从未见过的对（同一个对的位置已是升序），每块至多 size 个。"""
        codes = self.token[here] << _SHIFT | self.token[self.right[here]]
        order = np.argsort(codes, kind="stable")
        here, codes = here[order], codes[order]
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        stops = np.append(starts[1:], len(here))
        first, self.registered = self.registered, self.registered + len(starts)
        self.pair[here] = np.repeat(np.arange(first, self.registered), stops - starts)
        self.count[first : self.registered] = np.add.reduceat(self.weight[here], starts)
        return [
            _Block(first + k, codes[starts[k : k + size]], here, starts[k:], stops[k:])
            for k in range(0, len(starts), size)
        ]

    def _best(self, block: _Block) -> tuple[int, int, int, _Block]:
        """堆里的一项：块内次数最多的对，次数相同取字典序最小的（argmax 取第一个）。"""
        counts = self.count[block.first : block.first + len(block.codes)]
        k = int(counts.argmax())
        return -int(counts[k]), int(block.codes[k]), k, block

    def most_frequent(self) -> int:
        """把次数最多的对换到堆顶，返回它的次数。"""
        while (entry := self._best(self.heap[0][-1])) != self.heap[0]:
            heapreplace(self.heap, entry)
        return -entry[0]

    def merge(self, new: int) -> tuple[int, int]:
        """把堆顶的对合并成编号 new，更新计数；返回这个对。"""
        token, weight, left, right = self.token, self.weight, self.left, self.right
        _, code, k, block = self.heap[0]
        a, b = code >> _SHIFT, code & (1 << _SHIFT) - 1
        i = block.here[block.starts[k] : block.stops[k]]
        i = i[(token[i] == a) & (token[right[i]] == b)]  # 有的位置已被别的合并占去
        if a == b:
            i = _without_overlap(i, right)
        j = right[i]
        after = right[j]
        # 右侧的旧对 (b, 后一个) 消失。
        lost = token[after] >= 0
        np.subtract.at(self.count, self.pair[j[lost]], weight[j[lost]])
        # 换成新词元，从链表上摘下 j。
        token[i], token[j] = new, _GONE
        right[i], left[after] = after, i
        # 左侧的旧对 (前一个, a) 消失；前一个若也是刚换上的 new，它的右侧上面已经算过。
        before = left[i]
        before = before[(token[before] >= 0) & (token[before] != new)]
        np.subtract.at(self.count, self.pair[before], weight[before])
        self.count[block.first + k] = 0
        # 新的对：(前一个, new) 与 (new, 后一个)。
        fresh = np.concatenate([before, i[token[after] != _BORDER]])
        if len(fresh):
            for registered in self._register(fresh, len(fresh)):
                heappush(self.heap, self._best(registered))
        return a, b


def _without_overlap(i: np.ndarray, right: np.ndarray) -> np.ndarray:
    """a a a 里有两处 (a, a)，只能合并第一处：连着的一串中，取第 0、2、4……处。"""
    starts = np.append(True, right[i[:-1]] != i[1:])
    run_start = np.maximum.accumulate(np.where(starts, np.arange(len(i)), 0))
    return i[(np.arange(len(i)) - run_start) % 2 == 0]
