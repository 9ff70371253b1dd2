"""字符级词元化：一个字符是一个词元。

书中：sec-lm-characters
"""

from collections.abc import Iterable, Sequence


class UnknownCharacters(ValueError):
    """文本里有词表以外的字符；``characters`` 是这些字符，按首次出现的次序，不重复。

    书中：sec-lm-characters
    """

    def __init__(self, characters: str, size: int) -> None:
        super().__init__(characters, size)
        self.characters, self.size = characters, size

    def __str__(self) -> str:
        shown = "、".join(f"{c!r}（U+{ord(c):04X}）" for c in self.characters[:8])
        rest = f" 等 {len(self.characters)} 个" if len(self.characters) > 8 else ""
        return f"词表（{self.size} 个字符）里没有 {shown}{rest}；换掉它们，或用字节级的词元化"


def unknown_characters(text: str, ids: dict[str, int]) -> UnknownCharacters:
    """说明 text 里哪些字符不是 ids 的键的错误，由调用者抛出。

    书中：sec-lm-characters
    """
    return UnknownCharacters("".join(c for c in dict.fromkeys(text) if c not in ids), len(ids))


class CharTokenizer:
    """字符与编号的一一对应。词表是 text 里出现过的字符，按码位从小到大编号 0、1、2……

    ``vocab`` 是由编号查字符的字符串；``CharTokenizer(t.vocab)`` 与 t 相同，所以存下它就够了。

    书中：sec-lm-characters
    """

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("词表是空的：text 里至少要有一个字符")
        self.vocab = "".join(sorted(set(text)))
        self._ids = {c: i for i, c in enumerate(self.vocab)}

    def __len__(self) -> int:
        """词表的大小。"""
        return len(self.vocab)

    def encode(self, text: str, *, errors: str = "strict") -> list[int]:
        """字符串 → 编号的列表。

        遇到词表以外的字符：errors="strict" 抛出 UnknownCharacters（它是 ValueError），
        "ignore" 略去它们。

        书中：sec-lm-characters
        """
        ids = self._ids
        if errors == "ignore":
            return [ids[c] for c in text if c in ids]
        if errors != "strict":
            raise ValueError(f'errors 应是 "strict" 或 "ignore"，收到 {errors!r}')
        try:
            return [ids[c] for c in text]
        except KeyError:
            raise unknown_characters(text, ids) from None

    def decode(self, ids: Iterable[int]) -> str:
        """编号 → 字符串；编号不在 [0, 词表大小) 内时抛出 ValueError。

        书中：sec-lm-characters
        """
        ids = list(ids)
        require_ids(ids, len(self))
        return "".join([self.vocab[i] for i in ids])


def require_ids(ids: Sequence[int], size: int) -> None:
    """编号都应在 [0, size) 内，否则抛出 ValueError。

    书中：sec-lm-characters
    """
    if ids and (min(ids) < 0 or max(ids) >= size):
        wrong = next(i for i in ids if not 0 <= i < size)
        raise ValueError(f"编号应在 0 到 {size - 1} 之间，收到 {wrong}")
