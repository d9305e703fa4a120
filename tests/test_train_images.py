"""Images: official layouts, splits, and augmentation of batches against one image at a time."""

from __future__ import annotations

import json
import pickle
import struct
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import HarnessError
from harness.train import image_files, recipes
from harness.train.image_files import Arrays, held_out

torch = pytest.importorskip("torch")
from harness.train import augment, images  # noqa: E402
from harness.train.loop import epoch_order  # noqa: E402

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)


def python2_pickle(data: Any, labels: list[int], key: str) -> bytes:
    """A batch as Python 2 wrote it, protocol 2: byte strings for names and for the array's memory."""

    def text(raw: bytes) -> bytes:
        return b"U" + bytes([len(raw)]) + raw if len(raw) < 256 else b"T" + struct.pack("<i", len(raw)) + raw

    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    dtype = (
        b"cnumpy\ndtype\n"
        + text(b"u1")
        + b"K\x00K\x01\x87R(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    shape = b"M" + struct.pack("<H", data.shape[0]) + b"M" + struct.pack("<H", data.shape[1]) + b"\x86"
    state = b"(K\x01" + shape + dtype + b"\x89" + text(data.tobytes()) + b"tb"
    numbers = b"](" + b"".join(b"M" + struct.pack("<H", label) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + state + text(key.encode()) + numbers + b"u."


def layout(root: Path, folder: str, names: list[str], side: int, key: str, labels: Any, *, python2: bool) -> Any:
    (root / folder).mkdir(parents=True)
    written = []
    for name in names:
        data = RNG.integers(256, size=(len(labels), 3 * side * side), dtype=np.uint8)
        raw = (
            python2_pickle(data, list(labels), key) if python2 else pickle.dumps({b"data": data, key: list(labels)}, 2)
        )
        (root / folder / name).write_bytes(raw)
        written.append(data.reshape(-1, 3, side, side).transpose(0, 2, 3, 1))
    return np.concatenate(written)


CIFAR = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


@pytest.mark.parametrize("python2", [True, False])
def test_cifar10_is_read_from_its_official_layout(tmp_path: Path, python2: bool) -> None:
    pixels = layout(tmp_path, "cifar-10-batches-py", CIFAR, 32, "labels", [*range(10)] * 2, python2=python2)
    found = image_files.read("cifar10", tmp_path)
    np.testing.assert_array_equal(found.train[0], pixels[:100])
    np.testing.assert_array_equal(found.test[0], pixels[100:])
    np.testing.assert_array_equal(found.train[1], np.tile(np.arange(10), 10))
    assert (found.classes, found.validation) == (10, None)


def test_nb201_splits_by_its_file_where_it_is_there(tmp_path: Path) -> None:
    layout(tmp_path, "cifar-10-batches-py", CIFAR, 32, "labels", [*range(10)] * 2, python2=True)
    layout(tmp_path, "cifar-100-python", ["train", "test"], 32, "fine_labels", range(100), python2=True)
    recipe = recipes.read("nb201")
    halves = images.load("cifar10", tmp_path, recipe, CPU)
    assert (len(halves.train), len(halves.valid or ()), len(halves.test)) == (50, 50, 20)
    assert "50% of each class of the train set" in halves.words
    chosen = list(range(0, 100, 2))
    (tmp_path / "cifar-split.txt").write_text(
        json.dumps({"train": ["int", [str(i + 1) for i in chosen]], "valid": ["int", [str(i) for i in chosen]]})
    )
    official = images.load("cifar10", tmp_path, recipe, CPU)
    assert "NAS-Bench-201's split file" in official.words
    valid: Any = official.valid
    np.testing.assert_array_equal(valid.pixels, image_files.read("cifar10", tmp_path).train[0][chosen])
    assert official.checksum != halves.checksum
    hundred = images.load("cifar100", tmp_path, recipe, CPU)
    assert (len(hundred.train), hundred.classes) == (100, 100)
    assert "of the test set" in hundred.words
    whole = images.load("cifar10", tmp_path, recipes.read("darts-cifar10"), CPU)
    assert (len(whole.train), whole.valid) == (100, None)
    (tmp_path / "cifar-split.txt").write_text("{}")
    with pytest.raises(HarnessError, match="not a split file of NAS-Bench-201"):
        images.load("cifar10", tmp_path, recipe, CPU)


def test_imagenet16_keeps_its_first_120_classes(tmp_path: Path) -> None:
    names = [*(f"train_data_batch_{i}" for i in range(1, 11)), "val_data"]
    pixels = layout(tmp_path, "ImageNet16", names, 16, "labels", [1, 120, 121, 1000], python2=False)
    found = image_files.read("imagenet16-120", tmp_path)
    assert sorted(set(found.train[1].tolist())) == [0, 119]
    np.testing.assert_array_equal(found.test[0], pixels[-4:-2])
    assert found.classes == 120


def test_half_extracted_data_say_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"cifar10 is not embedded"):
        image_files.read("cifar10", None)
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(HarnessError, match=r"expected the folder cifar-10-batches-py, found cifar-10-python.tar.gz"):
        image_files.read("cifar10", tmp_path)
    layout(tmp_path, "cifar-10-batches-py", CIFAR, 32, "labels", range(10), python2=True)
    folder = tmp_path / "cifar-10-batches-py"
    whole = (folder / "data_batch_2").read_bytes()
    for damage, told in (
        (whole[:5000], "data_batch_2 is truncated or corrupted"),
        (b"", "data_batch_2 is empty, not a batch of images; extract"),
        (pickle.dumps({"data": np.zeros((2, 7), np.uint8), "labels": [1, 2]}, 2), r"images uint8\[n, 3072\] in 'data'"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, 2), "as many 'labels'"),
        (pickle.dumps(Path, 2), "is refused: it asks for the name pathlib.Path"),
    ):
        (folder / "data_batch_2").write_bytes(damage)
        with pytest.raises(HarnessError, match=told):
            image_files.read("cifar10", tmp_path)
    (folder / "data_batch_2").unlink()
    (folder / "test_batch").unlink()
    with pytest.raises(HarnessError, match="has 4 of 6 files, and no data_batch_2, test_batch"):
        image_files.read("cifar10", tmp_path)


