"""语言模型的训练：批、配方、Muon、可重复、断点续训；命令 train gpt、sample、evaluate。"""

import signal

import pytest
import torch

from dlbook.data.poems import Poem, TangShi
from dlbook.models import saved
from dlbook.models.gpt import GPTConfig, define
from dlbook.plot import training as draw
from dlbook.serialization import CheckpointError
from dlbook.text import CharTokenizer
from dlbook.training import Checkpoints, cli, evaluate, gpt, language
from dlbook.training.language import BucketBatches, Recipe
from dlbook.training.muon import Muon, orthogonalize
from dlbook.training.sample import load_model

TOKENIZER = CharTokenizer("\n一二三四五六七八九，。")
TEXTS = ["一二三，四五六。"] * 6 + ["七八，九一。"] * 5 + ["三三三三，四四四四。"] * 9
# 每行都不同：末字换掉，可以数清哪一行用过几次。
ROWS = [[0, *range(1, 4), 4 + i, 0] for i in range(11)] + [[0, i, 0] for i in range(1, 8)]


def small(seed=0, **options):
    torch.manual_seed(seed)
    return define(torch)(
        GPTConfig(len(TOKENIZER), context=12, layers=1, heads=2, width=16, **options)
    )


def rows():
    return language.poem_rows(TEXTS, TOKENIZER)


def as_tuples(batches):
    """一批批的（输入，目标）还原成一行行。"""
    whole = [torch.cat([x, y[:, -1:]], dim=1) for x, y in batches]
    return [tuple(row) for batch in whole for row in batch.tolist()]


# ---- 行与批 ----


def test_a_poem_starts_and_ends_with_the_end_mark():
    assert language.poem_rows(["一二", "三"], TOKENIZER) == [
        TOKENIZER.encode("\n一二\n"),
        TOKENIZER.encode("\n三\n"),
    ]


def test_windows_share_one_token_and_cover_the_text():
    text = "一二三四五六七八九"
    windows = [TOKENIZER.decode(row) for row in language.window_rows(text, TOKENIZER, 3)]
    assert windows == ["一二三四", "四五六七"]
    assert len(language.window_rows(text, TOKENIZER, 8)) == 1
    with pytest.raises(ValueError, match="只有 9 个词元，至少要 10 个"):
        language.window_rows(text, TOKENIZER, 9)


def test_targets_are_the_next_tokens_and_lengths_are_pure():
    for x, y in BucketBatches(ROWS, tokens=8).epoch(0):
        assert x.shape == y.shape
        assert torch.equal(x[:, 1:], y[:, :-1])
        assert (x[:, 0] == 0).all()
        assert (y[:, -1] == 0).all()
        assert y.numel() <= max(8, y.shape[1])


def test_an_epoch_uses_every_row_once_in_a_new_order():
    batches = BucketBatches(ROWS, tokens=8, seed=4)
    first, second = (as_tuples(batches.epoch(k)) for k in (0, 1))
    assert sorted(first) == sorted(map(tuple, ROWS)) == sorted(second)
    assert first != second
    assert len(list(batches.epoch(0))) == len(batches)
    assert as_tuples(batches) == first
    assert as_tuples(BucketBatches(ROWS, tokens=8, seed=4).epoch(0)) == first
    assert as_tuples(BucketBatches(ROWS, tokens=8, seed=5).epoch(0)) != first


def test_an_epoch_can_start_anywhere():
    batches = BucketBatches(ROWS, tokens=8)
    whole = [as_tuples([batch]) for batch in batches.epoch(3)]
    for start in range(len(batches) + 1):
        assert [as_tuples([batch]) for batch in batches.epoch(3, start)] == whole[start:]


def test_processes_share_an_epoch():
    single = BucketBatches(ROWS, tokens=8)
    parts = [BucketBatches(ROWS, tokens=8, rank=r, world_size=2) for r in range(2)]
    assert len(parts[0]) == len(parts[1]) == len(single) // 2
    used = [row for part in parts for row in as_tuples(part.epoch(0))]
    assert len(set(used)) == len(used)
    assert set(used) <= set(map(tuple, ROWS))
    assert all(len(list(part.epoch(0))) == len(part) for part in parts)


