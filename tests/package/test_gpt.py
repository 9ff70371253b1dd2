"""GPT：与 Hugging Face 的 GPT-2 一致，两个引擎一致；生成的各种选项；存取。"""

import copy
import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

import dlbook
from dlbook import artifacts
from dlbook.models import generate, gpt2, saved
from dlbook.models.gpt import GPTConfig, define
from dlbook.safetensors import load_file, save_file
from dlbook.serialization import CheckpointError
from dlbook.text import CharTokenizer

V, CONTEXT = 61, 24
SMALL = GPTConfig(V, context=CONTEXT, layers=2, heads=2, width=16)
ENGINES = [torch, dlbook]


def hugging_face(activation="gelu_new", dtype=torch.float32):
    """随机权重的 GPT-2；每个参数 N(0, 0.1²)，偏置也不为零。"""
    config = GPT2Config(
        vocab_size=V,
        n_positions=CONTEXT,
        n_embd=24,
        n_layer=3,
        n_head=4,
        activation_function=activation,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=None,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.1)
    return model.to(dtype)


def our_copy(theirs, dtype=torch.float32):
    model = define(torch)(gpt2.config_from(theirs.config.to_dict())).to(dtype).eval()
    state = gpt2.convert({k: v.numpy() for k, v in theirs.state_dict().items()})
    model.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    return model


def ids(shape=(3, CONTEXT), seed=0):
    return np.random.default_rng(seed).integers(0, V, shape)


def make(lib, config=SMALL, std=0.3):
    """两个引擎上数值相同的小模型；权重比初始化大，分数分得开，不会并列。"""
    rng = np.random.default_rng(0)
    model = define(lib)(config)
    state = {
        name: rng.normal("norm" in name, std, tuple(p.shape)).astype(np.float32)
        for name, p in model.state_dict().items()
    }
    state["head.weight"] = state["token.weight"]
    model.load_state_dict({name: lib.from_numpy(value) for name, value in state.items()})
    return model.eval()


# ---- 与 Hugging Face 一致 ----


@pytest.mark.parametrize("activation", ["gelu_new", "gelu"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_logits_equal_hugging_face(activation, dtype, tolerance):
    theirs = hugging_face(activation, dtype)
    ours = our_copy(theirs, dtype)
    x = torch.from_numpy(ids())
    with torch.no_grad():
        difference = (ours(x)[0] - theirs(x).logits).abs().max().item()
    assert difference <= tolerance


def test_gradients_equal_hugging_face():
    theirs = hugging_face(dtype=torch.float64)
    ours = our_copy(theirs, torch.float64)
    x = torch.from_numpy(ids())
    loss = ours(x[:, :-1], x[:, 1:])[1]
    loss.backward()
    logits = theirs(x[:, :-1]).logits  # 它自己的 loss 先转成 float32，所以另算
    their_loss = F.cross_entropy(logits.reshape(-1, V), x[:, 1:].reshape(-1))
    their_loss.backward()
    assert loss.item() == pytest.approx(their_loss.item(), abs=1e-12)
    gradients = gpt2.convert({n: p.grad.numpy() for n, p in theirs.named_parameters()})
    for name, p in ours.named_parameters():
        np.testing.assert_allclose(p.grad.numpy(), gradients[name], rtol=0, atol=1e-9)


def test_greedy_generation_equals_hugging_face():
    theirs = hugging_face()
    ours = our_copy(theirs)
    prompt = ids((4, 3))
    expected = theirs.generate(
        torch.from_numpy(prompt), do_sample=False, max_new_tokens=CONTEXT - 3, use_cache=True
    )
    got = generate.generate(ours, prompt, CONTEXT - 3, temperature=0)
    np.testing.assert_array_equal(got, expected.numpy())


@pytest.mark.parametrize("lib", ENGINES)
def test_a_saved_gpt2_loads_on_both_engines(tmp_path, lib):
    theirs = hugging_face()
    theirs.save_pretrained(tmp_path)
    model = gpt2.load(lib, tmp_path)
    x = ids()
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x)).logits.numpy()
    with lib.no_grad():
        logits = model(lib.from_numpy(x))[0].numpy()
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)
    assert not model.training