def test_npz_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    good: dict[str, Any] = {
        "x_train": RNG.integers(256, size=(40, 8, 8, 3), dtype=np.uint8),
        "y_train": np.arange(40) % 4,
        "x_test": RNG.integers(256, size=(8, 8, 8, 3), dtype=np.uint8),
        "y_test": np.arange(8) % 4,
    }
    np.savez(path, **good)
    found = images.load(str(path), None, recipes.read("digits"), CPU)
    assert (found.name, found.classes, found.image, len(found.train)) == ("mine", 4, (3, 8, 8), 32)
    for changed, told in (
        ({"x_test": good["x_test"].astype(float)}, "images float64"),
        ({"y_train": np.arange(39)}, r"labels int64\[39\]"),
        ({"y_test": np.arange(8) - 1}, "negative labels"),
    ):
        np.savez(path, **{**good, **changed})
        with pytest.raises(HarnessError, match=told):
            image_files.read(str(path), None)
    np.savez(path, x_train=good["x_train"])
    with pytest.raises(HarnessError, match="it has no 'y_train"):
        image_files.read(str(path), None)
    path.write_bytes(b"no zip")
    with pytest.raises(HarnessError, match="not readable as npz"):
        image_files.read(str(path), None)
    with pytest.raises(HarnessError, match="nothing at"):
        image_files.read("gone.npz", None)


def test_digits_are_split_class_by_class() -> None:
    found = image_files.read("digits", None)
    assert len(found.train[1]) + len(found.test[1]) == 1797
    assert np.ptp(np.bincount(found.test[1])) <= 3
    assert found.train[0].max() == 255
    mask = held_out(found.train[1], 0.25, "x")
    np.testing.assert_array_equal(np.bincount(found.train[1][mask]), np.round(0.25 * np.bincount(found.train[1])))
    assert (mask != held_out(found.train[1], 0.25, "y")).any()
    assert not held_out(found.train[1], 0.0, "x").any()


