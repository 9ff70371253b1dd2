"""MNIST：真数据核对无误；任何一种损坏都得到一条说清楚的错误，绝不交出半份数据。

损坏的文件用一套很小的“MNIST”来试（同样的四个名字、同样的代码），几处用真文件。
"""

import errno
import gzip
import hashlib
import io
import pickle
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from dlbook import _atomic
from dlbook.data import DataError, digits, mnist, toy_line
from dlbook.data.idx import parse_idx

PACKAGED = Path(digits.__file__).with_name("mnist")
IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = digits.FILES


def idx_bytes(array, code=0x08):
    header = bytes([0, 0, code, array.ndim])
    return header + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """一套小数据：7 + 5 张 3×4 的图，名字与真的一样；返回装着四个 .gz 的文件夹。"""
    rng = np.random.default_rng(0)
    arrays = {
        IMAGES: rng.integers(0, 256, (7, 3, 4), np.uint8),
        LABELS: rng.integers(0, 10, 7, np.uint8),
        TEST_IMAGES: rng.integers(0, 256, (5, 3, 4), np.uint8),
        TEST_LABELS: rng.integers(0, 10, 5, np.uint8),
    }
    root = tmp_path / "源"
    root.mkdir()
    table = {}
    for name, array in arrays.items():
        raw = idx_bytes(array)
        table[name] = array.shape, hashlib.sha256(raw).hexdigest()
        (root / f"{name}.gz").write_bytes(gzip.compress(raw, mtime=0))
    monkeypatch.setattr(digits, "FILES", table)
    return root


def raw_of(root, name):
    return gzip.decompress((root / f"{name}.gz").read_bytes())


def put(root, name, raw):
    (root / f"{name}.gz").write_bytes(gzip.compress(raw, mtime=0))


def error_of(root, **options):
    """读 root 必须失败；返回错误，并确认信息四样俱全。"""
    with pytest.raises(DataError) as caught:
        mnist(root, **options)
    error, text = caught.value, str(caught.value)
    assert isinstance(error, ValueError)
    assert re.search("[\u4e00-\u9fff]", error.problem)
    assert str(error.path) in text
    for part in (error.expected, error.found, error.advice):
        assert part and part in text
    return error


# 真数据


@pytest.fixture(scope="module")
def real():
    return mnist()


def test_shapes_and_dtypes(real):
    assert [a.shape for a in real] == [(60000, 28, 28), (60000,), (10000, 28, 28), (10000,)]
    assert {a.dtype for a in real} == {np.dtype(np.uint8)}
    assert real._fields == ("x_train", "y_train", "x_test", "y_test")


def test_first_labels_counts_and_pixel_statistics(real):
    assert real.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert real.y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(real.y_train).tolist() == train
    assert np.bincount(real.y_test).tolist() == test
    assert round(real.x_train.mean() / 255, 4) == 0.1307
    assert round(real.x_train.std() / 255, 4) == 0.3081


def test_arrays_are_the_callers_own(real):
    """返回的数组可写、各自独立：改动一份，不影响下一次读入。"""
    labels = real.y_test.copy()
    assert all(a.flags.writeable and a.flags.c_contiguous and a.base is None for a in real)
    real.y_test[:] = 0
    np.testing.assert_array_equal(mnist().y_test, labels)
    real.y_test[:] = labels


def test_readme_lists_the_very_digests_that_are_enforced():
    rows = re.findall(r"\| `([\w-]+)` \| ([\d×]+)，.*?\| `([0-9a-f]{64})`", readme())
    table = {name: (tuple(map(int, shape.split("×"))), digest) for name, shape, digest in rows}
    assert table == digits.FILES


def test_packaged_files_are_the_ones_the_readme_describes():
    rows = re.findall(r"\| `([\w-]+\.gz)` \| [\d,]+ \| `([0-9a-f]{64})`", readme())
    assert {name for name, _ in rows} == {p.name for p in PACKAGED.glob("*.gz")}
    for name, digest in rows:
        assert hashlib.sha256((PACKAGED / name).read_bytes()).hexdigest() == digest


def readme():
    return (PACKAGED / "README.md").read_text(encoding="utf-8")


def test_real_labels_in_place_of_the_images(tmp_path):
    (tmp_path / f"{IMAGES}.gz").write_bytes((PACKAGED / f"{LABELS}.gz").read_bytes())
    error = error_of(tmp_path)
    assert "维数" in error.problem and f"{IMAGES}.gz" in str(error.path)
    assert error.expected == "3（图像）" and error.found == "1（标签）"
    assert "名字有没有放错" in error.advice


