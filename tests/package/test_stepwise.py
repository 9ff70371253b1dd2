"""逐词元的 GPT 与原来的模型：写出同样的词元，分数只差舍入；不合用的都说清楚。"""

import numpy as np
import pytest
import torch

import dlbook
from dlbook.models import lora
from dlbook.models.generate import generate, stream, write
from dlbook.models.gpt import GPTConfig, define
from dlbook.models.stepwise import Stepwise
from dlbook.text import CharTokenizer

ENGINES = pytest.mark.parametrize("lib", [dlbook, torch], ids=["dlbook", "torch"])
KINDS = [GPTConfig(29, context=16, layers=2, heads=3, width=24),
         GPTConfig(29, context=16, layers=2, heads=4, width=24, bias=True, gelu="tanh"),
         GPTConfig(29, context=16, layers=1, heads=1, width=8, dropout=0.5)]  # fmt: skip
OPTIONS = [{"temperature": 0}, {"temperature": 0.8, "top_p": 0.9}, {"top_k": 3},
           {"repetition_penalty": 1.5}]  # fmt: skip


def build(lib, config=KINDS[0]):
    lib.manual_seed(0)
    model = define(lib)(config)
    with lib.no_grad():
        for p in model.parameters():
            p.normal_(std=0.5)
    return model.eval()


@ENGINES
@pytest.mark.parametrize("config", KINDS)
def test_scores_equal_the_model(lib, config):
    model = build(lib, config)
    ids = np.random.default_rng(0).integers(29, size=(1, 16))
    with lib.no_grad():
        expected = model(lib.from_numpy(ids))[0].numpy()[0]
    steps, cache = Stepwise(model), []
    for t in range(16):
        got = steps.last_logits(ids[:, t : t + 1], cache)
        assert got.dtype == np.float32 and got.shape == (1, 29)
        np.testing.assert_allclose(got[0], expected[t], rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(got, steps.last_logits(ids[:, : t + 1]))


@ENGINES
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("cached", [True, False])
def test_the_same_tokens_are_written(lib, options, cached):
    model, prompt = build(lib), [[3, 1, 4]]
    rows = [
        generate(m, prompt, rng=np.random.default_rng(5), cached=cached, **options)
        for m in (model, Stepwise(model))
    ]
    np.testing.assert_array_equal(*rows)
    assert rows[0].shape == (1, 17)


def test_streams_do_not_disturb_each_other():
    steps = Stepwise(build(torch))
    alone = generate(steps, [[1]], 8, temperature=0)[0, 1:].tolist()
    other = generate(steps, [[2]], 8, temperature=0)[0, 1:].tolist()
    streams = [stream(steps, [[first]], 8, temperature=0) for first in (1, 2)]
    turns = [[int(new[0]) for new in turn] for turn in zip(*streams, strict=True)]
    assert [list(column) for column in zip(*turns, strict=True)] == [alone, other]


@ENGINES
def test_weights_are_shared_and_the_mode_is_restored(lib):
    model = build(lib)
    steps = Stepwise(model)
    before = steps.last_logits(np.array([[1]]))
    with lib.no_grad():
        model.norm.weight.mul_(2.0)
    np.testing.assert_allclose(steps.last_logits(np.array([[1]])), 2 * before, rtol=1e-5)
    model.train()
    generate(steps, [[1]], 2, temperature=0)
    assert model.training and steps.training


def test_it_writes_text():
    tokenizer = CharTokenizer("\n" + "".join(chr(0x4E00 + i) for i in range(28)))
    model = build(torch)
    texts = [
        "".join(write(m, tokenizer, "丁", rng=np.random.default_rng(0)))
        for m in (model, Stepwise(model))
    ]
    assert texts[0] == texts[1] != ""


def test_what_it_cannot_do_is_refused():
    model = build(torch)
    steps = Stepwise(model)
    with pytest.raises(ValueError, match="一次只写一行，收到 2 行"):
        generate(steps, [[1], [2]], 3, temperature=0)
    cache = []
    steps.last_logits(np.ones((1, 10), dtype=int), cache)
    with pytest.raises(ValueError, match="至多 16 个词元；已读 10 个，又给了 7 个"):
        steps.last_logits(np.ones((1, 7), dtype=int), cache)
    lora.attach(model, 2)
    with pytest.raises(ValueError, match="不是 dlbook"):
        Stepwise(model)
    stranger = torch.nn.Linear(2, 2)
    stranger.config = KINDS[0]
    with pytest.raises(ValueError, match=r"模型里没有 token\.weight"):
        Stepwise(stranger)
    other = build(torch)
    other.extra = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"多出了参数：extra\.weight、extra\.bias"):
        Stepwise(other)
