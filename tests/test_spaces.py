"""Published spaces, whatever is installed: found by name, written, read, seen, built."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.errors import HarnessError
from harness.spaces import kinds, names, published
from harness.spaces.architecture import Architecture, space_of
from harness.train import networks, recipes

ALL = names()


def some(name: str, n: int) -> list[Architecture]:
    """Random architectures that are valid."""
    space, found = published(name).space, []
    rows = space.sample(np.random.default_rng(5).random((40 * n, space.dimensions)))
    for codes in rows:
        try:
            found.append(Architecture.at(name, codes))
        except ValueError:
            continue
        if len(found) == n:
            break
    return found


@pytest.mark.parametrize("name", ALL)
def test_texts_are_read_as_they_are_written(name: str) -> None:
    space = published(name)
    for architecture in some(name, 20):
        assert architecture.space == space.kind
        assert Architecture.parse(architecture.text) == architecture
        if space.codes is not None:
            assert space.write(space.codes(architecture.text)) == architecture.text


@pytest.mark.parametrize("name", kinds())
def test_examples_are_of_their_kind(name: str) -> None:
    assert Architecture.parse(published(name).example).space == name


@pytest.mark.parametrize("name", ALL)
def test_graphs_are_as_the_view_says(name: str) -> None:
    space = published(name).space
    assert space.graphs is not None
    codes = space.sample(np.random.default_rng(1).random((10, space.dimensions)))
    adjacency, labels = space.graphs.of(codes)
    assert adjacency.shape == (10, space.graphs.vertices, space.graphs.vertices)
    assert labels.max() < space.graphs.labels
    assert not np.tril(adjacency).any()


@pytest.mark.parametrize("name", kinds())
def test_networks_build(name: str) -> None:
    if name == "nb101":
        pytest.importorskip("nasbench_pytorch")
    (architecture,) = some(name, 1)
    network = networks.build(architecture, recipes.read("digits"), colours=1, classes=10).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_a_space_is_known_by_its_parameters() -> None:
    assert published(str(space_of(published("digits201").space))).space == published("digits201").space
    assert space_of(published("1shot1/2").space) == "1shot1/2"


def test_unknown_spaces_have_close_matches() -> None:
    with pytest.raises(HarnessError, match="unknown search space 'nb202'") as error:
        published("nb202")
    assert "nb201" in error.value.hint