def test_gpt2_names_with_and_without_the_prefix():
    state = {k: v.numpy() for k, v in hugging_face().state_dict().items()}
    bare = {k.removeprefix("transformer."): v for k, v in state.items()}
    bare["h.0.attn.bias"] = np.ones((1, 1, CONTEXT, CONTEXT), bool)  # 旧文件里的掩码
    ours, plain = gpt2.convert(state), gpt2.convert(bare)
    assert ours.keys() == plain.keys()
    assert all((ours[name] == plain[name]).all() for name in ours)


def test_what_is_not_gpt2_is_refused():
    settings = hugging_face().config.to_dict()
    for change in ({"activation_function": "relu"}, {"layer_norm_epsilon": 1e-6}, {"n_inner": 5}):
        with pytest.raises(ValueError, match="只认识 GELU"):
            gpt2.config_from(settings | change)
    with pytest.raises(KeyError, match="没有名为 wq"):
        gpt2.convert({"wq.weight": np.zeros(3)})


# ---- 模型 ----


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="width=10 应能被 heads=4 整除"):
        GPTConfig(V, width=10, heads=4)


def test_define_gives_one_class_per_engine():
    assert define(torch) is define(torch)
    assert define(torch) is not define(dlbook)


@pytest.mark.parametrize("lib", ENGINES)
def test_initialisation(lib):
    lib.manual_seed(0)
    model = define(lib)(GPTConfig(500, width=64, heads=4, layers=8, bias=True))
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    assert model.head.weight is model.token.weight
    for name, value in state.items():
        if name.endswith("bias"):
            assert not value.any()
        elif "norm" in name:
            assert (value == 1).all()
        else:
            std = 0.02 / 4 if name.endswith(("out.weight", "down.weight")) else 0.02
            assert value.std() == pytest.approx(std, rel=0.05)


@pytest.mark.parametrize("bias", [False, True])
def test_parameter_count(bias):
    c = GPTConfig(V, context=CONTEXT, layers=3, heads=2, width=8, bias=bias)
    d, layers = c.width, c.layers
    expected = (V + CONTEXT) * d + layers * (12 * d * d + 2 * d) + d
    expected += bias * (layers * (9 * d + 2 * d) + d)
    assert sum(p.numel() for p in define(torch)(c).parameters()) == expected


@pytest.mark.parametrize("lib", ENGINES)
def test_the_future_is_hidden(lib):
    model, x = make(lib), ids()
    changed = x.copy()
    changed[:, 10:] = (changed[:, 10:] + 1) % V
    with lib.no_grad():
        before, after = (model(lib.from_numpy(i))[0].numpy() for i in (x, changed))
    np.testing.assert_allclose(before[:, :10], after[:, :10], rtol=0, atol=1e-6)
    assert np.abs(before[:, 10:] - after[:, 10:]).max() > 0.1


def test_both_engines_train_alike_for_fifty_steps():
    """同样的初值与数据，NumPy 引擎与 PyTorch 的损失相差不到 1e-4。"""
    rng = np.random.default_rng(0)
    step, first = rng.integers(1, 4, (400, 1)), rng.integers(0, V, (400, 1))
    batches = ((first + step * np.arange(CONTEXT + 1)) % V).reshape(50, 8, -1)
    losses = []
    for lib in ENGINES:
        model = make(lib, std=0.02).train()
        optimizer = lib.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.95))
        losses.append([])
        for x in batches:
            loss = model(lib.from_numpy(x[:, :-1]), lib.from_numpy(x[:, 1:]))[1]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    theirs, ours = np.array(losses)
    assert theirs[-1] < theirs[0] - 1
    assert np.abs(ours - theirs).max() <= 1e-4


@pytest.mark.parametrize("lib", ENGINES)
def test_dropout_acts_only_while_training(lib):
    config = GPTConfig(V, context=CONTEXT, layers=2, heads=2, width=16, dropout=0.5)
    model, x = make(lib, config), lib.from_numpy(ids())
    plain = make(lib)(x)[0].detach().numpy()
    np.testing.assert_array_equal(model(x)[0].detach().numpy(), plain)
    model.train()
    assert np.abs(model(x)[0].detach().numpy() - plain).max() > 0.1


def test_models_can_be_copied():
    model = make(torch)
    twin = copy.deepcopy(model)
    assert twin.head.weight is twin.token.weight
    assert twin.token.weight is not model.token.weight


# ---- KV 缓存 ----


