"""合成的身高：可以重复，围绕参考值散布，只差抽样的误差。"""

import numpy as np
import pytest

from dlbook.data import heights


def test_the_same_seed_gives_the_same_children():
    for a, b in zip(heights.children(10, seed=3), heights.children(10, seed=3), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(heights.children(10, seed=3)[1], heights.children(10, seed=4)[1])


def test_heights_scatter_around_the_reference():
    age, height = heights.children(20000)
    assert age.min() >= 6 and age.max() <= 18
    ten = height[np.abs(age - 10) < 0.5]
    assert abs(ten.mean() - heights.median_height(10.0)) < 0.5
    assert 5.8 < ten.std() < 7.2  # 约 M·S = 138 × 0.0462


def test_reference_values_are_the_published_ones():
    # WHO 2007 年参考值：10 岁男 137.8、女 138.6 厘米，18 岁男 176.1、女 163.1 厘米。
    table = {sex: dict(zip(heights.AGES, values, strict=True))
             for sex, values in heights.MEDIAN.items()}  # fmt: skip
    assert round(table["男"][10], 1) == 137.8 and round(table["女"][10], 1) == 138.6
    assert round(table["男"][18], 1) == 176.1 and round(table["女"][18], 1) == 163.1
    assert heights.median_height(10.0) == pytest.approx((137.7795 + 138.6363) / 2)


@pytest.mark.parametrize("n", [0, -2, 3])
def test_an_odd_number_of_children_is_refused(n):
    with pytest.raises(ValueError, match="正偶数"):
        heights.children(n)