def test_impossible_batches():
    with pytest.raises(ValueError, match="至少要有一行，每行至少两个词元"):
        BucketBatches([])
    with pytest.raises(ValueError, match="每行至少两个词元"):
        BucketBatches([[0], [0, 1]])
    with pytest.raises(ValueError, match="只有 1 批，不够 3 个进程分"):
        BucketBatches([[0, 1]], rank=0, world_size=3)


# ---- Muon ----


def test_orthogonalized_singular_values_are_near_one():
    torch.manual_seed(0)
    for shape in ((40, 20), (20, 40), (3, 30, 30)):
        s = torch.linalg.svdvals(orthogonalize(torch.randn(shape)))
        assert s.min() > 0.3
        assert s.max() < 1.3
    assert not orthogonalize(torch.zeros(3, 4)).any()
    assert orthogonalize(torch.randn(3, 4), dtype=torch.bfloat16).dtype == torch.float32


@pytest.mark.parametrize("shape", [(24, 24), (32, 16), (16, 32)])
def test_muon_equals_pytorch(shape):
    """torch.optim.Muon 的迭代总用 bfloat16，所以只比到它的精度。"""
    torch.manual_seed(0)
    start = torch.randn(shape)
    parameters = [torch.nn.Parameter(start.clone()) for _ in range(2)]
    options = {"lr": 0.05, "weight_decay": 0.1, "momentum": 0.9}
    optimizers = [
        Muon([parameters[0]], bfloat16=True, **options),
        torch.optim.Muon([parameters[1]], **options),
    ]
    for step in range(4):
        gradient = torch.randn(shape, generator=torch.Generator().manual_seed(step))
        for p, optimizer in zip(parameters, optimizers, strict=True):
            p.grad = gradient.clone()
            optimizer.step()
    moved = (parameters[1] - start).norm()
    assert (parameters[0] - parameters[1]).norm() < 0.03 * moved


def test_fused_matrices_are_orthogonalized_apart():
    torch.manual_seed(0)
    gradients = torch.randn(3, 8, 8)
    fused = torch.nn.Parameter(torch.zeros(24, 8))
    apart = [torch.nn.Parameter(torch.zeros(8, 8)) for _ in range(3)]
    fused.grad = gradients.reshape(24, 8).clone()
    for p, g in zip(apart, gradients, strict=True):
        p.grad = g.clone()
    Muon([fused], lr=0.1).step()
    Muon(apart, lr=0.1).step()
    torch.testing.assert_close(fused.detach(), torch.cat(apart).detach(), rtol=1e-5, atol=1e-6)


def test_muon_takes_matrices_and_skips_what_has_no_gradient():
    with pytest.raises(ValueError, match=r"只更新矩阵，收到形状 \(3,\)"):
        Muon([torch.nn.Parameter(torch.zeros(3))])
    p = torch.nn.Parameter(torch.ones(2, 2))
    Muon([p], weight_decay=0.5).step()
    assert (p == 1).all()


# ---- 配方 ----


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_every_parameter_is_in_one_group_with_its_rate(optimizer):
    model = small(bias=True)
    recipe = Recipe(optimizer=optimizer, matrix_lr=0.1, embedding_lr=0.2)
    matrices, others = language.make_optimizers(model, recipe)
    first, second = matrices.param_groups[0], others.param_groups[0]
    assert (first["lr"], second["lr"]) == (0.1, 0.2)
    assert all(p.ndim == 2 for p in first["params"])
    ids = [id(p) for group in (first, second) for p in group["params"]]
    assert sorted(ids) == sorted(map(id, model.parameters()))
    assert id(model.token.weight) in [id(p) for p in second["params"]]


def test_unknown_optimizers_are_refused():
    with pytest.raises(ValueError, match="muon 或 adamw，收到 'sgd'"):
        language.make_optimizers(small(), Recipe(optimizer="sgd"))


@pytest.mark.parametrize(("decay", "quarter"), [("linear", 0.75), ("cosine", (1 + 2**-0.5) / 2)])
def test_rates_fall_to_zero_after_the_warm_up(decay, quarter):
    recipe = Recipe(steps=44, warmup=0.1, decay=decay)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    (schedule,) = language.make_schedules([optimizer], recipe)
    rates = []
    for _ in range(recipe.steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[3] == rates[4] == 1
    assert [rates[14], rates[24]] == pytest.approx([quarter, 0.5])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0)


def test_unknown_decays_are_refused():
    with pytest.raises(ValueError, match="linear 或 cosine，收到 'step'"):
        language.make_schedules([], Recipe(decay="step"))


