"""张量引擎的核心：计算图、反向传播、就地修改、视图、内存；运算本身在 test_ops_parity.py。"""

import copy
import gc
import re
import subprocess
import sys
import tracemalloc
import weakref

import numpy as np
import pytest
import torch

import dlbook
import dlbook.nn.functional as F
from dlbook.autograd.tensor import Node, Tensor, apply


def leaf(*values):
    return dlbook.tensor([float(v) for v in values], requires_grad=True)


# 反向传播


def test_gradients_accumulate_over_paths_and_over_calls():
    x = leaf(2, 3)
    y = x * x + x
    y.sum().backward()
    assert x.grad.tolist() == [5, 7]
    (x * 10).sum().backward()
    assert x.grad.tolist() == [15, 17]
    x.grad = None
    (x * 10).sum().backward()
    assert x.grad.tolist() == [10, 10]


def test_a_diamond_visits_each_node_once():
    """菱形套菱形：路径有 2⁵⁰ 条，节点只有 100 个。"""
    x = leaf(1.0)
    y = x
    for _ in range(50):
        y = (y + y) * 0.5
    y.sum().backward()
    assert x.grad.item() == 1.0


def test_deep_chain_needs_no_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(30_000):
        y = y + 1.0
    y.sum().backward()
    assert x.grad.item() == 1.0


def test_a_deep_chain_never_walked_is_released_without_recursion():
    y = leaf(1.0)
    for _ in range(100_000):
        y = y * 1.0
    del y
    gc.collect()


def test_second_backward_is_refused_unless_retained():
    x = leaf(1, 2)
    loss = (x * x).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert x.grad.tolist() == [4, 8]
    with pytest.raises(RuntimeError, match=r"已经反向传播过.*retain_graph=True"):
        loss.backward()
    assert x.grad.tolist() == [4, 8]


def test_graph_is_freed_after_backward():
    x = leaf(*range(1000))
    y = (x * 2).exp()
    held = weakref.ref(y.grad_fn)
    z = y.sum()
    del y
    z.backward()
    assert held() is None
    assert z.grad_fn.cache is None


def test_values_not_needed_by_backward_are_not_kept():
    """图里只有节点：加法的反向用不着操作数，它们用完就释放。"""
    x = leaf(1, 2)
    y = x * 3
    held = weakref.ref(y.array)
    z = y + 1
    del y
    assert held() is None
    z.sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_no_grad_records_nothing_and_nests():
    x = leaf(1.0)
    with dlbook.no_grad():
        assert (x * 2).grad_fn is None
        with dlbook.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad

    @dlbook.no_grad()
    def f(depth):
        return f(depth - 1) if depth else x * 2

    assert not f(3).requires_grad
    assert dlbook.is_grad_enabled()
    with pytest.raises(ValueError, match="漏出来"), dlbook.no_grad():
        raise ValueError("漏出来")
    assert dlbook.is_grad_enabled()


def test_backward_wants_a_scalar_or_a_gradient():
    x = leaf(1, 2)
    with pytest.raises(RuntimeError, match=r"形状 \(2,\) 的张量有 2 个元素，须给出上游梯度"):
        (x * 2).backward()
    (x * 2).backward(dlbook.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2, 20]
    with pytest.raises(RuntimeError, match=r"同形状 \(2,\)，收到 \(3,\)"):
        (x * 2).backward(dlbook.ones(3))
    with pytest.raises(TypeError, match="gradient 应是 Tensor，收到 ndarray"):
        (x * 2).backward(np.ones(2))
    with pytest.raises(RuntimeError, match="不是由需要求导"):
        dlbook.ones(()).backward()


def test_backward_on_a_leaf_copies_the_given_gradient():
    x = leaf(1, 2)
    g = dlbook.ones(2)
    x.backward(g)
    x.backward(g)
    assert x.grad.tolist() == [2, 2] and g.tolist() == [1, 1]


def test_the_upstream_gradient_is_never_modified_nor_shared():
    x, y = leaf(1, 2), leaf(3, 4)
    g = dlbook.ones(2)
    (x + y).backward(g)
    (x + y).backward(g)
    assert g.tolist() == [1, 1]
    x.grad.zero_()  # 两个叶子收到的是同一个梯度，却不能是同一块内存
    assert y.grad.tolist() == [2, 2]