def test_one_flipped_bit_in_a_real_file(tmp_path):
    raw = bytearray(raw_of(PACKAGED, IMAGES))
    raw[12345678] ^= 1
    (tmp_path / IMAGES).write_bytes(raw)
    error = error_of(tmp_path)
    assert "内容有改动" in error.problem
    assert digits.FILES[IMAGES][1] in error.expected
    assert hashlib.sha256(raw).hexdigest() in error.found


# 小数据：格式


def test_tiny_set_reads_back(tiny):
    data = mnist(tiny)
    for name, array in zip(digits.FILES, data, strict=True):
        assert idx_bytes(array) == raw_of(tiny, name)


def test_root_may_be_a_string_and_files_may_be_raw(tiny):
    want = mnist(tiny)
    for name in digits.FILES:
        raw = raw_of(tiny, name)
        (tiny / f"{name}.gz").unlink()
        (tiny / name).write_bytes(raw)
    for got, array in zip(mnist(str(tiny)), want, strict=True):
        np.testing.assert_array_equal(got, array)


FORMAT_FAULTS = {
    "空的 gzip": (lambda raw: b"", "长度", "100 字节", "0 字节"),
    "魔数不全": (lambda raw: raw[:3], "长度", "100 字节", "3 字节，连魔数也不全"),
    "魔数": (lambda raw: b"\x01" + raw[1:], "魔数", "00 00 08 03", "01 00 08 03"),
    "又压了一遍": (gzip.compress, "魔数", "00 00 08 03", "是 gzip 文件，名字应以 .gz 结尾"),
    "类型码": (
        lambda raw: b"\0\0\x0d" + raw[3:],
        "元素类型",
        "0x08（uint8）",
        "0x0d（float32）",
    ),
    "没有的类型码": (
        lambda raw: b"\0\0\x0a" + raw[3:],
        "元素类型",
        "0x08（uint8）",
        "0x0a（没有这种类型）",
    ),
    "维数": (lambda raw: b"\0\0\x08\x02" + raw[4:], "维数", "3（图像）", "2"),
    "文件头不全": (lambda raw: raw[:10], "长度", "100 字节", "10 字节，连文件头也不全"),
    "大小": (
        lambda raw: raw[:7] + b"\x08" + raw[8:],
        "各维大小",
        "(7, 3, 4)",
        "(8, 3, 4)",
    ),
    "少一个字节": (lambda raw: raw[:-1], "长度", "100 字节", "99 字节"),
    "多一个字节": (lambda raw: raw + b"\0", "长度", "100 字节", "101 字节"),
    "翻一个比特": (
        lambda raw: raw[:50] + bytes([raw[50] ^ 4]) + raw[51:],
        "内容有改动",
        "SHA-256",
        "数据本身变了",
    ),
}


@pytest.mark.parametrize(
    ("spoil", "problem", "expected", "found"), FORMAT_FAULTS.values(), ids=FORMAT_FAULTS
)
@pytest.mark.parametrize("suffix", [".gz", ""])
def test_every_fault_of_format_is_named(tiny, suffix, spoil, problem, expected, found):
    raw = spoil(raw_of(tiny, IMAGES))
    if suffix and raw:
        put(tiny, IMAGES, raw)
    elif suffix:
        put(tiny, IMAGES, b"")
    else:
        (tiny / f"{IMAGES}.gz").unlink()
        (tiny / IMAGES).write_bytes(raw or b"\0")
        found = found if raw else "1 字节"
    error = error_of(tiny)
    assert error.path == tiny / f"{IMAGES}{suffix}"
    assert problem in error.problem and expected in error.expected and found in error.found


def test_swapped_files(tiny):
    images, test_images = raw_of(tiny, IMAGES), raw_of(tiny, TEST_IMAGES)
    put(tiny, IMAGES, test_images)
    put(tiny, TEST_IMAGES, images)
    error = error_of(tiny)
    assert error.expected == "(7, 3, 4)" and error.found == "(5, 3, 4)"
    assert "名字有没有放错" in error.advice


# 小数据：文件


def test_truncated_gzip(tiny):
    path = tiny / f"{LABELS}.gz"
    path.write_bytes(path.read_bytes()[:-9])
    error = error_of(tiny)
    assert error.path == path and "解压失败" in error.problem and "截断" in error.found


