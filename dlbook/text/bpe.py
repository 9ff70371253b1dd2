"""字节对编码（byte-pair encoding，BPE）：从字符或字节出发，把常见的相邻对合并成新的词元。

书中：sec-lm-bpe
"""

import codecs
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from pathlib import Path

from dlbook._atomic import write_atomic
from dlbook.text._bpe_training import learn_merges
from dlbook.text.characters import require_ids, unknown_characters

# 切分：字母连同前面的一个空格、数字、标点、空白各成一段，合并不跨段。汉字算字母，所以诗按句切开。
PATTERN = r" ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+"
# 字节的编号次序与 GPT-2 相同：先是可以显示的字节，再是其余的。
_BYTES = [*range(33, 127), *range(161, 173), *range(174, 256)]
_BYTES += sorted(set(range(256)) - set(_BYTES))
_BYTE_IDS = bytes(_BYTES.index(b) for b in range(256))
_CACHE_LIMIT = 1 << 18  # 记住这么多个片段的编码，满了就清空


class BPETokenizer:
    """按学到的合并把文字切成词元。用 :meth:`train` 从语料学，用 :meth:`load` 读回存下的。

    level="byte"：从 256 个字节出发，任何字符串都能编码，``decode(encode(s)) == s`` 恒成立，
    连单独的代理项（surrogate）也不例外。level="char"：从语料里出现过的字符出发，
    遇到别的字符抛出 UnknownCharacters。

    ``vocab``：由编号查词元，字节级是 bytes，字符级是 str。``merges``：各次合并（左编号, 右编号），
    第 k 次合并得到的编号是 ``len(vocab) - len(merges) + k``。

    书中：sec-lm-bpe
    """

    def __init__(
        self,
        merges: Iterable[Sequence[int]],
        *,
        alphabet: str | None = None,
        pattern: str = PATTERN,
    ) -> None:
        """alphabet：字符级的基本字符，按编号排列；不给就是字节级。pattern：切分片段的正则式。"""
        self.level = "byte" if alphabet is None else "char"
        self.vocab: list = (
            [bytes([b]) for b in _BYTES] if alphabet is None else list(dict.fromkeys(alphabet))
        )
        if not self.vocab:
            raise ValueError("基本字符是空的：语料里至少要有一个字符")
        self._base = {c: i for i, c in enumerate(self.vocab)}
        self.pattern = pattern
        self._split = _splitter(pattern)
        self.merges: list[tuple[int, int]] = []
        self._ranks: dict[tuple[int, int], int] = {}
        for a, b in merges:
            new = len(self.vocab)
            if not (0 <= a < new and 0 <= b < new) or (a, b) in self._ranks:
                problem = f"第 {len(self.merges)} 个合并 {(a, b)} 不对"
                raise ValueError(f"{problem}：两个编号应在 0 到 {new - 1} 之间，且不重复")
            self.vocab.append(self.vocab[a] + self.vocab[b])
            self.merges.append((a, b))
            self._ranks[a, b] = new
        self._cache: dict[str, list[int]] = {}

    @classmethod
    def train(
        cls,
        texts: str | Iterable[str],
        merges: int,
        *,
        level: str = "byte",
        pattern: str = PATTERN,
    ) -> "BPETokenizer":
        """从 texts（一个或多个字符串）学 merges 个合并；再也没有可合并的，就提前停下。

        每一步合并出现次数最多的相邻对，次数相同取编号最小的；基本字符按码位从小到大编号。
        结果与 Hugging Face 的 tokenizers 逐个相同。

        书中：sec-lm-bpe
        """
        if level not in ("byte", "char"):
            raise ValueError(f'level 应是 "byte" 或 "char"，收到 {level!r}')
        if merges < 0:
            raise ValueError(f"合并的个数不能是负数，收到 {merges}")
        split, counts = _splitter(pattern), Counter()
        for text in [texts] if isinstance(texts, str) else texts:
            counts.update(split(text))
        alphabet = None if level == "byte" else "".join(sorted(set().union(*counts)))
        blank = cls([], alphabet=alphabet, pattern=pattern)
        pieces = [(blank._symbols(piece), n) for piece, n in counts.items()]
        learned = learn_merges(pieces, len(blank), merges)
        return cls(learned, alphabet=alphabet, pattern=pattern)

    def __len__(self) -> int:
        """词表的大小。"""
        return len(self.vocab)

    def encode(self, text: str) -> list[int]:
        """字符串 → 编号的列表。字符级遇到基本字符以外的，抛出 UnknownCharacters。

        书中：sec-lm-bpe
        """
        ids: list[int] = []
        for piece in self._split(text):
            known = self._cache.get(piece)
            if known is None:
                known = _apply_merges(self._symbols(piece), self._ranks)
                if len(self._cache) >= _CACHE_LIMIT:
                    self._cache.clear()
                self._cache[piece] = known
            ids += known
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """编号 → 字符串；编号不在词表里时抛出 ValueError。

        字节级：拼起来的字节不是合法的 UTF-8 时（例如只生成了半个字），坏的部分换成“�”。

        书中：sec-lm-bpe
        """
        if self.level == "char":
            return "".join(self._lookup(ids))
        return self.decode_bytes(ids).decode("utf-8", _DECODING_ERRORS)

    def encode_bytes(self, raw: bytes) -> list[int]:
        """任意字节 → 编号的列表，不必是合法的 UTF-8；只限字节级。

        书中：sec-lm-bpe
        """
        self._require_byte_level()
        ids: list[int] = []
        for piece in self._split(raw.decode("utf-8", "surrogateescape")):
            symbols = list(piece.encode("utf-8", "surrogateescape").translate(_BYTE_IDS))
            ids += _apply_merges(symbols, self._ranks)
        return ids

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """编号 → 字节，一个不多一个不少；只限字节级。

        书中：sec-lm-bpe
        """
        self._require_byte_level()
        return b"".join(self._lookup(ids))

    def save(self, path: str | os.PathLike) -> None:
        """存成 JSON 文件；要么写成完整的新文件，要么旧文件原封不动。

        书中：sec-lm-bpe
        """
        content = {
            "format": _FORMAT,
            "alphabet": None if self.level == "byte" else "".join(self._base),
            "pattern": self.pattern,
            "merges": self.merges,
        }
        write_atomic(Path(path), json.dumps(content, separators=(",", ":")).encode("ascii"))

    @classmethod
    def load(cls, path: str | os.PathLike) -> "BPETokenizer":
        """读回 save 存下的文件；不是这样的文件时抛出 ValueError。

        书中：sec-lm-bpe
        """
        try:
            content = json.loads(Path(path).read_bytes())
            if content["format"] != _FORMAT:
                raise ValueError(f"格式是 {content['format']!r}")
            return cls(content["merges"], alphabet=content["alphabet"], pattern=content["pattern"])
        except (KeyError, TypeError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise ValueError(f"{path} 不是 BPETokenizer.save 存下的文件（{problem}）") from error

    def _symbols(self, piece: str) -> list[int]:
        """一个片段的基本符号。"""
        if self.level == "byte":
            return list(piece.encode("utf-8", "surrogatepass").translate(_BYTE_IDS))
        try:
            return [self._base[c] for c in piece]
        except KeyError:
            raise unknown_characters(piece, self._base) from None

    def _lookup(self, ids: Iterable[int]) -> list:
        ids = list(ids)
        require_ids(ids, len(self))
        return [self.vocab[i] for i in ids]

    def _require_byte_level(self) -> None:
        if self.level != "byte":
            raise ValueError("字符级的词元不是字节：用 encode 与 decode")


_FORMAT = "dlbook-bpe-1"


def _splitter(pattern: str) -> Callable[[str], Iterable[str]]:
    """把文本切成片段的函数；pattern 没有匹配到的部分也自成片段，所以一个字符也不会丢。"""
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"切分用的正则式不对（{error}）：{pattern}") from error
    if groups:
        raise ValueError(f"切分用的正则式里不要有捕获组，用 (?:…) 代替：{pattern}")
    split = re.compile(f"({pattern})").split
    return lambda text: filter(None, split(text))


