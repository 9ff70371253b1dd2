"""唐诗语料：内容与说明一致；任何一种损坏都得到一条说清楚的错误。"""

import hashlib
import lzma
import re
from collections import Counter
from pathlib import Path

import pytest

from dlbook.data import DataError, Poem, poems, sonnets, tangshi
from dlbook.text import verse

FOLDER = Path(poems.__file__).with_name("tangshi")
PACKAGED = FOLDER / "tangshi.tsv.xz"


@pytest.fixture(scope="module")
def real():
    return tangshi()


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """两首诗的小语料，哈希换成它的；返回文件的路径。"""
    raw = (
        "train\t五绝\t孟浩然\t春晓\t春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。\n"
        "val\t五绝\t王之涣\t登鹳雀楼\t白日依山尽，黄河入海流。欲穷千里目，更上一层楼。\n"
    ).encode()
    monkeypatch.setattr(poems, "SHA256", hashlib.sha256(raw).hexdigest())
    path = tmp_path / "诗.tsv"
    path.write_bytes(raw)
    return path


def error_of(path):
    with pytest.raises(DataError) as caught:
        tangshi(path)
    return caught.value


def test_sizes_and_first_poem(real):
    assert real._fields == ("train", "val")
    assert (len(real.train), len(real.val)) == (21746, 1106)
    assert sum(len(p.body) + 1 for p in real.val) == 48690
    assert sum(len(p.body) + 1 for p in real.train) == 951610
    spring = next(p for p in real.train if p.title == "春晓")
    assert spring == Poem(
        "五绝", "孟浩然", "春晓", "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。"
    )


def test_three_thousand_characters_and_two_marks(real):
    counts = Counter(c for p in real.train + real.val for c in p.body)
    han = {c for c in counts if "一" <= c <= "鿿"}
    assert len(han) == 3000 and set(counts) - han == set("，。")
    assert min(counts.values()) >= 5
    assert {c for p in real.val for c in p.body} <= {c for p in real.train for c in p.body}


def test_every_form_is_the_form_of_the_body(real):
    assert all(verse.form(p.body) == p.form for p in real.train + real.val)


def test_split_follows_the_hash_of_the_body(real):
    def held_out(poem):
        return int(hashlib.sha256(poem.body.encode()).hexdigest()[:8], 16) % 20 == 0

    assert all(held_out(p) for p in real.val) and not any(held_out(p) for p in real.train)


def test_readme_states_the_digest_and_the_counts():
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert poems.SHA256 in readme
    for name in (PACKAGED.name, "LICENSE.txt"):
        content = (FOLDER / name).read_bytes()
        row = re.search(rf"`{re.escape(name)}` \|.*\| ([\d,]+) \| `([0-9a-f]{{64}})`", readme)
        assert int(row[1].replace(",", "")) == len(content)
        assert row[2] == hashlib.sha256(content).hexdigest()


def test_reads_raw_and_compressed(tiny, tmp_path):
    data = tangshi(tiny)
    assert [p.title for p in data.train + data.val] == ["春晓", "登鹳雀楼"]
    packed = tmp_path / "诗.tsv.xz"
    packed.write_bytes(lzma.compress(tiny.read_bytes()))
    assert tangshi(str(packed)) == data
    data.train.clear()
    assert tangshi(tiny).train, "每次读入都是新的列表"


def test_changed_character_is_caught_by_the_digest(tiny):
    tiny.write_bytes(tiny.read_bytes().replace("声".encode(), "吹".encode()))
    error = error_of(tiny)
    assert "内容有改动" in error.problem and poems.SHA256 in error.expected


@pytest.mark.parametrize(
    ("old", "new", "expected", "found"),
    [
        ("\t春晓", "", "每行 5 列", "第 1 行有 4 列"),
        ("val", "test", "train 或 val", "第 2 行是 'test'"),
        ("春", b"\xff\xfe\xfd\xfc", "UTF-8", "ff fe fd fc"),
    ],
)
def test_faults_of_format_are_named(tiny, old, new, expected, found):
    new = new if isinstance(new, bytes) else new.encode()
    tiny.write_bytes(tiny.read_bytes().replace(old.encode(), new))
    error = error_of(tiny)
    assert "格式" in error.problem and expected in error.expected and found in error.found


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda raw: raw[:-40], "截断"),
        (lambda raw: raw[:500] + bytes([raw[500] ^ 1]) + raw[501:], "压缩流损坏"),
        (lambda raw: b"train\t" + raw, "开头是 74 72 61 69"),
    ],
    ids=["截断", "翻一个比特", "不是 xz"],
)
def test_broken_compression(tmp_path, spoil, found):
    path = tmp_path / "诗.tsv.xz"
    path.write_bytes(spoil(PACKAGED.read_bytes()))
    error = error_of(path)
    assert "解压失败" in error.problem and found in error.found
    assert error.expected == "完整的 xz 文件，开头是 fd 37 7a 58 5a 00"


def test_missing_file(tmp_path):
    assert "不存在" in error_of(tmp_path / "没有.tsv").found


def test_sonnets_are_six_poems_of_fourteen_lines():
    poems_ = sonnets().strip().split("\n\n")
    assert [len(p.splitlines()) for p in poems_] == [14] * 6
    assert poems_[0].startswith("Shall I compare thee to a summer's day?")
