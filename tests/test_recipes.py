"""Recipes: those of the papers, and those that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import HarnessError
from harness.train import recipes


def test_recipes_are_those_of_the_papers() -> None:
    shipped = ["darts-cifar10", "digits", "digits201", "gpnas-cell", "imagenet-mobile"]
    shipped += ["mobilenet", "mobilenet-cifar10", "nb101", "nb201"]
    shared = [
        "sharing-darts",
        "sharing-digits",
        "sharing-digits-darts",
        "sharing-digits-mobilenet",
        "sharing-digits-nb201",
        "sharing-mobilenet",
        "sharing-nb201",
    ]
    assert recipes.names() == [*shipped, *shared]
    nb201, nb101, darts, mobile = map(recipes.read, ("nb201", "nb101", "darts-cifar10", "imagenet-mobile"))
    assert (nb201.epochs, nb201.batch, nb201.lr, nb201.nesterov, nb201.repeats()) == (
        200,
        256,
        0.1,
        True,
        [777, 888, 999],
    )
    assert nb201.repeats(2) == [777, 888]
    assert nb201.repeats(5) == [777, 888, 999, 1000, 1001]
    assert (nb101.epochs, nb101.optimizer, nb101.lr, nb101.epsilon) == (108, "rmsprop", 0.2, 1.0)
    assert (darts.epochs, darts.cutout, darts.auxiliary, darts.drop_path, darts.clip) == (600, 16, 0.4, 0.2, 5.0)
    assert (mobile.epochs, mobile.label_smoothing, mobile.image) == (250, 0.1, 224)
    rates = [nb201.learning_rate(e, s) for e, s in ((0, 0.0), (100, 0.0), (199, 0.999))]
    assert rates[:2] == pytest.approx([0.1, 0.05])
    assert 0 < rates[2] < 1e-6
    assert darts.learning_rate(3, 0.9) == darts.learning_rate(3, 0.0) < darts.learning_rate(2, 0.5)
    assert mobile.learning_rate(2, 0.5) == pytest.approx(0.1 * 0.97**2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("epochs = 3\nbatch = 8\nlr = 0.1", "has no 'title', which is a text"),
        ('title = "x"\nepochs = 0\nbatch = 8\nlr = 0.1', "epochs is a whole number of at least 1, not 0"),
        ('title = "x"\nepochs = 3\nbatch = 8\nlr = 0.1\ncutuot = 3', "did you mean cutout"),
        ('title = "x"\nepochs = 3\nbatch = 8\nlr = "fast"', "lr is a number, not 'fast'"),
        ('title = "x"\nepochs = 3\nbatch = 8\nlr = 0.1\nschedule = "cosin"', "did you mean cosine"),
        ('title = "x"\nepochs = 3\nbatch = 8\nlr = 0.1\nseeds = [1, 1]', "has no seeds in"),
        ('title = "x"\nepochs = 3\nbatch = 8\nlr = 0.1\nseeds = []', "has no seeds in"),
        (
            'title = "x"\nepochs = 3\nbatch = 8\nlr = 0.1\nseeds = [7, -1]',
            r"seeds\[1\] is a whole number of at least 0",
        ),
        ('title = "x"\nepochs = 3\nbatch = 8\nlr = 0.1\nflip = "yes"', "flip is true or false, not 'yes'"),
        ("title =", "is not a readable TOML file"),
    ],
)
def test_a_recipe_that_is_none(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(HarnessError, match=told):
        recipes.read("mine.toml")
