"""Search spaces, parameters of algorithms, and random streams."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import HarnessError, Param, Parameter, SearchSpace, Streams
from harness.params import declared, resolve
from harness.rng import splitmix64

SPACE = SearchSpace(
    (
        Parameter("op", ("conv", "pool", "skip")),
        Parameter("units", (16, 32, 64, 128), "ordinal"),
        Parameter("one", (7,)),
    )
)


def test_strides_number_the_configurations_in_lexicographic_order() -> None:
    codes = np.array([[a, b, 0] for a in range(3) for b in range(4)])
    assert (codes @ SPACE.strides).tolist() == list(range(12))
    assert SPACE.cardinality == 12


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=2))
def test_mutation_changes_one_parameter_to_another_value(draws: list[float]) -> None:
    codes = np.array([[2, 1, 0]])
    changed = SPACE.mutate(codes, np.array([draws]))
    assert (changed != codes).sum() == 1
    assert (changed >= 0).all()
    assert (changed < SPACE.sizes).all()


def test_mutation_is_uniform_over_parameters_and_over_other_values() -> None:
    draws = Streams(np.arange(20000), "test").uniform(2, np.arange(20000))
    changed = SPACE.mutate(np.tile([2, 1, 0], (20000, 1)), draws)
    moves, counts = np.unique(changed, axis=0, return_counts=True)
    expected = {(0, 1, 0): 1 / 4, (1, 1, 0): 1 / 4, (2, 0, 0): 1 / 6, (2, 2, 0): 1 / 6, (2, 3, 0): 1 / 6}
    assert {tuple(m) for m in moves.tolist()} == set(expected)
    for move, count in zip(moves.tolist(), counts, strict=True):
        share = expected[tuple(move)]
        assert abs(count / 20000 - share) < 4 * (share * (1 - share) / 20000) ** 0.5


def test_moves_lead_to_every_neighbour_once() -> None:
    moves = SPACE.moves
    near = SPACE.step(np.tile([2, 1, 0], (len(moves), 1)), *moves.T)
    assert sorted(map(tuple, near.tolist())) == [(0, 1, 0), (1, 1, 0), (2, 0, 0), (2, 2, 0), (2, 3, 0)]


def test_features_are_one_hot_or_scaled() -> None:
    features = SPACE.features(np.array([[2, 1, 0], [0, 3, 0]]))
    np.testing.assert_allclose(features, [[0.0, 0.0, 1.0, 1 / 3, 1.0], [1.0, 0.0, 0.0, 1.0, 1.0]])


def test_configurations_by_name() -> None:
    configuration: dict[str, str | int | float | bool] = {"op": "skip", "units": 32, "one": 7}
    assert SPACE.to_dict(np.array([2, 1, 0])) == configuration
    assert SPACE.from_dict(configuration).tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"op": "skip", "units": 32, "one": 7, "ops": 1}, "unknown parameter 'ops'. did you mean op"),
        ({"op": "skp", "units": 32, "one": 7}, "unknown value of parameter 'op' 'skp'. did you mean skip"),
        ({"op": "skip", "one": 7}, "the configuration has no value of 'units'. it takes"),
    ],
)
def test_wrong_configurations_are_explained(configuration: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError, match=message.replace(".", r"\.")):
        SPACE.from_dict(configuration)


def test_a_parameter_needs_values() -> None:
    with pytest.raises(ValueError, match="no values"):
        Parameter("empty", ())


def test_splitmix64_gives_the_published_sequence() -> None:
    """First outputs of the reference implementation in C for the seed 1234567."""
    gamma = 0x9E3779B97F4A7C15
    states = np.array([(1234567 + i * gamma) % 2**64 for i in range(1, 6)], dtype=np.uint64)
    assert splitmix64(states).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_a_stream_depends_on_seed_purpose_and_position_only() -> None:
    batch, alone = Streams(np.arange(10), "a"), Streams(np.array([7]), "a")
    first = batch.uniform(3, np.arange(10))
    batch.uniform(2, np.array([0, 3]))
    second = batch.uniform(4, np.arange(5, 10))
    mine = alone.uniform(7, np.array([0]))
    np.testing.assert_array_equal(mine[0], [*first[7], *second[2]])
    np.testing.assert_array_equal(mine[0], Streams(np.array([7]), "a").at(np.arange(7), np.zeros(7, dtype=int)))
    assert not np.isin(Streams(np.array([7]), "b").uniform(7, np.array([0])), mine).any()
    assert not np.isin(alone.child("c").uniform(7, np.array([0])), mine).any()
    assert alone.generator(0).random() == Streams(np.arange(10), "a").generator(7).random()


def test_draws_are_uniform_and_uncorrelated_between_seeds() -> None:
    draws = Streams(np.arange(400), "u").uniform(500, np.arange(400))
    assert 0 <= draws.min() < draws.max() < 1
    counts = np.histogram(draws, bins=64, range=(0, 1))[0]
    expected = draws.size / 64
    assert ((counts - expected) ** 2 / expected).sum() < 63 + 5 * (2 * 63) ** 0.5
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert abs(correlation).max() < 6 / 500**0.5


def test_integers_reach_every_value_of_each_range() -> None:
    highs = np.array([1, 2, 5])
    drawn = Streams(np.arange(300), "i").integers(highs, 3, np.arange(300))
    assert [sorted(set(column.tolist())) for column in drawn.T] == [[0], [0, 1], [0, 1, 2, 3, 4]]


def _factory(
    problem: Any,
    streams: Any,
    *,
    size: Annotated[int, Param("a size", low=1, high=10)] = 3,
    rate: Annotated[float, Param("a rate", low=0)] = 0.5,
    kind: Literal["best", "first"] = "best",
    fast: bool = False,
    word: str = "x",
) -> None: ...


def test_parameters_are_typed() -> None:
    given = {"size": "1e1", "rate": "1e-3", "kind": "first", "fast": "True", "word": "5"}
    assert resolve("a", _factory, given) == {"size": 10, "rate": 1e-3, "kind": "first", "fast": True, "word": "5"}
    assert resolve("a", _factory, {}) == {"size": 3, "rate": 0.5, "kind": "best", "fast": False, "word": "x"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": "2.5"}, "'size' cannot be 2.5. it takes a whole number from 1 to 10"),
        ({"size": "11"}, "'size' cannot be 11"),
        ({"size": "many"}, "'size' cannot be many"),
        ({"size": "inf"}, "'size' cannot be inf"),
        ({"rate": "-1"}, "'rate' cannot be -1. it takes a number of at least 0"),
        ({"rate": "nan"}, "'rate' cannot be nan"),
        ({"kind": "frist"}, "did you mean first"),
        ({"fast": "maybe"}, "'fast' cannot be maybe. it takes true or false"),
        ({"sise": "3"}, "unknown parameter of 'a' 'sise'. did you mean size"),
    ],
)
def test_wrong_parameters_are_explained(given: dict[str, str], message: str) -> None:
    with pytest.raises(HarnessError, match=message.replace(".", r"\.")):
        resolve("a", _factory, given)


def test_an_algorithm_without_parameters_says_so() -> None:
    def factory(problem: Any, streams: Any) -> None: ...

    with pytest.raises(HarnessError, match="has no parameters"):
        resolve("a", factory, {"x": "1"})
    assert declared(factory) == {}
