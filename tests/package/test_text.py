"""词元化、n 元模型与诗的评判：与独立的慢实现、与 Hugging Face 的 tokenizers 逐个比较。"""

import json
import math
import random
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlbook.data import DataError, rhymes, tangshi
from dlbook.data.rhymes import pingshui
from dlbook.text import BPETokenizer, CharTokenizer, RhymeTable, UnknownCharacters, ngram, verse
from dlbook.text import bpe as bpe_module
from dlbook.text.bpe import PATTERN
from dlbook.text.ngram import AddK, KneserNey
from dlbook.text.rhymebook import RhymeBook

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))  # 连代理项也在内
HARD = [
    *("\ud800", "a\udfff", "\udce4\udcb8\udcad", "\ud83d\ude00"),  # 单独的代理项
    *("😀👩\u200d👩\u200d👧", "\0\x1f\x7f\x85", "  \t\n x", "e\u0301\u200f\u202e\ufeff"),
]


@pytest.fixture(scope="module")
def corpus():
    return tangshi()


@pytest.fixture(scope="module")
def text(corpus):
    return "".join(p.body + "\n" for p in corpus.train + corpus.val)


# 字符级


def test_characters_are_numbered_by_code_point():
    tokenizer = CharTokenizer("春眠不觉晓\n，。，")
    assert tokenizer.vocab == "".join(sorted("春眠不觉晓\n，。")) and len(tokenizer) == 8
    assert tokenizer.encode("\n春") == [0, tokenizer.vocab.index("春")]
    assert CharTokenizer(tokenizer.vocab).vocab == tokenizer.vocab


@given(ANY_TEXT)
def test_characters_round_trip(s):
    tokenizer = CharTokenizer(s + "x")
    assert tokenizer.decode(tokenizer.encode(s)) == s


def test_corpus_has_3003_symbols(text):
    tokenizer = CharTokenizer(text)
    assert len(tokenizer) == 3003
    assert tokenizer.decode(np.array(tokenizer.encode(text[:1000]))) == text[:1000]