@pytest.mark.parametrize("lib", ENGINES)
def test_cached_hidden_vectors_equal_uncached(lib):
    model = make(lib)
    x = ids()
    with lib.no_grad():
        whole = model.hidden(lib.from_numpy(x)).numpy()
        cache = []
        parts = [model.hidden(lib.from_numpy(x[:, :7]), cache)]
        parts += [model.hidden(lib.from_numpy(x[:, t : t + 1]), cache) for t in range(7, CONTEXT)]
        assert cache[0][0].shape[2] == CONTEXT
        with pytest.raises(ValueError, match="已读 24 个，又给了 1 个"):
            model.hidden(lib.from_numpy(x[:, :1]), cache)
        np.testing.assert_allclose(lib.cat(parts, 1).numpy(), whole, rtol=0, atol=2e-5)


def test_only_one_token_at_a_time_once_cached():
    model, cache = make(torch), []
    model.hidden(torch.from_numpy(ids((1, 3))), cache)
    with pytest.raises(ValueError, match="有缓存时一次一个；已读 3 个，又给了 2 个"):
        model.hidden(torch.from_numpy(ids((1, 2))), cache)


OPTIONS = [
    {"temperature": 0},
    {"rng": 0},
    {"rng": 0, "temperature": 0.7, "top_k": 5},
    {"rng": 0, "top_p": 0.8, "repetition_penalty": 1.5},
    {"temperature": 0, "repetition_penalty": 2.0},
    {"rng": 0, "stop": 3},
]


def run(model, prompt, options, **more):
    options = dict(options, **more)
    if "rng" in options:
        options["rng"] = np.random.default_rng(options["rng"])
    return generate.generate(model, prompt, **options)


@pytest.mark.parametrize("options", OPTIONS)
def test_generation_is_the_same_cached_uncached_and_on_both_engines(options):
    prompt = ids((5, 2))
    first, *rest = [
        run(make(lib), prompt, options, cached=cached)
        for lib in ENGINES
        for cached in (True, False)
    ]
    assert first.shape[1] == CONTEXT + 1 or "stop" in options
    for other in rest:
        np.testing.assert_array_equal(first, other)


# ---- 生成 ----


def test_the_stream_gives_one_step_at_a_time():
    model, prompt = make(torch), ids((2, 4))
    steps = generate.stream(model, prompt, 3, temperature=0)
    first = next(steps)
    assert first.shape == (2,)
    whole = generate.generate(model, prompt, 3, temperature=0)
    np.testing.assert_array_equal(whole[:, :4], prompt)
    np.testing.assert_array_equal(np.column_stack([first, *steps]), whole[:, 4:])


def test_generation_is_not_recorded_and_restores_the_mode():
    model = make(torch, GPTConfig(V, context=CONTEXT, layers=2, heads=2, width=16, dropout=0.5))
    model.train()
    steps = generate.stream(model, ids((1, 2)), 5, temperature=0)
    next(steps)
    assert not model.training
    assert torch.is_grad_enabled()
    steps.close()
    assert model.training
    model.eval()
    quiet = generate.generate(model, ids((1, 2)), 5, temperature=0)
    model.train()
    np.testing.assert_array_equal(generate.generate(model, ids((1, 2)), 5, temperature=0), quiet)


def test_rows_that_stopped_stay_stopped():
    model = make(torch)
    rows = run(model, ids((40, 2)), {"rng": 1, "stop": 3})[:, 2:]
    assert (rows == 3).any(axis=1).sum() > 3
    for row in rows:
        stopped = np.flatnonzero(row == 3)
        assert len(stopped) == 0 or (row[stopped[0] :] == 3).all()
    every = generate.generate(model, [[1]], 20, temperature=0)
    stop = int(every[0, 1])
    assert generate.generate(model, [[1]], 20, temperature=0, stop=stop).tolist() == [[1, stop]]


def test_length_limits():
    model = make(torch)
    assert generate.generate(model, ids((1, CONTEXT)), temperature=0).shape == (1, CONTEXT + 1)
    assert generate.generate(model, ids((1, 5)), 0, temperature=0).shape == (1, 5)
    with pytest.raises(ValueError, match="提示有 25 个词元，上下文只有 24 个"):
        generate.generate(model, ids((1, CONTEXT + 1)), temperature=0)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ([[]], "至少一行一个词元，收到形状 \\(1, 0\\)"),
        ([1, 2], "收到形状 \\(2,\\)"),
        ([[V]], "编号应是 0 到 60 的整数"),
        ([[-1]], "编号应是 0 到 60 的整数"),
        ([[0.5]], "编号应是 0 到 60 的整数"),
    ],
)
def test_wrong_prompts(prompt, message):
    with pytest.raises(ValueError, match=message):
        generate.generate(make(torch), prompt, temperature=0)


