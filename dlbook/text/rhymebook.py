"""照韵书判断押韵：同一韵部里的两个字押韵。与从诗里学来的 RhymeTable 互相检验。

书中：sec-lm-rhyme-book
"""

from collections.abc import Mapping

from dlbook.text.verse import RhymeTable


class RhymeBook(RhymeTable):
    """韵部 → 字的韵书；用法与 RhymeTable 相同，只是哪些字押韵由韵书规定。

    同一个字不算押韵；韵书里没有的字与谁都不押。

    书中：sec-lm-rhyme-book
    """

    def __init__(self, groups: Mapping[str, str]) -> None:
        self._groups = {name: set(characters) for name, characters in groups.items()}
        self.characters = sorted(set().union(*self._groups.values()))

    def rhymes(self, a: str, b: str) -> bool:
        """字 a 与字 b 是否同在某个韵部。

        书中：sec-lm-rhyme-book
        """
        return a != b and any(a in group and b in group for group in self._groups.values())

    def group(self, character: str) -> str:
        """与 character 押韵的所有字，按码位排列；韵书里没有时是空串。

        书中：sec-lm-rhyme-book
        """
        groups = [group for group in self._groups.values() if character in group]
        return "".join(sorted(set().union(*groups) - {character}))