def test_one_gradient_reaching_two_nodes_is_not_overwritten():
    """a + a 与 view 把同一个 dy 交给多处；谁也不许在上面就地累加。"""
    x = leaf(1, 2)
    h = x * 1.0
    y = h.reshape(2) + h + h.view(2) * 2
    (y + h).sum().backward()
    assert x.grad.tolist() == [5, 5]


def test_unused_input_gets_no_gradient():
    x, y = leaf(1.0), leaf(2.0)
    (x * 2).sum().backward()
    assert y.grad is None


def test_integers_do_not_join_the_graph():
    x = leaf(1, 2, 3)
    index = x.argmax()
    assert not index.requires_grad
    assert not (x > 1).requires_grad
    assert not x.long().requires_grad


def test_gradient_keeps_the_dtype_of_the_leaf():
    a = dlbook.ones(2, requires_grad=True)
    b = dlbook.ones(2, dtype=dlbook.float64, requires_grad=True)
    (a * b).sum().backward()
    assert a.grad.dtype == dlbook.float32 and b.grad.dtype == dlbook.float64


def test_float32_stays_float32_through_a_network():
    """Python 的数、均值、缩放都不许把 float32 悄悄升成 float64。"""
    x, w = dlbook.randn(4, 8, requires_grad=True), dlbook.randn(8, 8, requires_grad=True)
    h = F.layer_norm(F.gelu(F.linear(x, w)), (8,)) * 0.5 + 1
    y = F.scaled_dot_product_attention(h[None], h[None], h[None], is_causal=True).mean(-1).std()
    y.backward()
    for value in (h, y, x.grad, w.grad):
        assert value.dtype == dlbook.float32


def test_retain_grad_keeps_inner_gradients():
    x = leaf(1, 2)
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [6, 12] and x.grad.tolist() == [18, 36]
    with pytest.raises(RuntimeError, match="没有梯度可留"):
        dlbook.ones(2).retain_grad()


def test_grad_function():
    x, y = leaf(1, 2), leaf(3, 4)
    gx, gy = dlbook.autograd.grad((x * y + x).sum(), [x, y])
    assert gx.tolist() == [4, 5] and gy.tolist() == [1, 2]
    assert x.grad is None and y.grad is None
    (gx,) = dlbook.autograd.grad(x * 2, x, dlbook.tensor([1.0, 10.0]))
    assert gx.tolist() == [2, 20]
    with pytest.raises(RuntimeError, match="allow_unused"):
        dlbook.autograd.grad((x * 2).sum(), [x, y])
    assert dlbook.autograd.grad((x * 2).sum(), [x, y], allow_unused=True)[1] is None
    with pytest.raises(NotImplementedError, match="retain_grad"):
        dlbook.autograd.grad((x * 2).sum(), x * 2)
    with pytest.raises(NotImplementedError, match="create_graph"):
        dlbook.autograd.grad(x.sum(), x, create_graph=True)


def test_many_slices_of_one_tensor_share_one_gradient_array():
    """切成 100 片再加起来：各片的梯度加进同一块，不是造 100 个满尺寸的零数组。"""
    x = dlbook.randn(1000, 1000, requires_grad=True)
    h = x * 1.0
    total = sum((h[i : i + 10] * i).sum() for i in range(0, 1000, 10))
    tracemalloc.start()
    total.backward()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * x.array.nbytes
    expected = np.repeat(np.arange(0, 1000, 10), 10)[:, None] * np.ones(1000)
    np.testing.assert_array_equal(x.grad.numpy(), expected)


def test_partial_gradients_mix_with_whole_ones():
    x = leaf(1, 2, 3)
    for f in (lambda h: h[0] + h.sum(), lambda h: h.sum() + h[0], lambda h: h[0] + h[1:].sum()):
        x.grad = None
        f(x * 1.0).backward()
        assert x.grad.tolist() in ([2, 1, 1], [1, 1, 1])
    x.grad = None
    x[0].backward()
    x[0].backward()
    assert x.grad.tolist() == [2, 0, 0]