def test_sampling_needs_a_generator():
    with pytest.raises(ValueError, match="抽样须给 rng"):
        generate.generate(make(torch), [[1]])


LOGITS = np.log([[0.5, 0.2, 0.2, 0.1], [0.1, 0.6, 0.1, 0.2]])


def test_temperature():
    np.testing.assert_allclose(generate.probabilities(LOGITS), np.exp(LOGITS), rtol=1e-12)
    hot = np.exp(LOGITS / 2)
    np.testing.assert_allclose(
        generate.probabilities(LOGITS, 2.0), hot / hot.sum(1, keepdims=True), rtol=1e-12
    )
    np.testing.assert_array_equal(generate.probabilities(LOGITS, 0), [[1, 0, 0, 0], [0, 1, 0, 0]])
    cold = generate.probabilities(LOGITS * 1e4, 1e-3)
    np.testing.assert_allclose(cold, [[1, 0, 0, 0], [0, 1, 0, 0]], atol=1e-12)


def test_top_k_and_top_p():
    p = np.array([[0.5, 0.25, 0.15, 0.1], [0.1, 0.6, 0.08, 0.22]])
    logits, two = np.log(p), [[2 / 3, 1 / 3, 0, 0], [0, 60 / 82, 0, 22 / 82]]
    np.testing.assert_allclose(generate.probabilities(logits, top_k=2), two)
    np.testing.assert_allclose(generate.probabilities(logits, top_p=0.7), two)
    np.testing.assert_allclose(generate.probabilities(logits, top_k=9, top_p=1), p)
    first = [[1, 0, 0, 0], [0, 1, 0, 0]]
    np.testing.assert_allclose(generate.probabilities(logits, top_p=0.3), first)
    # 先 top-k，留下的重新归一，再 top-p。
    np.testing.assert_allclose(generate.probabilities(logits, top_k=2, top_p=0.6), first)