def test_damaged_gzip(tiny):
    path = tiny / f"{LABELS}.gz"
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # CRC
    path.write_bytes(content)
    error = error_of(tiny)
    assert "解压失败" in error.problem and "CRC" in error.found


def test_raw_file_named_gz(tiny):
    path = tiny / f"{LABELS}.gz"
    path.write_bytes(raw_of(tiny, LABELS))
    error = error_of(tiny)
    assert "开头是 00 00 08 01" in error.found and "不带 .gz" in error.advice


def test_empty_file(tiny):
    (tiny / f"{TEST_LABELS}.gz").write_bytes(b"")
    error = error_of(tiny)
    assert error.path.name == f"{TEST_LABELS}.gz"
    assert "空的" in error.problem and error.found == "0 字节"


def test_missing_file(tiny):
    (tiny / f"{LABELS}.gz").unlink()
    error = error_of(tiny)
    assert "缺少" in error.problem and LABELS in error.expected
    assert IMAGES in error.found, "应列出文件夹里实际有什么"


def test_missing_and_empty_and_wrong_folder(tmp_path):
    error = error_of(tmp_path / "没有")
    assert "打不开" in error.problem and "不存在" in error.found
    assert "文件夹是空的" in error_of(tmp_path).found
    (tmp_path / "文件").write_bytes(b"x")
    assert "不是文件夹" in error_of(tmp_path / "文件").found


def test_folder_in_place_of_a_file(tiny):
    (tiny / f"{IMAGES}.gz").unlink()
    (tiny / f"{IMAGES}.gz").mkdir()
    error = error_of(tiny)
    assert error.path == tiny / f"{IMAGES}.gz" and "文件夹" in error.found


def test_no_read_permission(tiny, monkeypatch):
    """用替身模拟：权限位拦不住 root。"""
    monkeypatch.setattr(Path, "read_bytes", refuse(errno.EACCES))
    error = error_of(tiny)
    assert error.path == tiny / f"{IMAGES}.gz"
    assert "读不了" in error.problem and "没有权限" in error.found
    assert isinstance(error.__cause__, PermissionError)


def refuse(code):
    def fail(path, *args, **kwargs):
        raise OSError(code, "模拟的系统错误", str(path))

    return fail


def test_every_truncation_and_every_bit_flip_is_caught_or_harmless(tiny):
    """穷举一个标签文件：截到任何长度必报错；翻转任一比特，要么报错，要么（gzip 头里）毫无影响。"""
    path = tiny / f"{TEST_LABELS}.gz"
    want, content = mnist(tiny), path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DataError):
            mnist(tiny)
    harmless = 0
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            got = mnist(tiny)
        except DataError:
            continue
        np.testing.assert_array_equal(got.y_test, want.y_test)
        harmless += 1
    assert harmless <= 8 * 10, "只有 10 字节的 gzip 头里有无关紧要的比特"


def test_parse_idx_alone():
    array = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    got = parse_idx(idx_bytes(array), (1, 2, 3), Path("x"))
    np.testing.assert_array_equal(got, array)
    assert got.flags.writeable


# 缓存


def test_cache_keeps_verified_raw_files_and_no_longer_needs_the_source(tiny, tmp_path):
    cache = tmp_path / "缓存"
    want = mnist(tiny, cache=cache)
    assert {p.name for p in cache.iterdir()} == set(digits.FILES)
    for name in digits.FILES:
        assert (cache / name).read_bytes() == raw_of(tiny, name)
        (tiny / f"{name}.gz").unlink()
    for root in (tiny, cache):
        for got, array in zip(mnist(root, cache=str(cache)), want, strict=True):
            np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),
        lambda raw: raw[:-1],
        lambda raw: raw + b"\0",
        lambda raw: b"",
    ],
    ids=["翻一个比特", "截断", "多一个字节", "清空"],
)
def test_damaged_cache_is_rebuilt_from_the_source(tiny, tmp_path, spoil):
    cache = tmp_path / "缓存"
    want = mnist(tiny, cache=cache)
    raw = raw_of(tiny, IMAGES)
    (cache / IMAGES).write_bytes(spoil(raw))
    np.testing.assert_array_equal(mnist(tiny, cache=cache).x_train, want.x_train)
    assert (cache / IMAGES).read_bytes() == raw
    assert {p.name for p in cache.iterdir()} == set(digits.FILES)


