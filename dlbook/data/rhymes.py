"""《平水韵》的 106 个韵部，只留唐诗语料里的字；随包携带，读入时核对 SHA-256。

书中：sec-lm-rhyme-book
"""

from pathlib import Path

from dlbook.data.files import check_sha256, read_file

SHA256 = "6d2e7ebcc8bc61eb8287a417bbd360e5db7411f700955c7f74ebfcb8ed037802"


def pingshui() -> dict[str, str]:
    """韵部（如“平声一东”）→ 其中的字；同一个字可以在几个韵部里。文件被改动时抛出 DataError。

    书中：sec-lm-rhyme-book
    """
    path = Path(__file__).with_name("pingshui") / "pingshui.txt"
    raw = read_file(path)
    check_sha256(path, raw, SHA256)
    rows = (line.split("\t") for line in raw.decode("utf-8").splitlines())
    return {f"{tone}声{name}": characters for tone, name, characters in rows}