# 就地修改


def test_a_parameter_can_be_updated_under_no_grad():
    w = leaf(1, 2)
    (w * w).sum().backward()
    with dlbook.no_grad():
        w -= 0.1 * w.grad
    np.testing.assert_allclose(w.detach().numpy(), [0.8, 1.6], rtol=1e-6)
    assert w.is_leaf and w.requires_grad


def changes(x):
    return {
        "自己": lambda: x.add_(1),
        "视图": lambda: x[0].zero_(),
        "detach": lambda: x.detach().mul_(2),
        "data": lambda: x.data.fill_(0),
        "赋值": lambda: x.__setitem__(0, 5.0),
    }


@pytest.mark.parametrize("how", changes(None))
def test_changing_what_backward_needs_is_refused(how):
    x = leaf(1, 2)
    loss = (x * x).sum()
    with dlbook.no_grad():
        changes(x)[how]()
    with pytest.raises(RuntimeError, match=r"运算 mul 的反向要用到的数值后来被就地修改过"):
        loss.backward()
    assert x.grad is None  # 检查在先，没有留下一半的梯度


def test_changing_an_output_that_backward_needs_is_refused():
    x = leaf(1, 2)
    y = x.exp()
    with dlbook.no_grad():
        y.mul_(2)
    with pytest.raises(RuntimeError, match="运算 exp"):
        y.sum().backward()


def test_changing_a_view_of_a_saved_array_is_refused():
    x = dlbook.randn(2, 3, 4, requires_grad=True)
    w = dlbook.randn(5, 4)
    loss = F.linear(x, w.T.T).sum()  # linear 把 x 排成矩阵再用：那是 x 的视图
    with dlbook.no_grad():
        w.T[0, 0] = 9.0
    with pytest.raises(RuntimeError, match="运算 linear"):
        loss.backward()


def test_changing_what_backward_does_not_need_is_allowed():
    x, y = leaf(1, 2), leaf(3, 4)
    loss = (x + y).sum()
    with dlbook.no_grad():
        x.zero_()
    loss.backward()
    assert x.grad.tolist() == [1, 1]
    z = x * 2
    total = z.relu() + 0
    with dlbook.no_grad():
        z.zero_()  # ReLU 只留下输出
    total.sum().backward()


def test_versions_are_those_of_torch():
    ours, theirs = [], []
    for t, versions in ((dlbook, ours), (torch, theirs)):
        x = t.zeros(3)
        view, other = x[1:], x.clone()
        versions.append((x._version, view._version))
        x.add_(1)
        view.mul_(2)
        x[0] = 3.0
        x.detach().zero_()
        versions.append((x._version, view._version, other._version))
    assert ours == theirs


@pytest.mark.parametrize(
    "use",
    [
        lambda x: x.add_(1),
        lambda x: x.zero_(),
        lambda x: x.__setitem__(0, 1.0),
        lambda x: x.__iadd__(1),
        lambda x: x.__iadd__(x * 2),
    ],
)
def test_in_place_on_a_leaf_is_refused(use):
    with pytest.raises(RuntimeError, match=r"叶子不能就地修改.*no_grad"):
        use(leaf(1, 2))


@pytest.mark.parametrize(
    "use", [lambda x: x.zero_(), lambda x: x.relu_(), lambda x: x.__setitem__(0, 1.0)]
)
def test_other_in_place_on_an_inner_result_is_refused(use):
    with pytest.raises(NotImplementedError, match="写成不就地的"):
        use(leaf(1, 2) * 1)


IN_PLACE_PROGRAMS = {
    "从 0 累加损失": lambda t, x: sum_in_place(0, x),
    "从零维张量累加": lambda t, x: sum_in_place(t.tensor(0.0), x),
    "中间结果": lambda t, x: in_place_chain(x * 2, x),
    "不求导的张量加上求导的": lambda t, x: in_place_chain(t.ones(2), x),
    "前面用过旧值，反向用不到": lambda t, x: [y := x * 2, z := y + x, y.__iadd__(1), z.sum()][1:],
    "no_grad 之内照旧改数值": lambda t, x: under_no_grad(t, x * 2),
    "广播": lambda t, x: (x * 2).reshape(1, 2).add(t.ones(3, 2)).__iadd__(x),
}