def test_damaged_cache_and_damaged_source_blame_the_source(tiny, tmp_path):
    cache = tmp_path / "缓存"
    mnist(tiny, cache=cache)
    (cache / IMAGES).write_bytes(b"x")
    put(tiny, IMAGES, raw_of(tiny, IMAGES)[:-1])
    assert error_of(tiny, cache=cache).path == tiny / f"{IMAGES}.gz"
    assert (cache / IMAGES).read_bytes() == b"x", "不合格的内容不许写进缓存"


def test_cache_path_is_a_file(tiny, tmp_path):
    (tmp_path / "文件").write_bytes(b"")
    error = error_of(tiny, cache=tmp_path / "文件")
    assert error.path == tmp_path / "文件"
    assert "缓存文件夹" in error.problem and "同名的文件" in error.found


def test_cache_without_a_parent(tiny, tmp_path):
    error = error_of(tiny, cache=tmp_path / "没有" / "缓存")
    assert error.path == tmp_path / "没有" / "缓存"
    assert "上一级" in error.found and "上一级须存在" in error.expected
    assert not (tmp_path / "没有").exists()


def test_cache_entry_is_a_folder(tiny, tmp_path):
    (tmp_path / "缓存" / IMAGES).mkdir(parents=True)
    error = error_of(tiny, cache=tmp_path / "缓存")
    assert error.path == tmp_path / "缓存" and "这是一个文件夹" in error.found
    assert [p.name for p in error.path.iterdir()] == [IMAGES], "不留下临时文件"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (errno.ENOSPC, "磁盘满了"),
        (errno.EACCES, "没有权限"),
        (errno.EROFS, "只读"),
        (errno.EIO, "系统报错"),
    ],
)
def test_cache_that_cannot_be_written(tiny, tmp_path, monkeypatch, code, found):
    """写到一半失败：报错指出文件夹，既不留临时文件，也不留半个缓存。"""

    class Half(io.FileIO):
        def write(self, content):
            super().write(content[: len(content) // 2])
            raise OSError(code, "模拟的系统错误", self.name)

    cache = tmp_path / "缓存"
    with monkeypatch.context() as patch:
        patch.setattr(_atomic, "open", Half, raising=False)
        error = error_of(tiny, cache=cache)
    assert error.path == cache and found in error.found
    assert isinstance(error.__cause__, OSError)
    assert list(cache.iterdir()) == []


def test_a_valid_cache_is_never_written(tiny, tmp_path, monkeypatch):
    """完好的只读缓存照样能用。"""
    cache = tmp_path / "缓存"
    mnist(tiny, cache=cache)
    monkeypatch.setattr(_atomic, "open", refuse(errno.EROFS), raising=False)
    mnist(tiny, cache=cache)


def test_many_readers_build_one_cache(tiny, tmp_path):
    cache = tmp_path / "缓存"
    with ThreadPoolExecutor(8) as pool:
        all_data = list(pool.map(lambda _: mnist(tiny, cache=cache), range(32)))
    for data in all_data:
        np.testing.assert_array_equal(data.x_train, all_data[0].x_train)
    assert {p.name for p in cache.iterdir()} == set(digits.FILES)


# 包


def test_error_survives_a_process_boundary():
    error = DataError("a.gz", "问题", "甲", "乙", "丙")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) and copy.found == "乙" and copy.path == Path("a.gz")


def test_names_are_imported_on_demand():
    """用玩具数据的章不该依赖读 MNIST 的模块，反之亦然；backprop 同理。"""
    code = """
import sys, dlbook.data, dlbook.backprop
loaded = lambda: {m for m in sys.modules if m.startswith("dlbook.")}
assert loaded() == {"dlbook.data", "dlbook.backprop", "dlbook._lazy", "dlbook.memory"}, loaded()
from dlbook.data import toy_line
assert "dlbook.data.digits" not in loaded()
from dlbook.backprop import mse_loss
assert "dlbook.backprop.affine" not in loaded()
from dlbook.data import mnist
from dlbook.backprop import linear, softmax
assert all(map(callable, (mnist, toy_line, linear, softmax))), "名字被同名的模块盖住了"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_exists_and_a_wrong_one_is_explained():
    import dlbook.data

    assert dlbook.data.toy_line is toy_line
    for name in dlbook.data.__all__:
        assert callable(getattr(dlbook.data, name))
    assert dir(dlbook.data) == dlbook.data.__all__
    with pytest.raises(AttributeError, match=r"没有 'minst'；有：.*mnist"):
        dlbook.data.minst  # noqa: B018