def test_ties_with_the_last_place_stay():
    np.testing.assert_allclose(
        generate.probabilities(LOGITS[:1], top_k=2), [[5 / 9, 2 / 9, 2 / 9, 0]]
    )
    np.testing.assert_allclose(
        generate.probabilities(LOGITS[:1], top_p=0.6), [[5 / 9, 2 / 9, 2 / 9, 0]]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1}, "temperature 应不小于 0"),
        ({"top_k": 0}, "top_k 应是正整数"),
        ({"top_p": 0}, "top_p 应在"),
        ({"top_p": 1.1}, "top_p 应在"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        generate.probabilities(LOGITS, **options)


def test_the_repetition_penalty_lowers_what_was_seen():
    logits = np.array([[2.0, -2.0, 1.0]])
    got = generate.penalize(logits, np.array([[0, 1, 1]]), 2.0)
    np.testing.assert_array_equal(got, [[1.0, -4.0, 1.0]])
    np.testing.assert_array_equal(logits, [[2.0, -2.0, 1.0]])
    with pytest.raises(ValueError, match="重复惩罚应是正数，收到 0"):
        generate.penalize(logits, np.array([[0]]), 0)


def test_tokens_are_drawn_with_their_probabilities():
    p = np.tile([[0.1, 0.0, 0.6, 0.3]], (20000, 1))
    drawn = generate._draw(p, np.random.default_rng(0))
    counts = np.bincount(drawn, minlength=4) / len(drawn)
    np.testing.assert_allclose(counts, p[0], atol=0.015)
    assert counts[1] == 0


# ---- 文字 ----


TOKENIZER = CharTokenizer("\n" + "".join(map(chr, range(0x4E00, 0x4E00 + V - 1))))


def test_writing_streams_text_up_to_the_end():
    model = make(torch)
    pieces = list(generate.write(model, TOKENIZER, "一丁", rng=np.random.default_rng(1)))
    assert all(len(piece) == 1 for piece in pieces)
    assert "\n" not in pieces
    text = generate.samples(model, TOKENIZER, 1, "一丁", rng=np.random.default_rng(1))
    assert text == ["一丁" + "".join(pieces)]


def test_prompts_may_be_empty_but_not_unknown_or_too_long():
    model = make(torch)
    assert generate.samples(model, TOKENIZER, 3, temperature=0) != []
    with pytest.raises(ValueError, match="词表"):
        list(generate.write(model, TOKENIZER, "甲乙", temperature=0))
    with pytest.raises(ValueError, match="上下文只有 24 个"):
        list(generate.write(model, TOKENIZER, "一" * CONTEXT, temperature=0))


def test_samples_come_in_batches():
    model = make(torch)
    texts = generate.samples(model, TOKENIZER, 7, batch=3, rng=np.random.default_rng(0))
    assert len(texts) == 7
    assert len(set(texts)) > 1


# ---- 存取 ----


def test_saved_models_load_on_both_engines(tmp_path):
    model = make(torch)
    saved.save(tmp_path / "a", model, TOKENIZER, {"steps": "5"})
    saved.save(tmp_path / "b", model, TOKENIZER, {"steps": "5"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    x = ids()
    for lib in ENGINES:
        again, tokenizer = saved.load(tmp_path / "a", lib)
        assert tokenizer.vocab == TOKENIZER.vocab
        assert again.config == SMALL
        assert again.head.weight is again.token.weight
        with lib.no_grad(), torch.no_grad():
            np.testing.assert_allclose(
                again(lib.from_numpy(x))[0].numpy(),
                model(torch.from_numpy(x))[0].numpy(),
                rtol=0,
                atol=1e-5,
            )


def test_the_poet_is_read_from_the_artifacts(tmp_path, monkeypatch):
    monkeypatch.setenv("DLBOOK_ARTIFACTS", str(tmp_path))
    with pytest.raises(artifacts.ArtifactMissing, match="dlbook train gpt"):
        saved.tang(torch)
    saved.save(artifacts.path(saved.TANG), make(torch), TOKENIZER)
    assert saved.tang(torch)[0].config == SMALL


def test_other_files_are_refused(tmp_path):
    save_file({"x": np.zeros(3)}, tmp_path / "plain")
    with pytest.raises(CheckpointError, match="没有模型的尺寸与词表"):
        saved.load(tmp_path / "plain", torch)


EVERY_TYPE = {
    name: np.arange(6).reshape(2, 3).astype(name)
    for name in ("float64", "float32", "float16", "int64", "int32", "uint8", "bool")
} | {"scalar": np.array(3.5), "empty": np.zeros((0, 2), np.float32)}


def test_safetensors_agrees_with_the_library(tmp_path):
    from safetensors import safe_open
    from safetensors.numpy import load_file as their_load
    from safetensors.numpy import save_file as their_save

    save_file(EVERY_TYPE, tmp_path / "ours", {"来历": "测试"})
    their_save(EVERY_TYPE, tmp_path / "theirs", {"来历": "测试"})
    with safe_open(tmp_path / "ours", "np") as file:
        assert file.metadata() == {"来历": "测试"}
    for tensors in (their_load(tmp_path / "ours"), load_file(tmp_path / "theirs")[0]):
        assert tensors.keys() == EVERY_TYPE.keys()
        for name, value in EVERY_TYPE.items():
            assert tensors[name].dtype == value.dtype
            np.testing.assert_array_equal(tensors[name], value)
    assert load_file(tmp_path / "theirs")[1] == {"来历": "测试"}


def test_safetensors_reads_bfloat16(tmp_path):
    from safetensors.torch import save_file as their_save

    x = torch.randn(4, 5).bfloat16()
    their_save({"x": x}, tmp_path / "x")
    np.testing.assert_array_equal(load_file(tmp_path / "x")[0]["x"], x.float().numpy())


def test_safetensors_refuses_what_it_cannot_hold(tmp_path):
    with pytest.raises(TypeError, match="存不了 z 的类型 complex128"):
        save_file({"z": np.zeros(2, complex)}, tmp_path / "z")
    assert list(tmp_path.iterdir()) == []


def test_damaged_safetensors(tmp_path):
    path = tmp_path / "x"
    save_file({"x": np.arange(5.0)}, path, {"a": "b"})
    good = path.read_bytes()
    header = json.dumps({"x": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}).encode()
    mismatch = len(header).to_bytes(8, "little") + header + b"\0" * 4
    for bad in (b"", good[:5], good[:40], good[:-1], b"\xff" * 100, good[:8] + b"[" * 80, mismatch):
        path.write_bytes(bad)
        with pytest.raises(CheckpointError, match="不是完整的 safetensors 文件"):
            load_file(path)