def sum_in_place(total, x):
    for i in range(1, 4):
        total += (x * x).sum() * i
    return total


def in_place_chain(y, x):
    alias = y
    y += x
    y -= 0.5
    y *= 3
    y **= 2
    assert y is alias
    return y


def under_no_grad(t, y):
    with t.no_grad():
        y += 1
    return y


@pytest.mark.parametrize("name", IN_PLACE_PROGRAMS)
def test_in_place_arithmetic_in_the_graph_is_torchs(name):
    results = []
    for t in (dlbook, torch):
        x = t.tensor([1.0, 2.0], requires_grad=True)
        out = IN_PLACE_PROGRAMS[name](t, x)
        out = out if isinstance(out, list) else [out]
        sum(y.sum() for y in out).backward()
        results.append([*[y.tolist() for y in out], x.grad.tolist()])
    assert results[0] == results[1]


def test_in_place_in_the_graph_is_refused_where_it_would_be_wrong():
    for share in (
        lambda y: y[0],
        lambda y: y.view(2, 1),
        lambda y: y.detach(),
    ):
        y = leaf(1, 2) * 2
        other = share(y)
        with pytest.raises(NotImplementedError, match="视图"):
            y += 1
        np.testing.assert_array_equal(y.tolist(), [2, 4])
        assert other is not None
    start = np.zeros(2, np.float32)
    for total in (dlbook.from_numpy(start), dlbook.as_tensor(start)):
        with pytest.raises(NotImplementedError, match="NumPy"):
            total += leaf(1, 2)
    total = dlbook.zeros(2)
    seen = total.numpy()
    with pytest.raises(NotImplementedError, match="NumPy"):
        total += leaf(1, 2)
    assert seen.tolist() == [0, 0]
    y = leaf(1, 2) * 2
    y.retain_grad()
    with pytest.raises(NotImplementedError, match="retain_grad"):
        y += 1
    for wrong in (dlbook.ones(3, 2), dlbook.ones(3)):
        with pytest.raises(RuntimeError, match="不能改变形状"):
            y = leaf(1, 2) * 2
            y += wrong
    with pytest.raises(RuntimeError, match="放不进"):
        count = dlbook.ones(2, dtype=dlbook.int64)
        count += leaf(1, 2)


def test_in_place_in_the_graph_invalidates_those_who_need_the_old_value():
    for t in (dlbook, torch):
        x = t.tensor([1.0, 2.0], requires_grad=True)
        y = x * 2
        loss = (y * y).sum()
        y += 1
        with pytest.raises(RuntimeError):
            loss.backward()
    x = leaf(1, 2)
    y = x.exp()
    y += 1
    with pytest.raises(RuntimeError, match="运算 exp"):
        y.sum().backward()


def test_writing_a_tracked_tensor_into_another_is_refused():
    x = leaf(1.0)
    for use in (
        lambda t: t.copy_(x),
        lambda t: t.__setitem__(0, x),
    ):
        with pytest.raises(NotImplementedError, match="求导"):
            use(dlbook.zeros(1))


def test_broadcast_views_are_read_only():
    wide = dlbook.ones(1).expand(3)
    with pytest.raises(RuntimeError, match="几个元素共用一处内存"):
        wide.add_(1)


# 视图与内存


