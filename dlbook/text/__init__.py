"""文字与数之间：词元化、n 元模型、诗的体裁与押韵。名字按需导入。

书中：sec-lm-task、sec-lm-tokens
"""

from dlbook._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "BPETokenizer": "bpe",
        "CharTokenizer": "characters",
        "RhymeTable": "verse",
        "UnknownCharacters": "characters",
        "ngram": "",
        "verse": "",
    },
)
