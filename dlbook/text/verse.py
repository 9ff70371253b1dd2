"""诗写得像不像：体裁、押韵、抄袭，三样都由程序判定，不靠人看。

书中：sec-lm-verse
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from itertools import combinations

import numpy as np

# 体裁 → （每句字数，句数）。只按字数、句数区分，不查平仄。
FORMS = {"五绝": (5, 4), "七绝": (7, 4), "五律": (5, 8), "七律": (7, 8)}
_HAN = "[^，。\\s]"
_PATTERNS = {
    name: re.compile(f"(?:{_HAN}{{{width}}}，{_HAN}{{{width}}}。){{{count // 2}}}")
    for name, (width, count) in FORMS.items()
}


def form(text: str) -> str | None:
    """text 是哪一种体裁；字数、句数、标点有一处不合，返回 None。

    书中：sec-lm-verse
    """
    return next((name for name, pattern in _PATTERNS.items() if pattern.fullmatch(text)), None)


def lines(text: str) -> list[str]:
    """按“，”“。”与空白拆成句，不含标点。

    书中：sec-lm-verse
    """
    return re.findall(f"{_HAN}+", text)


def rhyme_pairs(text: str) -> list[tuple[str, str]]:
    """偶数句（第 2、4……句）的末字两两成对：四句一对，八句六对。

    书中：sec-lm-verse
    """
    return list(combinations([line[-1] for line in lines(text)[1::2]], 2))


def form_rate(texts: Iterable[str]) -> float:
    """合乎某种体裁的诗所占的比例；一首也没有时是 nan。

    书中：sec-lm-verse
    """
    return _mean(form(text) is not None for text in texts)


def copied_rate(texts: Iterable[str], known: Iterable[str]) -> float:
    """texts 的所有句子中，也见于 known（通常是训练集的各首诗）的比例；没有句子时是 nan。

    书中：sec-lm-verse
    """
    seen = {line for text in known for line in lines(text)}
    return _mean(line in seen for text in texts for line in lines(text))


class RhymeTable:
    """哪些字互相押韵，从诗里学来，不靠韵书。

    两个不同的字，满足下面一条就算押韵：

    1. 至少有 pairs 首诗把它们用作韵脚（偶数句末字）；
    2. 与它们同押过的字大致相同：两个计数向量的余弦大于 cosine。

    书中：sec-lm-verse
    """

    def __init__(self, texts: Iterable[str], *, pairs: int = 2, cosine: float = 0.25) -> None:
        counts = Counter(
            pair for text in texts for pair in {tuple(sorted(p)) for p in rhyme_pairs(text)}
        )
        self.characters = sorted({c for pair in counts for c in pair})
        self._ids = {c: i for i, c in enumerate(self.characters)}
        together = np.zeros((len(self._ids), len(self._ids)))
        for (a, b), n in counts.items():
            if a != b:
                together[self._ids[a], self._ids[b]] = together[self._ids[b], self._ids[a]] = n
        norms = np.linalg.norm(together, axis=1, keepdims=True)
        unit = together / np.where(norms > 0, norms, 1)
        # 留一点余量：余弦恰好等于 cosine 的不算，与舍入的次序无关。
        self._rhymes = (together >= pairs) | (unit @ unit.T > cosine + 1e-9)
        np.fill_diagonal(self._rhymes, False)

    def rhymes(self, a: str, b: str) -> bool:
        """字 a 与字 b 是否押韵；同一个字不算，没有作过韵脚的字与谁都不押。

        书中：sec-lm-verse
        """
        i, j = self._ids.get(a), self._ids.get(b)
        return i is not None and j is not None and bool(self._rhymes[i, j])

    def group(self, character: str) -> str:
        """与 character 押韵的所有字，按码位排列；没有作过韵脚时是空串。

        书中：sec-lm-verse
        """
        if character not in self._ids:
            return ""
        row = self._rhymes[self._ids[character]]
        return "".join([self.characters[i] for i in np.flatnonzero(row)])

    def rate(self, texts: Iterable[str]) -> float:
        """体裁正确的诗里，偶数句末字两两押韵的比例；没有这样的诗时是 nan。

        书中：sec-lm-verse
        """
        proper = [text for text in texts if form(text)]
        return _mean(self.rhymes(*pair) for text in proper for pair in rhyme_pairs(text))


def _mean(flags: Iterable[bool]) -> float:
    flags = list(flags)
    return sum(flags) / len(flags) if flags else math.nan