def test_views_share_memory_where_torch_shares():
    uses = {
        "reshape": lambda x: x.reshape(6),
        "view": lambda x: x.view(3, 2),
        "transpose": lambda x: x.transpose(0, 1),
        "T": lambda x: x.T,
        "slice": lambda x: x[:, 1:],
        "int": lambda x: x[0],
        "element": lambda x: x[0, 0],
        "unsqueeze": lambda x: x.unsqueeze(0),
        "squeeze": lambda x: x[:1].squeeze(0),
        "flatten": lambda x: x.flatten(),
        "expand": lambda x: x[:, :1].expand(2, 3),
        "permute": lambda x: x.permute(1, 0),
        "split": lambda x: x.split(1)[0],
        "chunk": lambda x: x.chunk(2)[0],
        "unbind": lambda x: x.unbind()[0],
        "detach": lambda x: x.detach(),
        "contiguous": lambda x: x.contiguous(),
        "to": lambda x: x.to(x.dtype),
        "clone": lambda x: x.clone(),
        "contiguous copy": lambda x: x.T.contiguous(),
        "index": lambda x: x[[0]],
        "mask": lambda x: x[x > -1],
        "cat": lambda x: x.new if False else x + 0,
    }
    for name, use in uses.items():
        shared = []
        for t in (dlbook, torch):
            x = t.zeros(2, 3)
            y = use(x)
            x.fill_(1)
            shared.append(bool((y == 1).all()))
        assert shared[0] == shared[1], name


def test_an_indexed_element_is_a_tensor_that_writes_through():
    x = dlbook.zeros(3)
    element = x[1]
    element.fill_(5)
    assert x.tolist() == [0, 5, 0] and element.shape == ()


def test_convolution_outputs_can_be_viewed_flat():
    """通道在最后的内存是引擎自己的事：view 照样能用，次序与 PyTorch 相同。"""
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 6)).astype(np.float32)
    w = np.random.default_rng(1).standard_normal((4, 3, 3, 3)).astype(np.float32)
    ours = F.conv2d(dlbook.tensor(x), dlbook.tensor(w)).view(2, -1)
    theirs = torch.nn.functional.conv2d(torch.tensor(x), torch.tensor(w)).view(2, -1)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-5)


def test_numpy_shares_memory_and_tensor_copies():
    a = np.zeros(3)
    assert dlbook.from_numpy(a).numpy() is a
    copied = dlbook.tensor(a)
    a[0] = 1
    assert copied.tolist() == [0, 0, 0]
    assert dlbook.as_tensor(a).numpy() is a
    np.testing.assert_array_equal(np.asarray(dlbook.from_numpy(a)), a)
    assert np.asarray(dlbook.from_numpy(a), dtype=np.float32).dtype == np.float32


def test_training_does_not_grow_memory():
    """一千步之后，Python 手里的内存与第一百步时一样多。"""
    x, w = dlbook.randn(16, 8), dlbook.randn(4, 8, requires_grad=True)
    target = dlbook.randint(4, (16,))

    def steps(n):
        for _ in range(n):
            w.grad = None
            F.cross_entropy(F.linear(x, w).relu(), target).backward()
            with dlbook.no_grad():
                w.sub_(w.grad, alpha=0.1)

    def held_by_engine():
        """引擎的代码申请、至今没有归还的字节数（别的线程申请的不算）。"""
        gc.collect()
        engine = [tracemalloc.Filter(True, "*/dlbook/*", all_frames=True)]
        found = tracemalloc.take_snapshot().filter_traces(engine).statistics("filename")
        return sum(item.size for item in found)

    tracemalloc.start(8)
    try:
        steps(100)
        before = held_by_engine()
        steps(1000)
        assert held_by_engine() - before < 20_000
    finally:
        tracemalloc.stop()


def test_nothing_is_left_to_the_garbage_collector():
    """图里没有循环引用：最后一个名字消失，内存立刻释放。"""
    gc.collect()
    gc.disable()
    try:
        x = leaf(1, 2)
        y = (x * 2).exp()
        held = weakref.ref(y.grad_fn), weakref.ref(y)
        loss = y.sum()
        loss.backward()
        del y, loss
        assert held[0]() is None and held[1]() is None
    finally:
        gc.enable()


# 打印、复制、杂项