def one_by_one(pixels: Any, draws: Any, padding: int, side: int, flip: bool, mean: Any, spread: Any) -> Any:
    out = []
    for image, d in zip(pixels, draws.astype(np.float32), strict=True):
        height, width, _ = image.shape
        padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
        top, left = (int(np.float32(x) * np.float32(2 * padding + 1)) for x in d[:2])
        x = padded[top : top + height, left : left + width]
        if flip and d[2] < 0.5:
            x = x[:, ::-1]
        x = (x.astype(np.float32) - mean) / spread
        if side:
            top, left = int(d[3] * np.float32(height)) - side // 2, int(d[4] * np.float32(width)) - side // 2
            x[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = 0
        out.append(x.transpose(2, 0, 1))
    return np.stack(out)


@pytest.mark.parametrize(("padding", "side", "flip"), [(4, 0, True), (0, 6, True), (2, 5, False), (0, 0, False)])
def test_a_batch_is_augmented_as_its_images_would_be(padding: int, side: int, flip: bool) -> None:
    pixels = RNG.integers(256, size=(60, 12, 10, 3), dtype=np.uint8)
    draws = RNG.random((60, augment.DRAWS))
    labels = np.arange(60) % 3
    arrays = Arrays("made-up", (pixels, labels), (pixels, labels), 3)
    recipe = replace(recipes.read("digits"), crop=padding, cutout=side, flip=flip, validation=0.0)
    found: Any = images.of_arrays(arrays, recipe, CPU).train
    where = RNG.permutation(60)
    ((x, y),) = found.batches([where], [draws], augment.augmentation(recipe))
    assert x.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(y, labels[where])
    mean, spread = pixels.reshape(-1, 3).mean(0), pixels.reshape(-1, 3).std(0)
    expected = one_by_one(pixels[where], draws, padding, side, flip, mean, spread)
    np.testing.assert_allclose(x, expected, atol=2e-6)


def test_every_epoch_has_its_own_order_and_every_image_once() -> None:
    order, draws = epoch_order(500, 777, 3)
    assert sorted(order) == list(range(500))
    assert draws.shape == (500, augment.DRAWS)
    again = epoch_order(500, 777, 3)
    np.testing.assert_array_equal(order, again[0])
    np.testing.assert_array_equal(draws, again[1])
    for other in (epoch_order(500, 777, 4), epoch_order(500, 778, 3)):
        assert (order != other[0]).mean() > 0.9


def test_what_needs_torchvision_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torchvision", None)
    monkeypatch.setitem(__import__("sys").modules, "torchvision.transforms", None)
    (tmp_path / "photos").mkdir()
    for act in (
        lambda: images.load(str(tmp_path / "photos"), None, recipes.read("digits"), CPU),
        lambda: augment.augmentation(replace(recipes.read("digits"), policy="autoaugment")),
    ):
        with pytest.raises(HarnessError, match=r"needs the package torchvision.*nas-harness\[train\]"):
            act()
    with pytest.raises(HarnessError, match="did you mean cifar10"):
        images.load("cifar1", None, recipes.read("digits"), CPU)
    with pytest.raises(HarnessError, match="no folder"):
        images.load("imagenet", tmp_path, recipes.read("digits"), CPU)


def test_a_broken_torchvision_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not fit torch fails in other ways than that it is absent."""
    broken = tmp_path / "site" / "torchvision"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text('raise RuntimeError("operator torchvision::nms does not exist")')
    (tmp_path / "photos").mkdir()
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(broken.parent)
    said = r"a folder of images needs the package torchvision, which cannot be imported: operator torchvision::nms does"
    with pytest.raises(HarnessError, match=said) as raised:
        images.load(str(tmp_path / "photos"), None, recipes.read("digits"), CPU)
    assert "install one that fits the others" in raised.value.hint
    with pytest.raises(HarnessError, match="AutoAugment needs the package torchvision, which cannot be imported"):
        augment.augmentation(replace(recipes.read("digits"), policy="autoaugment"))


def torchvision() -> Any:
    try:
        import torchvision
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision cannot be imported: {error}")
    return torchvision


def test_a_folder_of_images_is_read_by_workers(tmp_path: Path) -> None:
    torchvision()
    from PIL import Image

    for split in ("train", "val"):
        for label, name in enumerate(("cat", "dog")):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            for i in range(6):
                colour = np.full((40, 30, 3), 100 * label + i, np.uint8)
                Image.fromarray(colour).save(tmp_path / "set" / split / name / f"{i}.png")
    recipe = replace(recipes.read("imagenet-mobile"), image=16, policy="autoaugment")
    found = images.load("set", tmp_path, recipe, CPU)
    assert (found.classes, found.image, len(found.train), len(found.test)) == (2, (3, 16, 16), 12, 12)
    order, draws = epoch_order(12, 0, 0)
    parts = [slice(0, 8), slice(8, 12)]
    first, second = (
        list(found.train.batches([order[p] for p in parts], [draws[p] for p in parts], augment.augmentation(recipe)))
        for _ in range(2)
    )
    for (x, y), (x_again, y_again) in zip(first, second, strict=True):
        assert torch.equal(x, x_again)
        assert torch.equal(y, y_again)
    np.testing.assert_array_equal(torch.cat([y for _, y in first]), (order >= 6).astype(int))
    (plain,) = found.test.batches([np.arange(12)], [draws], None)
    grey = (plain[0][8] * 255 * torch.tensor([0.229, 0.224, 0.225])[:, None, None]).mean() + 255 * 0.449
    assert abs(float(grey) - 102) < 1
    with pytest.raises(HarnessError, match="expected the folders train and val, found cat, dog"):
        images.load("train", tmp_path / "set", recipe, CPU)


def test_autoaugment_changes_single_images() -> None:
    torchvision()
    pixels = RNG.integers(256, size=(20, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(20) % 2
    recipe = replace(recipes.read("digits"), policy="autoaugment", crop=0, validation=0.0)
    found = images.of_arrays(Arrays("x", (pixels, labels), (pixels, labels), 2), recipe, CPU)
    torch.manual_seed(1)
    ((x, _),) = found.train.batches([np.arange(20)], [RNG.random((20, 5))], augment.augmentation(recipe))
    ((plain, _),) = found.train.batches([np.arange(20)], [RNG.random((20, 5))], None)
    changed = (x != plain).flatten(1).any(1)
    assert 5 < changed.sum() <= 20