def _apply_merges(ids: list[int], ranks: dict[tuple[int, int], int]) -> list[int]:
    """反复合并学得最早的那一对（同一对从左到右），直到没有可合并的；会改动 ids。

    ranks：对 → 合并成的编号，学得越早编号越小。用堆找最早的一对，n 个符号用时 O(n log n)。
    """
    find = ranks.get
    heap = [(new, i) for i, pair in enumerate(pairwise(ids)) if (new := find(pair))]
    if not heap:
        return ids
    heapify(heap)
    n = len(ids)
    left, right = list(range(-1, n - 1)), list(range(1, n + 1))
    while heap:
        new, i = heappop(heap)
        j = right[i]
        if j == n or find((ids[i], ids[j])) != new:
            continue  # 这一处已经被别的合并占去
        ids[i], ids[j] = new, _GONE
        right[i] = after = right[j]
        if after < n:
            left[after] = i
            if following := find((new, ids[after])):
                heappush(heap, (following, i))
        before = left[i]
        if before >= 0 and (following := find((ids[before], new))):
            heappush(heap, (following, before))
    return [i for i in ids if i != _GONE]


_GONE = -1


def _replace_broken(error: UnicodeDecodeError) -> tuple[str, int]:
    """单独的代理项照原样解码（编码时用的 surrogatepass 的逆），别的坏字节换成“�”。"""
    try:
        return codecs.lookup_error("surrogatepass")(error)
    except UnicodeDecodeError:
        return codecs.replace_errors(error)


_DECODING_ERRORS = "dlbook.surrogatepass-or-replace"
codecs.register_error(_DECODING_ERRORS, _replace_broken)