@pytest.mark.parametrize(
    "make",
    [
        lambda t: t.tensor([1.0, 2.0, 3.0]),
        lambda t: t.tensor([[0.5, 1.25], [-3.0, 4.0]]),
        lambda t: t.tensor(3.14159),
        lambda t: t.tensor(2.0),
        lambda t: t.tensor([1, -2, 300]),
        lambda t: t.tensor([True, False]),
        lambda t: t.tensor([1e-6, 1.0]),
        lambda t: t.tensor([1e10, 1.0]),
        lambda t: t.tensor([0.0, 1e-5]),
        lambda t: t.tensor([1.5, float("nan"), float("inf")]),
        lambda t: t.tensor([1.0, float("inf")]),
        lambda t: t.tensor([1.0], dtype=t.float64),
        lambda t: t.tensor([1], dtype=t.int32),
        lambda t: t.tensor([1.0], requires_grad=True),
        lambda t: t.zeros(0),
        lambda t: t.zeros(0, dtype=t.int64),
        lambda t: t.zeros(2, 0),
        lambda t: t.zeros(2, 2, 2),
        lambda t: t.arange(30),
        lambda t: t.arange(24).reshape(4, 6) * 1000,
        lambda t: t.arange(2000),
        lambda t: t.arange(2000.0),
        lambda t: t.tensor(5),
        lambda t: t.tensor(True),
        lambda t: t.linspace(0, 1, 30),
        lambda t: t.tensor([12345.678, 0.5]),
        lambda t: t.arange(4000.0).reshape(40, 100) / 7,
        lambda t: t.arange(3000).reshape(10, 10, 30),
        lambda t: t.linspace(-1, 1, 12).reshape(2, 3, 2),
        lambda t: t.linspace(-1, 1, 12, dtype=t.float64).reshape(2, 6),
        lambda t: t.tensor([0.0, 0.0]),
        lambda t: t.tensor([[True], [False]]),
        lambda t: t.tensor([-0.5, 100.25]),
        lambda t: t.ones(3, 0, dtype=t.bool),
    ],
)
def test_prints_like_torch(make):
    assert repr(make(dlbook)) == repr(make(torch)).replace("torch.", "")


def test_prints_the_operation():
    assert re.search(r"grad_fn=<mul>\)$", repr(leaf(1.0) * 2))
    assert repr(Node("mul", (), None, None, [])) == "<mul>"


def test_deepcopy_of_a_leaf():
    x = leaf(1, 2)
    (x * x).sum().backward()
    y = copy.deepcopy(x)
    assert y.requires_grad and y.grad.tolist() == [2, 4]
    y.grad.zero_()
    with dlbook.no_grad():
        y.zero_()
    assert x.tolist() == [1, 2] and x.grad.tolist() == [2, 4]
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(x * 2)


def test_tensors_hash_by_identity():
    x, y = dlbook.ones(2), dlbook.ones(2)
    assert len({x, y, x}) == 2
    assert {x: 1}[x] == 1


def test_numpy_gives_way_to_tensor():
    assert isinstance(np.float32(2) * leaf(1.0), Tensor)
    with pytest.raises(TypeError, match="from_numpy"):
        dlbook.ones(2) + np.ones(2)


def test_assigning_data_keeps_the_leaf():
    x = leaf(1, 2)
    x.data = dlbook.tensor([5.0, 6.0])
    assert x.tolist() == [5, 6] and x.requires_grad and x.is_leaf


def test_a_new_operation_is_one_pair_of_functions():
    """读者自己的运算：一对 NumPy 函数加一行 apply。"""

    def cube(x):
        return x * x * x, x

    def cube_backward(dy, cache):
        return dy * 3 * cache * cache

    x = leaf(2, 3)
    y = apply(cube, cube_backward, x)
    assert y.grad_fn.name == "cube"
    y.sum().backward()
    assert x.grad.tolist() == [12, 27]


def test_importing_dlbook_does_not_import_the_engine():
    code = "import sys, dlbook, dlbook.data; print([m for m in sys.modules if 'autograd' in m])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_public_docstring_says_where_the_book_explains_it():
    missing = []
    names = [n for n in dlbook.__all__ if n not in ("nn", "optim", "utils", "autograd")]
    for space, found in ((dlbook, names), (F, F.__all__), (Tensor, vars(Tensor))):
        for name in found:
            value = getattr(space, name)
            public = not name.startswith("_") and callable(value)
            if public and "书中：" not in (value.__doc__ or ""):
                missing.append(name)
    assert not missing