def test_attention_stays_in_float32():
    q = torch.randn(2, 2, 5, 4, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        y = language.attend_in_float32(q, q, q, is_causal=True)
    assert y.dtype == torch.float32
    expected = torch.nn.functional.scaled_dot_product_attention(*[q.float()] * 3, is_causal=True)
    torch.testing.assert_close(y, expected)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_training_learns_and_repeats_exactly(optimizer, precision):
    recipe = Recipe(
        steps=60, tokens=60, optimizer=optimizer, matrix_lr=0.01, precision=precision, seed=1
    )
    models = [small(), small()]
    histories = [language.fit(model, rows(), recipe) for model in models]
    assert language.validation_loss(models[0], rows()) < 0.6
    assert histories[0].loss == histories[1].loss
    assert histories[0].lr[0] < max(histories[0].lr)
    for a, b in zip(*(m.parameters() for m in models), strict=True):
        assert torch.equal(a, b)


class PowerCut(Exception):
    pass


def test_interrupted_training_resumes_exactly(tmp_path):
    recipe = Recipe(steps=20, tokens=30)
    whole, resumed = small(), small()
    language.fit(whole, rows(), recipe)

    def cut(model):
        raise PowerCut

    with pytest.raises(PowerCut):
        language.fit(
            small(),
            rows(),
            recipe,
            checkpoints=Checkpoints(tmp_path),
            save_every=4,
            evaluate=cut,
            evaluate_every=11,
        )
    language.fit(resumed, rows(), recipe, checkpoints=Checkpoints(tmp_path), resume=True)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


# ---- 命令 ----


@pytest.fixture
def artifacts(tmp_path, monkeypatch):
    monkeypatch.setenv("DLBOOK_ARTIFACTS", str(tmp_path))
    return tmp_path


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(["一二三四五。", "六七八九一。", ""] * 30), encoding="utf-8")
    return path


SIZE = {"layers": 1, "heads": 2, "width": 16, "context": 12, "batch-size": 60}


def train(*arguments):
    """很小的模型；后给的选项盖过先给的。"""
    size = [f"--{name}={value}" for name, value in SIZE.items()]
    return cli.main(["train", "gpt", *size, *map(str, arguments)])


def test_train_sample_and_evaluate(artifacts, corpus, capsys):
    model = artifacts / "model"
    assert train("--corpus", corpus, "--steps", 6, "--save", model) == 0
    out = capsys.readouterr().out
    assert "val_loss" in out
    assert f"模型存在 {model}" in out
    assert cli.main(["sample", "--model", str(model), "--prompt", "一二", "-n", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("一二") for line in lines)
    assert cli.main(["sample", "--model", str(model), "--prompt", "甲"]) == 1
    captured = capsys.readouterr()
    assert "错误：词表" in captured.err
    assert captured.out == ""
    assert cli.main(["evaluate", "--model", str(model), "--corpus", str(corpus)]) == 0
    assert "奈特每字" in capsys.readouterr().out


def test_evaluate_reads_text_as_training_does(artifacts, corpus, tmp_path, capsys):
    """长行照样切段；读不了、没有文字、有生字，各是一句中文。"""
    model, other = artifacts / "model", tmp_path / "other"
    assert train("--corpus", corpus, "--steps", 2, "--save", model) == 0
    command = ["evaluate", "--model", str(model), "--corpus", str(other)]
    other.write_text("一二三四五。六七八九" * 8, encoding="utf-8")
    assert cli.main(command) == 0
    capsys.readouterr()
    for content, message in (
        ("唐诗".encode("gb18030"), "不是 UTF-8 编码的文本"),
        (b"\n", "里没有文字"),
        ("甲乙".encode(), "词表（11 个字符）里没有 '甲'"),
    ):
        other.write_bytes(content)
        assert cli.main(command) == 1
        error = capsys.readouterr().err
        assert error.startswith("错误：") and message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--layers=0", "--layers：应是正整数，收到 '0'"),
        ("--context=-1", "--context：应是正整数，收到 '-1'"),
        ("--dropout=1", "--dropout：应在 0 与 1 之间，收到 '1'"),
    ],
)
def test_impossible_sizes(option, message, capsys):
    with pytest.raises(SystemExit):
        train(option)
    assert message in capsys.readouterr().err