def test_unknown_characters_are_all_listed():
    tokenizer = CharTokenizer("春江")
    with pytest.raises(UnknownCharacters) as caught:
        tokenizer.encode("春A江😀A")
    assert caught.value.characters == "A😀" and isinstance(caught.value, ValueError)
    assert "'A'（U+0041）" in str(caught.value) and "U+1F600" in str(caught.value)
    with pytest.raises(UnknownCharacters, match="等 26 个"):
        tokenizer.encode("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert tokenizer.encode("春A江", errors="ignore") == tokenizer.encode("春江")
    with pytest.raises(ValueError, match="strict"):
        tokenizer.encode("春", errors="replace")


def test_char_tokenizer_rejects_an_empty_vocabulary_and_wrong_ids():
    with pytest.raises(ValueError, match="空的"):
        CharTokenizer("")
    tokenizer = CharTokenizer("ab")
    assert tokenizer.decode([]) == ""
    for wrong in (2, -1):
        with pytest.raises(ValueError, match=f"0 到 1 之间，收到 {wrong}"):
            tokenizer.decode([0, wrong])


# BPE：训练


def slow_merges(pieces, first_id, merges):
    """最直白的训练：每一步重数所有的对。pieces：片段的列表（可重复）。"""
    pieces, learned = [list(p) for p in pieces], []
    for new in range(first_id, first_id + merges):
        counts = Counter(pair for p in pieces for pair in pairwise(p))
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        learned.append(best)
        pieces = [replace(p, best, new) for p in pieces]
    return learned


def replace(ids, pair, new):
    out, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


def slow_encode(ids, merges, first_id):
    """照学到的次序，把合并逐个做一遍。"""
    for new, pair in enumerate(merges, first_id):
        ids = replace(ids, pair, new)
    return ids


@given(st.text("ab ，", max_size=60), st.integers(0, 30))
@example("a" * 50, 10)
@example("aaabaaabaaa", 10)
@example("", 3)
def test_byte_training_and_encoding_match_the_naive_ones(s, merges):
    tokenizer = BPETokenizer.train(s, merges)
    pieces = [p for p in re.split(f"({PATTERN})", s) if p]
    symbols = [BPETokenizer([]).encode(p) for p in pieces]
    assert tokenizer.merges == slow_merges(symbols, 256, merges)
    want = [i for p in symbols for i in slow_encode(p, tokenizer.merges, 256)]
    assert tokenizer.encode(s) == want


@given(st.lists(st.text("天地玄黄，\n", min_size=1, max_size=12), min_size=1), st.integers(0, 20))
def test_character_training_and_encoding_match_the_naive_ones(texts, merges):
    tokenizer = BPETokenizer.train(texts, merges, level="char", pattern=".+")
    alphabet = sorted(set("".join(texts)))
    base = {c: i for i, c in enumerate(alphabet)}
    pieces = [[base[c] for c in p] for s in texts for p in re.split("(.+)", s) if p]
    assert tokenizer.vocab[: len(alphabet)] == alphabet
    assert tokenizer.merges == slow_merges(pieces, len(alphabet), merges)
    joined = "".join(texts)
    want = [
        i
        for p in re.split("(.+)", joined)
        for i in slow_encode([base[c] for c in p], tokenizer.merges, len(alphabet))
    ]
    assert tokenizer.encode(joined) == want


def hugging_face(text, level, merges):
    """同样的设置交给 Hugging Face 的 tokenizers：(合并, 编码函数)。"""
    hf = pytest.importorskip("tokenizers")
    pre = hf.pre_tokenizers
    steps = [pre.Split(hf.Regex(r"[^，。\n]+|[，。\n]"), "isolated")]
    if level == "byte":
        steps.append(pre.ByteLevel(add_prefix_space=False, use_regex=False))
    tokenizer = hf.Tokenizer(hf.models.BPE())
    tokenizer.pre_tokenizer = pre.Sequence(steps)
    base = sorted(pre.ByteLevel.alphabet() if level == "byte" else set(text))
    trainer = hf.trainers.BpeTrainer(
        vocab_size=len(base) + merges,
        min_frequency=0,
        special_tokens=[],
        initial_alphabet=base,
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    ids = model["vocab"]
    return [(ids[a], ids[b]) for a, b in model["merges"]], lambda s: tokenizer.encode(s).ids


@pytest.mark.parametrize("level", ["char", "byte"])
def test_five_thousand_merges_on_the_whole_corpus_equal_hugging_face(text, level):
    tokenizer = BPETokenizer.train(text, 5000, level=level)
    merges, encode = hugging_face(text, level, 5000)
    assert len(merges) == 5000
    assert tokenizer.merges == merges
    ids = tokenizer.encode(text)
    assert ids == encode(text)
    assert tokenizer.decode(ids) == text


def test_default_pattern_cuts_the_corpus_into_lines(text):
    assert list(bpe_module._splitter(PATTERN)(text)) == re.findall(r"[^，。\n]+|[，。\n]", text)


def test_first_words_learnt_from_the_corpus(text):
    tokenizer = BPETokenizer.train(text[:200_000], 10, level="char")
    learned = tokenizer.vocab[-10:]
    assert learned[:4] == ["万里", "何处", "白云", "春风"] and {len(w) for w in learned} == {2}


def test_training_stops_when_nothing_is_left_to_merge():
    tokenizer = BPETokenizer.train("abab", 100)
    assert tokenizer.vocab[256:] == [b"ab", b"abab"] and tokenizer.encode("abab") == [257]
    assert BPETokenizer.train("", 5).merges == []
    assert BPETokenizer.train(["a", "b"], 5).merges == []


# BPE：任何字符串都不丢


@pytest.fixture(scope="module")
def trained(text):
    return BPETokenizer.train(text[:30_000] + "the quick brown fox " * 9, 300)


@given(s=ANY_TEXT)
@settings(max_examples=300)
def test_any_string_round_trips(trained, s):
    assert trained.decode(trained.encode(s)) == s


@pytest.mark.parametrize("s", HARD)
def test_hard_strings_round_trip(trained, s):
    assert trained.decode(trained.encode(s)) == s
    assert trained.decode(BPETokenizer([]).encode(s)) == s, "基本字节的编号与训练无关"


@given(raw=st.binary())
@settings(max_examples=300)
def test_any_bytes_round_trip(trained, raw):
    ids = trained.encode_bytes(raw)
    assert trained.decode_bytes(ids) == raw
    try:
        assert ids == trained.encode(raw.decode())
    except UnicodeDecodeError:
        assert trained.decode(ids) == raw.decode("utf-8", "replace") or b"\xed" in raw


def test_half_a_character_decodes_to_the_replacement_character():
    plain = BPETokenizer([])
    ids = plain.encode("春")
    assert plain.decode(ids[:2]) == "\ufffd" and plain.decode(ids) == "春"
    assert plain.decode_bytes(ids) == "春".encode()


def test_long_piece_takes_no_quadratic_time(trained):
    s = "thequickbrownfox" * 20_000
    assert trained.decode(trained.encode(s)) == s


def test_cache_is_bounded_and_does_not_change_results(trained, monkeypatch):
    monkeypatch.setattr(bpe_module, "_CACHE_LIMIT", 3)
    fresh = BPETokenizer(trained.merges)
    lines = ["春眠不觉晓", "处处闻啼鸟", "夜来风雨声", "花落知多少"] * 2
    assert [fresh.encode(line) for line in lines] == [trained.encode(line) for line in lines]
    assert len(fresh._cache) <= 3


def test_character_level_lists_unknown_characters():
    tokenizer = BPETokenizer.train("春江潮水", 2, level="char")
    with pytest.raises(UnknownCharacters, match="'海'"):
        tokenizer.encode("春江海水")
    with pytest.raises(ValueError, match="不是字节"):
        tokenizer.decode_bytes([0])
    with pytest.raises(ValueError, match="不是字节"):
        tokenizer.encode_bytes(b"x")


def test_wrong_arguments_are_explained():
    with pytest.raises(ValueError, match="level"):
        BPETokenizer.train("ab", 1, level="word")
    with pytest.raises(ValueError, match="负数"):
        BPETokenizer.train("ab", -1)
    with pytest.raises(ValueError, match="空的"):
        BPETokenizer.train("", 1, level="char")
    with pytest.raises(ValueError, match="捕获组"):
        BPETokenizer.train("ab", 1, pattern="(a)|b")
    with pytest.raises(ValueError, match="正则式不对"):
        BPETokenizer([], pattern="(")
    for merges in ([(0, 256)], [(0, 1), (0, 1)], [(-1, 0)]):
        with pytest.raises(ValueError, match="个合并"):
            BPETokenizer(merges)
    with pytest.raises(ValueError, match="0 到 255"):
        BPETokenizer([]).decode([256])


@pytest.mark.parametrize("level", ["byte", "char"])
def test_save_and_load(tmp_path, level):
    s = "春眠不觉晓，处处闻啼鸟。\ud800 the end the end"
    tokenizer = BPETokenizer.train(s, 6, level=level, pattern="[^，。]+")
    path = tmp_path / "词表.json"
    tokenizer.save(path)
    first = path.read_bytes()
    loaded = BPETokenizer.load(path)
    assert (loaded.vocab, loaded.merges) == (tokenizer.vocab, tokenizer.merges)
    assert (loaded.level, loaded.pattern) == (tokenizer.level, tokenizer.pattern)
    assert loaded.encode(s) == tokenizer.encode(s)
    loaded.save(path)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    "content",
    [
        "不是 JSON",
        "[]",
        "{}",
        '{"format": "别的"}',
        '{"format": "dlbook-bpe-1", "alphabet": null, "pattern": "a", "merges": [[0, 999]]}',
        '{"format": "dlbook-bpe-1", "alphabet": null, "pattern": "a", "merges": 3}',
        '{"format": "dlbook-bpe-1", "alphabet": null, "pattern": "(", "merges": []}',
    ],
)
def test_load_explains_a_file_that_is_not_one(tmp_path, content):
    path = tmp_path / "坏.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"坏\.json 不是 BPETokenizer\.save 存下的文件"):
        BPETokenizer.load(path)


# n 元模型


def sequences_of(poems):
    """小语料：字母代替字，每条以 0 开头、0 结尾。"""
    return [[0, *("abcdefg".index(c) + 1 for c in p), 0] for p in poems]


TRAIN = sequences_of(["abcab", "abca", "bcabd", "aabbc", "dcba", "abdab", "cab", "eab"])
HELD_OUT = sequences_of(["abc", "abda", "gab", "e"])
V = 8


def slow_kneser_ney(sequences, order):
    """照公式逐项写的改进 Kneser–Ney：返回 p(w, 上文)，上文是长为 order − 1 的元组。"""
    full = Counter()
    for ids in sequences:
        padded = [ids[0]] * max(order - 2, 0) + list(ids)
        for i in range(max(order - 1, 1), len(padded)):
            full[tuple(padded[i - order + 1 : i + 1])] += 1
    levels = {order: full}
    for k in range(order - 1, 0, -1):
        levels[k] = Counter(gram[1:] for gram in levels[k + 1])

    def discounts(counts):
        n = [sum(v == c for v in counts.values()) for c in range(5)]
        out = []
        for c in (1, 2, 3):
            d = math.nan
            if n[1] + 2 * n[2] and n[c]:
                d = c - (c + 1) * n[1] / (n[1] + 2 * n[2]) * n[c + 1] / n[c]
            out.append(d if 0 < d < c else c / 2)
        return out

    def p(w, context, k=order):
        if k == 0:
            return 1 / V
        counts, d = levels[k], discounts(levels[k])
        followers = {g: c for g, c in counts.items() if g[:-1] == context}
        lower = p(w, context[1:], k - 1)
        if not followers:
            return lower
        total = sum(followers.values())
        kept = followers.get((*context, w), 0)
        kept = kept - d[min(kept, 3) - 1] if kept else 0
        return kept / total + sum(d[min(c, 3) - 1] for c in followers.values()) / total * lower

    return p


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_kneser_ney_matches_the_formula(order):
    model, p = KneserNey(TRAIN, V, order=order), slow_kneser_ney(TRAIN, order)
    want = []
    for ids in HELD_OUT:
        padded = [0] * max(order - 2, 0) + ids
        for i in range(max(order - 1, 1), len(padded)):
            want.append(-math.log(p(padded[i], tuple(padded[i - order + 1 : i]))))
    np.testing.assert_allclose(model.nats(HELD_OUT), want, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("context", [[0], [0, 1], [0, 1, 2], [0, 7], [0, 7, 7, 7]])
def test_distributions_are_distributions_and_agree_with_nats(order, context):
    for model in (KneserNey(TRAIN, V, order=order), AddK(TRAIN, V, order=order, k=0.1)):
        probability = model.distribution(context)
        assert probability.shape == (V,) and np.all(probability > 0)
        assert math.isclose(probability.sum(), 1, rel_tol=1e-12)
        for w in range(V):
            assert math.isclose(-math.log(probability[w]), model.nats([[*context, w]])[-1])


def test_add_k_by_hand():
    model = AddK(sequences_of(["ab", "aa"]), V, order=2, k=1)
    # a 之后：b、a、换行各一次；开头之后：a 两次。
    assert model.distribution([0, 1])[[0, 1, 2, 3]] == pytest.approx(np.array([2, 2, 2, 1]) / 11)
    assert model.distribution([0])[1] == pytest.approx(3 / 10)
    unigram = AddK(sequences_of(["ab", "aa"]), V, order=1, k=1)
    assert unigram.distribution([0])[:3] == pytest.approx(np.array([3, 4, 2]) / 14)


def test_baselines_of_the_book(corpus):
    tokenizer = CharTokenizer("\n" + "".join(p.body for p in corpus.train))
    train, val = ([tokenizer.encode(f"\n{p.body}\n") for p in part] for part in corpus)
    want = {
        AddK(train, 3003, order=1, k=1): 6.365,
        AddK(train, 3003, order=2, k=1): 6.073,
        KneserNey(train, 3003, order=2): 5.365,
        KneserNey(train, 3003, order=3): 5.255,
        KneserNey(train, 3003, order=4): 5.247,
    }
    for model, nats in want.items():
        losses = model.nats(val)
        assert losses.shape == (48690,) and round(losses.mean(), 3) == nats


def test_sampling_follows_the_distribution_and_stops():
    model = AddK(TRAIN, V, order=2, k=0.01)
    rng = np.random.default_rng(0)
    samples = [model.sample(0, 0, 20, rng) for _ in range(2000)]
    first = np.bincount([s[0] if s else 0 for s in samples], minlength=V) / len(samples)
    np.testing.assert_allclose(first, model.distribution([0]), atol=0.03)
    assert all(0 not in s for s in samples)
    assert max(map(len, samples)) <= 20
    assert model.sample(0, stop=9, limit=5, rng=rng).__len__() == 5


def test_order_out_of_range():
    for order in (0, 6):
        with pytest.raises(ValueError, match="order"):
            KneserNey(TRAIN, 3003, order=order)


# 诗


SPRING = "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。"


def test_forms():
    assert verse.form(SPRING) == "五绝" and verse.form(SPRING * 2) == "五律"
    seven = "一二三四五六七，一二三四五六七。" * 2
    assert verse.form(seven) == "七绝" and verse.form(seven * 2) == "七律"
    wrong = ["", SPRING[:-1], SPRING[1:], SPRING + "\n", SPRING * 3, SPRING[:12]]
    wrong += [SPRING[:12] + seven[:16], SPRING.replace("，", "。")]
    wrong += [SPRING.replace("春", other) for other in ("春春", "", " ", "，")]
    assert [verse.form(w) for w in wrong] == [None] * len(wrong)
    assert verse.form_rate([SPRING, "春"]) == 0.5 and math.isnan(verse.form_rate([]))


def test_lines_and_rhyme_pairs():
    assert verse.lines(SPRING) == ["春眠不觉晓", "处处闻啼鸟", "夜来风雨声", "花落知多少"]
    assert verse.rhyme_pairs(SPRING) == [("鸟", "少")]
    assert len(verse.rhyme_pairs(SPRING * 2)) == 6
    assert verse.rhyme_pairs("春") == [] and verse.lines("，。\n") == []


def test_copied_rate():
    assert verse.copied_rate([SPRING], [SPRING]) == 1.0
    changed = SPRING.replace("春", "秋").replace("花", "叶")
    assert verse.copied_rate([changed, changed[:12]], [SPRING]) == pytest.approx(3 / 6)
    assert math.isnan(verse.copied_rate(["，"], [SPRING]))


def quatrain(a, b):
    return f"一二三四五，一二三四{a}。一二三四五，一二三四{b}。"


def test_rhymes_are_learnt_from_pairs_and_from_company():
    texts = [quatrain("鸟", "少")] * 2 + [quatrain("晓", "少")] * 2 + [quatrain("晓", "天")]
    texts += [quatrain("门", "门")] * 3
    table = RhymeTable(texts)
    assert table.rhymes("鸟", "少") and table.rhymes("少", "鸟")
    assert table.rhymes("鸟", "晓"), "从没同押，但同押过的字相同"
    assert not table.rhymes("晓", "天"), "只有一首，不够两首"
    assert not table.rhymes("门", "门") and not table.rhymes("鸟", "鸟")
    assert not table.rhymes("鸟", "〇") and not table.rhymes("〇", "鸟")
    assert set(table.group("鸟")) == {"晓", "少"} and table.group("〇") == ""
    assert not RhymeTable(texts, pairs=3).rhymes("少", "晓")
    assert not RhymeTable(texts, cosine=1.1).rhymes("鸟", "晓")
    octave = quatrain("鸟", "少") * 2
    assert not RhymeTable([octave], cosine=1.1).rhymes("鸟", "少"), "同一首诗只算一次"
    assert RhymeTable([octave] * 2, cosine=1.1).rhymes("鸟", "少")


def test_rate_counts_only_proper_poems():
    table = RhymeTable([quatrain("鸟", "少")] * 2)
    good, bad = quatrain("鸟", "少"), quatrain("鸟", "天")
    assert table.rate([good, bad, bad]) == pytest.approx(1 / 3)
    assert table.rate([good, bad[1:]]) == 1.0
    assert math.isnan(table.rate([bad[1:]]))


def test_calibration_on_the_real_poems(corpus):
    train, val = ([p.body for p in part] for part in corpus)
    table = RhymeTable(train)
    assert round(table.rate(val), 2) == 0.96
    assert round(verse.copied_rate(val, train), 3) == 0.003
    ends = [line[-1] for body in val for line in verse.lines(body)[1::2]]
    chance = random.Random(0)
    pairs = [chance.sample(ends, 2) for _ in range(20_000)]
    assert 0.04 <= np.mean([table.rhymes(a, b) for a, b in pairs]) <= 0.055


# 包


def test_modules_are_imported_on_demand():
    code = """
import sys, dlbook.text
loaded = lambda: {m for m in sys.modules if m.startswith("dlbook.text.")}
assert not loaded(), loaded()
from dlbook.text import CharTokenizer
assert loaded() == {"dlbook.text.characters"}, loaded()
from dlbook.text import ngram, verse
assert callable(ngram.AddK) and callable(verse.form)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert ngram.AddK is AddK


# 韵书


@pytest.fixture(scope="module")
def rhyme_book():
    return RhymeBook(pingshui())


def test_the_rhyme_book_has_106_groups_of_corpus_characters(corpus, rhyme_book):
    groups = pingshui()
    tones = Counter(name[:2] for name in groups)
    assert tones == {"平声": 30, "上声": 29, "去声": 30, "入声": 17}
    known = {c for p in corpus.train for c in p.body}
    assert set(rhyme_book.characters) <= known
    assert all("".join(sorted(set(group))) == group for group in groups.values())
    readme = Path(rhymes.__file__).with_name("pingshui") / "README.md"
    assert rhymes.SHA256 in readme.read_text(encoding="utf-8")


def test_well_known_rhymes(rhyme_book):
    for a, b in ("东风", "斜家", "流楼", "啼西", "雪绝", "晓鸟"):
        assert rhyme_book.rhymes(a, b) and rhyme_book.rhymes(b, a), a + b
    for a, b in ("东冬", "花春", "流春", "风风"):
        assert not rhyme_book.rhymes(a, b), a + b
    assert not rhyme_book.rhymes("A", "东")
    assert rhyme_book.group("A") == ""
    assert "家" in rhyme_book.group("斜") and "斜" not in rhyme_book.group("斜")


def test_the_learnt_table_agrees_with_the_rhyme_book(corpus, rhyme_book):
    bodies = [p.body for p in corpus.val]
    assert rhyme_book.rate(bodies) > 0.94
    table = RhymeTable(p.body for p in corpus.train)
    feet = random.Random(0).choices(sorted({verse.lines(text)[1][-1] for text in bodies}), k=4000)
    pairs = zip(feet[::2], feet[1::2], strict=True)
    same = [table.rhymes(a, b) == rhyme_book.rhymes(a, b) for a, b in pairs]
    assert sum(same) / len(same) > 0.95


def test_a_changed_rhyme_book_is_refused(monkeypatch):
    monkeypatch.setattr(rhymes, "SHA256", "0" * 64)
    with pytest.raises(DataError, match="有改动"):
        pingshui()
