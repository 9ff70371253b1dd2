"""校准：分组、期望校准误差、温度。"""

import numpy as np
import pytest

from dlbook.backprop import softmax
from dlbook.models.calibration import expected_calibration_error, fit_temperature, reliability


def test_groups_count_everyone_and_leave_empty_groups_blank():
    prob = np.array([[1.0, 0.0], [0.55, 0.45], [0.4, 0.6]])
    groups = reliability(prob, np.array([0, 1, 1]), bins=10)
    assert groups.count.tolist() == [0] * 5 + [1, 1, 0, 0, 1]
    assert groups.accuracy[[5, 6, 9]].tolist() == [0, 1, 1]
    assert np.isnan(groups.confidence[:5]).all()


def test_calibrated_predictions_have_almost_no_error():
    rng = np.random.default_rng(0)
    prob = rng.dirichlet(np.ones(4), 50_000)
    target = (prob.cumsum(axis=1) < rng.uniform(size=(50_000, 1))).sum(axis=1)
    assert expected_calibration_error(prob, target) < 0.01
    sharper = softmax(3 * np.log(prob))[0]
    assert expected_calibration_error(sharper, target) > 0.1


def test_temperature_undoes_a_known_scaling():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(20_000, 5)) * 2
    target = (softmax(logits)[0].cumsum(axis=1) < rng.uniform(size=(20_000, 1))).sum(axis=1)
    assert abs(fit_temperature(logits, target) - 1) < 0.03
    assert np.isclose(fit_temperature(4 * logits, target), 4 * fit_temperature(logits, target))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reliability(np.ones(3), np.zeros(3, int)), "应是 \\(m, C\\)"),
        (lambda: reliability(np.ones((3, 2)), np.zeros(2, int)), "收到 \\(3, 2\\) 与 \\(2,\\)"),
        (lambda: reliability(np.ones((3, 2)), np.zeros(3, int), 0), "正整数"),
        (lambda: fit_temperature(np.eye(3), np.arange(3)), "没有最优的温度"),
        (lambda: fit_temperature(np.eye(3), np.arange(2)), "应是 \\(m, C\\)"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