def test_epochs_are_turned_into_steps(artifacts, corpus, capsys):
    assert train("--corpus", corpus, "--epochs", 1) == 0
    rows = gpt.read_corpus(corpus, 12).train
    assert f"第 {len(BucketBatches(rows, tokens=60))} 步" in capsys.readouterr().out
    assert corpus.with_suffix(".safetensors").exists()
    assert not (artifacts / saved.TANG).exists()


def test_ctrl_c_saves_the_model(artifacts, corpus, monkeypatch, capsys):
    real = gpt.fit

    def interrupted(model, rows, recipe, **options):
        options["evaluate"] = lambda model: signal.raise_signal(signal.SIGINT) or {"val_loss": 1.0}
        return real(model, rows, recipe, **options | {"evaluate_every": 2})

    monkeypatch.setattr(gpt, "fit", interrupted)
    assert train("--corpus", corpus, "--steps", 50) == 130
    captured = capsys.readouterr()
    assert "停在第 3 步" in captured.err
    assert "模型存在" in captured.out
    model, _ = saved.load(corpus.with_suffix(".safetensors"), torch)
    assert model.config.width == 16


def test_the_poems_are_the_default_corpus(artifacts, monkeypatch, capsys):
    bodies = [
        "一二三四五，六七八九一。二三四五六，七八九一二。",
        "三三三三三，四四四四四。五五五五五，六六六六六。",
    ]
    poems = [Poem("五绝", "", "", body) for body in bodies * 5]
    for module in (gpt, evaluate):
        monkeypatch.setattr(module, "tangshi", lambda: TangShi(poems, poems[:2]))
    assert train("--steps", 3) == 1
    assert "--context 应不小于 25" in capsys.readouterr().err
    assert train("--steps", 3, "--context", 30, "--batch-size", 50) == 0
    assert cli.main(["evaluate", "-n", "3"]) == 0
    assert "3 首：格式正确" in capsys.readouterr().out


def test_long_lines_are_cut_into_windows(tmp_path):
    path = tmp_path / "prose"
    path.write_text("一二三四五六七八九，" * 30 + "\n", encoding="utf-8")
    corpus = gpt.read_corpus(path, 10)
    assert {len(row) for row in [*corpus.train, *corpus.val]} == {11}
    assert len(corpus.val) == 1
    assert len(corpus.train) == 28


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\xff".encode("latin-1"), "不是 UTF-8 编码的文本"),
        (b"\n \n", "里没有文字"),
        ("一二三\n四五六".encode(), "只有 2 行（段），至少要 20 行"),
    ],
)
def test_unusable_corpora(tmp_path, content, message):
    path = tmp_path / "corpus"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        gpt.read_corpus(path, 12)


def test_a_file_that_is_not_a_model(tmp_path):
    (tmp_path / "x").write_bytes(b"no")
    with pytest.raises(ValueError, match="不是完整的 safetensors") as error:
        load_model(tmp_path / "x")
    assert isinstance(error.value.__cause__, CheckpointError)


# ---- 图 ----


def test_the_batch_figure_says_how_much_is_padding():
    fig = draw.batches({"混": [2, 4, 3, 3], "纯": [3, 3]})
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["混：填充占 25%", "纯：填充占 0%"]


def test_the_learning_curve_averages_the_training_loss():
    loss = [*[4.0] * 10, *[2.0] * 10, 9.0]
    ax = draw.learning_curve(loss, [10, 20], [3.5, 2.5], {"甲": 5.0, "乙": 1.0}, window=10).axes[0]
    training, validation, *levels = ax.lines
    assert training.get_ydata().tolist() == [4.0, 2.0]
    assert training.get_xdata().tolist() == [5.0, 15.0]
    assert list(validation.get_ydata()) == [3.5, 2.5]
    assert [line.get_ydata()[0] for line in levels] == [5.0, 1.0]


def test_lines_and_rates_draw_every_curve():
    ax = draw.lines([1, 2], {"a": [1, 2], "b": [2, 1]}, xlabel="x", ylabel="y", log_x=True).axes[0]
    assert [line.get_label() for line in ax.lines] == ["a", "b"]
    assert ax.get_xscale() == "log"
    ax = draw.rates([1, 2], {"a": [0, 1]}, {"b": 0.5}).axes[0]
    assert [text.get_text() for text in ax.texts] == ["b"]
    assert len(ax.lines) == 2
