"""为了快而分块、改写的小工具：怎样切，结果都与一次算完的相同。"""

import numpy as np
import pytest

from dlbook.backprop import (
    cross_entropy,
    cross_entropy_backward,
    gelu,
    gelu_backward,
    products,
)
from dlbook.backprop._blocks import BLOCK, in_blocks


def numbers(*shape, dtype=np.float64):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("size", [0, 1, 2 * BLOCK, 2 * BLOCK + 1, 3 * BLOCK + 7])
def test_blocks_are_views_that_cover_every_element_once(size):
    x, y = numbers(size), np.zeros(size)
    for a, b in in_blocks(x, y):
        b += 2 * a
    np.testing.assert_array_equal(y, 2 * x)


def test_blocks_of_channel_last_memory_stay_aligned():
    x = numbers(4, 60, 50, 8).transpose(0, 3, 1, 2)
    y = np.zeros_like(x)
    assert y.strides == x.strides
    pieces = list(in_blocks(x, y))
    assert len(pieces) > 1
    for a, b in pieces:
        b += a
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("make", [lambda x: x.T.copy().T, lambda x: np.repeat(x, 2, 1)[:, ::2]])
def test_arrays_laid_out_differently_are_given_whole(make):
    x = numbers(300, 400)
    other = make(x)
    assert other.strides != x.strides
    assert len(list(in_blocks(x, other))) == 1


@pytest.mark.parametrize("n", [1, 2, 3, 10, 16, 17, 31, 33, 64, 100, 128, 129, 1000])
@pytest.mark.parametrize("lead", [(5,), (2, 3, 4)])
def test_row_max_and_row_sum_match_numpy(lead, n):
    x = numbers(*lead, n)
    np.testing.assert_array_equal(products.row_max(x), x.max(axis=-1, keepdims=True))
    np.testing.assert_allclose(products.row_sum(x), x.sum(axis=-1, keepdims=True), atol=1e-12)
    flipped = x[..., ::-1]
    np.testing.assert_array_equal(products.row_max(flipped), x.max(axis=-1, keepdims=True))


def test_row_max_keeps_nan_and_infinity():
    x = numbers(4, 40)
    x[0, 39], x[1, 3], x[2] = np.nan, np.inf, -np.inf
    assert np.isnan(products.row_max(x)[0, 0])
    assert products.row_max(x)[1, 0] == np.inf
    assert products.row_max(x)[2, 0] == -np.inf


@pytest.mark.parametrize(("m", "p", "q"), [(0, 3, 4), (5, 3, 4), (3000, 10, 784), (3001, 32, 100),
                                           (1000, 33, 784), (20000, 2, 3)])  # fmt: skip
def test_products_in_pieces_match_the_whole(m, p, q):
    a, b = numbers(m, p), numbers(m, q)
    np.testing.assert_allclose(products.transposed_product(a, b), a.T @ b, rtol=1e-9, atol=1e-9)
    wide = numbers(q, p)
    np.testing.assert_allclose(products.row_product(b, wide), b @ wide, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(products.column_sum(a), a.sum(axis=0), rtol=1e-9, atol=1e-9)


def test_shared_ones_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        products._ones(3, np.dtype(np.float32))[0] = 2


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_big_arrays_give_the_same_numbers_as_their_pieces(approximate):
    x, g = numbers(3 * BLOCK), numbers(3 * BLOCK) * 2
    y, cache = gelu(x, approximate)
    dx = gelu_backward(g, cache)
    for piece in (slice(100, 200), slice(3 * BLOCK - 5, None)):
        small, small_cache = gelu(x[piece], approximate)
        np.testing.assert_array_equal(small, y[piece])
        np.testing.assert_array_equal(gelu_backward(g[piece], small_cache), dx[piece])


def test_cross_entropy_of_many_rows_is_the_mean_over_pieces():
    z, target = numbers(5000, 40), np.arange(5000) % 40
    loss, cache = cross_entropy(z, target)
    pieces = [cross_entropy(z[i : i + 100], target[i : i + 100])[0] for i in range(0, 5000, 100)]
    assert loss == pytest.approx(np.mean(pieces), rel=1e-12)
    dz = cross_entropy_backward(1.0, cache)
    _, small_cache = cross_entropy(z[:100], target[:100])
    np.testing.assert_allclose(dz[:100], cross_entropy_backward(0.02, small_cache), rtol=1e-12)
