"""The density models equal hpbandster's, statsmodels', hyperopt's and Optuna's own."""

from __future__ import annotations

import importlib
import math
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import pytest

from algorithms.density import Parzen, ProductKDE, product
from harness import Bools, Floats, HarnessError, Ints, Parameter, SearchSpace, Streams
from harness.compiled import compiled, inner

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own


M = TypeVar("M", ProductKDE, Parzen)


def grid(sizes: list[int], ordered: list[bool] | bool = False) -> SearchSpace:
    """A space of parameters with these sizes."""
    kinds = np.broadcast_to(np.where(ordered, "ordinal", "categorical"), len(sizes))
    return SearchSpace(tuple(Parameter(f"x{j}", range(k), kinds[j]) for j, k in enumerate(sizes)))


def is_ordered(space: SearchSpace) -> Bools:
    return np.array([p.kind == "ordinal" for p in space.parameters])


NB201 = grid([5] * 6)
FCNET = grid([6, 6, 3, 3, 6, 4, 2, 2, 2], [True, True, True, True, True, True, False, False, False])
BINARY = grid([2] * 21 + [3] * 5)


@pytest.fixture
def representation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether observations are counted in a table of marginals or as distinct configurations."""
    if request.param == "rows":
        monkeypatch.setattr(product, "TABLE_LIMIT", 0)
    return request.param


def library(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ImportError as error:
            pytest.skip(f"{name} is not installed here: {error}")


def observations(space: SearchSpace, n: int, seed: int, *, narrow: float = 0.0, levels: int = 0) -> tuple[Ints, Floats]:
    """Codes [n, d], the later ones mostly near one configuration, and losses [n]."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, space.sizes, (n, space.dimensions))
    near = rng.random(n) < narrow
    codes[near] = np.where(rng.random((n, space.dimensions)) < 0.9, codes[0], codes)[near]
    loss = (codes * np.linspace(0.2, 1.3, space.dimensions)).sum(1) + rng.random(n)
    return codes, np.round(loss * levels) / levels if levels else loss


def fed(model: M, codes: Ints, loss: Floats, seed: int = 0) -> M:
    for x, y in zip(codes, loss, strict=True):
        model.add(np.array([seed]), x[None], np.array([y]))
    return model


# ------------------------------------------------------------------------------ BOHB


def bohb(space: SearchSpace, **options: Any) -> tuple[Any, Any, Callable[[Ints, float], None]]:
    """hpbandster's generator on the same space, and a function that feeds it one result."""
    cs_module = library("ConfigSpace")
    generators = library("hpbandster.optimizers.config_generators.bohb")
    dispatcher = library("hpbandster.core.dispatcher")
    cs = cs_module.ConfigurationSpace(seed=0)
    for j, (k, ordered) in enumerate(zip(space.sizes.tolist(), is_ordered(space), strict=True)):
        name = f"x{j:02d}"
        cs.add(
            cs_module.UniformIntegerHyperparameter(name, 0, k - 1)
            if ordered
            else cs_module.CategoricalHyperparameter(name, list(range(k)))
        )
    generator = generators.BOHB(cs, **options)

    def tell(code: Ints, loss: float) -> None:
        config = {f"x{j:02d}": int(v) for j, v in enumerate(code)}
        job = dispatcher.Job((0, 0, 0), config=config, budget=1.0)
        job.result, job.exception = {"loss": loss}, None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            generator.new_result(job)

    return generators, generator, tell


@pytest.mark.reference("ConfigSpace", "hpbandster")
@pytest.mark.parametrize("n", [14, 47, 300])
@pytest.mark.parametrize("representation", ["table", "rows"], indirect=True)
@pytest.mark.parametrize("narrow", [0.0, 0.9])
def test_categorical_densities_equal_hpbandster(n: int, representation: str, narrow: float) -> None:
    codes, loss = observations(NB201, n, n, narrow=narrow)
    _, generator, tell = bohb(NB201)
    for x, y in zip(codes, loss, strict=True):
        tell(x, y)
    model = fed(ProductKDE(NB201, 1), codes, loss)
    points = np.random.default_rng(1).integers(0, 5, (200, 6)).astype(float)
    points[:50] = codes[np.arange(50) % n]
    ours = model.densities(np.array([0]), points[None])[0]
    with np.errstate(all="ignore"):
        for i, side in enumerate(("good", "bad")):
            theirs = generator.kde_models[1.0][side]
            np.testing.assert_allclose(model.bandwidths(np.array([0]))[0, i], theirs.bw, rtol=1e-12)
            np.testing.assert_allclose(ours[:, i], theirs.pdf(points), rtol=1e-6)


@pytest.mark.reference("ConfigSpace", "hpbandster")
@pytest.mark.parametrize("n", [25, 120])
def test_mixed_densities_equal_hpbandster(n: int) -> None:
    codes, loss = observations(FCNET, n, n)
    _, generator, tell = bohb(FCNET, min_bandwidth=0.3)
    for x, y in zip(codes, loss, strict=True):
        tell(x, y)
    model = fed(ProductKDE(FCNET, 1, min_bandwidth=0.3), codes, loss)
    rng = np.random.default_rng(1)
    points = np.where(is_ordered(FCNET), rng.random((50, 9)), rng.integers(0, FCNET.sizes, (50, 9)))
    ours = model.densities(np.array([0]), points[None])[0]
    with np.errstate(all="ignore"):
        for i, side in enumerate(("good", "bad")):
            theirs = generator.kde_models[1.0][side].pdf(points)
            np.testing.assert_allclose(ours[:, i], theirs, rtol=1e-6)


class ScriptedNumpy:
    """numpy whose random module answers from a list of uniforms [C, 1 + d]."""

    def __init__(self, space: SearchSpace, uniforms: Floats, model: ProductKDE) -> None:
        self.random = self
        self._truncnorm = importlib.import_module("scipy.stats").truncnorm
        self._space, self._u, self._model = space, uniforms, model
        self._c, self._j = -1, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def rand(self) -> float:
        if self._c < 0:
            return 0.999
        self._j += 1
        return self._u[self._c, self._j]

    def randint(self, low: int, high: int | None = None) -> int:
        if high is not None:
            self._c, self._j = self._c + 1, 0
            return int(self._u[self._c, 0] * high)
        h = self._model.bandwidths(np.array([0]))[0, 0, self._j - 1]
        u = self._u[self._c, self._j]
        return int((u - max(1 - h, 0)) / min(h, 1) * low)

    def rvs(self, a: Floats, b: Floats, loc: Floats, scale: Floats) -> Floats:
        self._j += 1
        return self._truncnorm.ppf(self._u[self._c, self._j], a, b, loc=loc, scale=scale)


@pytest.mark.reference("ConfigSpace", "hpbandster")
@pytest.mark.parametrize(
    ("space", "narrow", "representation"),
    [
        (NB201, 0.0, "table"),
        (NB201, 0.9, "table"),
        (NB201, 0.9, "rows"),
        (FCNET, 0.5, "rows"),
    ],
    indirect=["representation"],
)
def test_proposals_equal_hpbandster_under_the_same_draws(
    space: SearchSpace, narrow: float, representation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes, loss = observations(space, 70, 5, narrow=narrow)
    module, generator, tell = bohb(space)
    model = ProductKDE(space, 1)
    one, d = np.array([0]), space.dimensions
    for t in range(70):
        tell(codes[t], loss[t])
        model.add(one, codes[t][None], loss[[t]])
        assert bool(model.ready[0]) == bool(generator.kde_models)
        if not model.ready[0] or t % 3:
            continue
        uniforms = np.random.default_rng(t).random((1, 64, 1 + d))
        scripted = ScriptedNumpy(space, uniforms[0], model)
        monkeypatch.setattr(module, "np", scripted)
        monkeypatch.setattr(module.sps, "truncnorm", scripted)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            config, info = generator.get_config(1.0)
        monkeypatch.undo()
        proposal, found = model.propose(one, uniforms)
        assert found[0] == info["model_based_pick"]
        if found[0]:
            assert proposal[0].tolist() == [config[f"x{j:02d}"] for j in range(d)]


def scalar_kde(
    space: SearchSpace, codes: Ints, loss: Floats, points: Floats, minimum: int, percent: int = 15, floor: float = 1e-3
) -> Floats:
    """Falkner et al. 2018 and statsmodels' kernels, one observation at a time."""
    n, d = codes.shape
    order = np.argsort(loss, kind="stable")
    good, bad = max(minimum, percent * n // 100), max(minimum, (100 - percent) * n // 100)
    out = np.empty((len(points), 2))
    unit = np.where(is_ordered(space), np.maximum(space.sizes - 1, 1), 1)
    for side, part in enumerate((order[:good], order[good : good + bad])):
        data = codes[part] / unit
        h = np.maximum(1.06 * data.std(0) * len(data) ** (-1 / (4 + d)), floor)
        for i, x in enumerate(points):
            factors = np.ones(len(data))
            for j in range(d):
                if is_ordered(space)[j]:
                    z = (data[:, j] - x[j]) / h[j]
                    factors *= np.exp(-z * z / 2) / (math.sqrt(2 * math.pi) * h[j])
                else:
                    with np.errstate(divide="ignore"):
                        off = h[j] / np.float64(len(np.unique(data[:, j])) - 1)
                    factors *= np.where(data[:, j] == x[j], 1 - h[j], off)
            out[i, side] = factors.mean()
    return out


@pytest.mark.parametrize("space", [NB201, FCNET, BINARY, grid([1, 4, 1, 3], [False, True, True, False])])
def test_densities_equal_a_scalar_reference_at_every_size(space: SearchSpace) -> None:
    codes, loss = observations(space, 230, 3, narrow=0.6, levels=2)
    loss[[7, 100]] = math.inf
    model = ProductKDE(space, 1)
    d = space.dimensions
    rng = np.random.default_rng(0)
    checked = 0
    for n in range(1, 231):
        model.add(np.array([0]), codes[n - 1][None], loss[[n - 1]])
        assert model.ready[0] == (n >= 2 * (d + 1))
        if n % 9 == 0 and model.ready[0]:
            points = np.where(is_ordered(space), rng.random((9, d)), rng.integers(0, space.sizes, (9, d)))
            with np.errstate(all="ignore"):
                expected = scalar_kde(space, codes[:n], loss[:n], points, d + 1)
            np.testing.assert_allclose(
                model.densities(np.array([0]), points[None])[0], expected, rtol=1e-9, atol=1e-300
            )
            checked += 1
    assert checked > 15


def test_infinite_and_signed_densities_agree_between_representations(monkeypatch: pytest.MonkeyPatch) -> None:
    """One value alone (infinite density elsewhere) together with bandwidths above 1."""
    space = grid([2, 9, 3])
    rng = np.random.default_rng(2)
    seen, limits = set(), (product.TABLE_LIMIT, 0)
    for _ in range(200):
        codes = rng.integers(0, space.sizes, (9, 3))
        codes[:, 1] = rng.choice([0, 8], 9)
        loss = rng.random(9)
        codes[np.argsort(loss)[:4], 0] = 0
        points = rng.integers(0, space.sizes, (1, 12, 3))
        both = []
        for limit in limits:
            monkeypatch.setattr(product, "TABLE_LIMIT", limit)
            model = fed(ProductKDE(space, 1), codes, loss)
            both.append(model.densities(np.array([0]), points.astype(float)))
        table, rows = both
        np.testing.assert_allclose(table, rows, rtol=1e-9, atol=1e-12)
        seen |= {str(v) for v in table.ravel() if not math.isfinite(v)}
    assert {"inf", "nan"} <= seen


def test_counts_that_outgrow_16_bits_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    space = grid([4, 3])
    codes, loss = observations(space, 300, 9)
    points = np.stack(np.unravel_index(np.arange(12), (4, 3)), axis=1)[None].astype(float)
    narrow = fed(ProductKDE(space, 1), codes, loss)
    monkeypatch.setattr(product, "NARROW", 128)
    wide = fed(ProductKDE(space, 1), codes, loss)
    assert [model.tally.table.dtype for model in (narrow, wide)] == [np.uint32, np.uint64]
    np.testing.assert_array_equal(
        narrow.densities(np.array([0]), points), wide.densities(np.array([0]), points), strict=True
    )


# ------------------------------------------------------------------------------ TPE


@pytest.mark.reference("optuna")
@pytest.mark.parametrize("n", [1, 2, 3, 11, 24, 25, 26, 27, 120])
@pytest.mark.parametrize(("k", "ordered"), [(5, False), (2, True), (5, True), (6, True)])
def test_masses_equal_optuna(n: int, k: int, ordered: bool) -> None:
    parzen = library("optuna.samplers._tpe.parzen_estimator")
    sampler = library("optuna.samplers._tpe.sampler")
    optuna = library("optuna")
    codes, loss = observations(grid([k]), n, n)
    model = fed(Parzen(grid([k], ordered), 1, variant="optuna", gamma=0.1), codes, loss)
    split = sampler.default_gamma(n)
    below = np.sort(np.argsort(loss, kind="stable")[:split])
    above = np.sort(np.argsort(loss, kind="stable")[split:])
    distribution = (
        optuna.distributions.IntDistribution(0, k - 1)
        if ordered
        else optuna.distributions.CategoricalDistribution(list(range(k)))
    )
    settings = parzen._ParzenEstimatorParameters(1.0, True, False, sampler.default_weights, False)
    ours = model.masses(np.array([0]))[0]
    for side, part in enumerate((below, above)):
        with pytest.MonkeyPatch.context() as patch:
            # numpy's default sort leaves the order of equal observations open: take the stable one
            patch.setattr(parzen, "np", StableNumpy())
            estimator = parzen._ParzenEstimator({"x": codes[part, 0].astype(float)}, {"x": distribution}, settings)
        theirs = estimator.log_pdf({"x": np.arange(k, dtype=float)})
        np.testing.assert_allclose(np.log(ours[side]), theirs, rtol=1e-6, atol=1e-8)


class StableNumpy:
    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def argsort(values: Floats) -> Ints:
        return np.argsort(values, kind="stable")


@pytest.mark.reference("hyperopt")
@pytest.mark.parametrize("n", [1, 2, 3, 11, 24, 25, 26, 27, 60, 400])
@pytest.mark.parametrize(("k", "ordered"), [(5, False), (2, True), (5, True), (6, True)])
def test_masses_equal_hyperopt(n: int, k: int, ordered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    tpe = library("hyperopt.tpe")
    codes, loss = observations(grid([k]), n, n + 1)
    model = fed(Parzen(grid([k], ordered), 1), codes, loss)
    times = np.arange(n)
    below, above = tpe.ap_split_trials(times, codes[:, 0], times, loss, 0.25)
    ours = model.masses(np.array([0]))[0]
    monkeypatch.setattr(tpe, "np", StableNumpy())
    for side, part in enumerate((below, above)):
        if ordered:
            w, mu, sigma = tpe.adaptive_parzen_normal(part.astype(float), 1.0, (k - 1) / 2, k - 1.0)
            theirs = tpe.GMM1_lpdf(np.arange(k, dtype=float), w, mu, sigma, 0.0, k - 1.0, 1.0)
        else:
            forget = tpe.linear_forgetting_weights(len(part), 25)
            counts = np.bincount(part, weights=forget, minlength=k) if len(part) else np.zeros(k)
            theirs = np.log(tpe.tpe_cat_pseudocounts(counts, 1.0, np.full(k, 1 / k), (1,)))
        np.testing.assert_allclose(np.log(ours[side]), theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("variant", ["hyperopt", "optuna"])
def test_incremental_split_equals_one_from_scratch(variant: Literal["hyperopt", "optuna"]) -> None:
    """Counts, sums of times and edges kept over 700 observations, many of them equal in loss."""
    space = grid([5, 4], [False, True])
    codes, loss = observations(space, 700, 11, levels=1)
    loss[300:] -= np.linspace(0, 5, 400).round()
    gamma = 0.1 if variant == "optuna" else 0.25
    model = Parzen(space, 1, variant=variant, gamma=gamma)
    for n in range(1, 701):
        model.add(np.array([0]), codes[n - 1][None], loss[[n - 1]])
        if n % 23:
            continue
        order = np.argsort(loss[:n], kind="stable")
        below = math.ceil(0.1 * n if variant == "optuna" else 0.25 * math.sqrt(n))
        above = np.sort(order[min(below, 25) :])
        state = model.split
        assert sorted(order[: min(below, 25)]) == state.below[0, : state.size[0]].tolist()
        for j, offset in enumerate(model.offset):
            for v in range(space.sizes[j]):
                ranks = np.flatnonzero(codes[above, j] == v)
                at = np.flatnonzero(codes[:n, j] == v)
                good = state.below[0, : state.size[0]]
                assert (state.total[0, offset + v], state.times[0, offset + v]) == (len(at), at.sum())
                assert state.until[0, offset + v] == (at <= good[:, None]).sum()
                ends = (above[ranks[0]], above[ranks[-1]]) if len(ranks) else (-1, -1)
                assert (state.oldest[0, offset + v], state.newest[0, offset + v]) == ends


def test_tpe_proposal_is_the_best_of_its_candidates() -> None:
    space = grid([5, 6], [False, True])
    model = fed(Parzen(space, 1), *observations(space, 90, 4))
    uniforms = np.random.default_rng(0).random((1, 2, 24))
    mass = model.masses(np.array([0]))[0]
    for j, (i, k) in enumerate(zip(model.offset, space.sizes, strict=True)):
        good, bad = mass[:, i : i + k]
        drawn = np.searchsorted(np.cumsum(good), uniforms[0, j], side="right")
        expected = drawn[np.argmax((good / bad)[drawn])]
        assert model.propose(np.array([0]), uniforms)[0, j] == expected


# ------------------------------------------------------------------------------ batches


@pytest.mark.parametrize("space", [NB201, FCNET])
@pytest.mark.parametrize("kind", [ProductKDE, Parzen])
def test_a_seed_alone_equals_the_seed_in_a_batch(space: SearchSpace, kind: type[ProductKDE] | type[Parzen]) -> None:
    seeds, steps, d = 7, 90, space.dimensions
    runs = [observations(space, steps, s, narrow=0.3) for s in range(seeds)]
    shape = (24, 1 + d) if kind is ProductKDE else (d, 24)
    draws = np.random.default_rng(8).random((steps, seeds, *shape))
    batch: Any = kind(space, seeds)
    alone: list[Any] = [kind(space, 1) for _ in range(seeds)]
    for t in range(steps):
        active = np.array([s for s in range(seeds) if t < 40 + 9 * s])[::-1].copy()
        batch.add(active, np.stack([runs[s][0][t] for s in active]), np.array([runs[s][1][t] for s in active]))
        for s in active:
            alone[s].add(np.array([0]), runs[s][0][t][None], runs[s][1][[t]])
        if t < 30:
            continue
        together = batch.propose(active, draws[t, active])
        for i, s in enumerate(active):
            single = alone[s].propose(np.array([0]), draws[t, [s]])
            if kind is Parzen:
                np.testing.assert_array_equal(together[i], single[0])
                np.testing.assert_array_equal(batch.masses(active)[i], alone[s].masses(np.array([0]))[0])
            else:
                np.testing.assert_array_equal(together[0][i], single[0][0])
                points = np.ones((steps, 1, d))
                np.testing.assert_array_equal(
                    batch.densities(active, points[: len(active)])[i],
                    alone[s].densities(np.array([0]), points[:1])[0],
                )


def test_pruning_never_changes_the_choice() -> None:
    model = fed(ProductKDE(FCNET, 1), *observations(FCNET, 400, 6, narrow=0.5))
    one, none = np.array([0]), np.empty(0, np.uint64)
    for seed in range(40):
        uniforms = np.random.default_rng(seed).random((1, 64, 10))
        points, density = np.empty((1, 64, 9)), np.empty((1, 64, 2))
        best, chosen = model.run(one, none, uniforms, points, density, False)
        ratio = np.maximum(density[0, :, 1], 1e-32) / np.maximum(density[0, :, 0], 1e-32)
        assert best[0] == np.argmin(ratio)
        np.testing.assert_array_equal(chosen[0], points[0, best[0]])
        again = np.empty((1, 64, 9))
        pruned, _ = model.run(one, none, uniforms, again, density, True)
        assert pruned[0] == best[0]
        np.testing.assert_array_equal(again, points)


@pytest.mark.parametrize("space", [NB201, FCNET])
def test_numbers_made_where_they_are_used_are_those_of_the_stream(space: SearchSpace) -> None:
    d, seeds = space.dimensions, np.arange(5)
    model = ProductKDE(space, 5)
    for s in range(5):
        fed(model, *observations(space, 40 + s, s, narrow=0.5), seed=s)
    handed, made = Streams(seeds, "draws"), Streams(seeds, "draws")
    for where in (seeds[::-1].copy(), seeds[1:3], seeds[:1], seeds[:0]):
        n = 24 * (1 + d)
        by_array = model.propose(where, handed.uniform(n, where).reshape(-1, 24, 1 + d))
        by_states = model.propose_by(where, made.states(n, where), 24)
        for ours, theirs in zip(by_states, by_array, strict=True):
            np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.mark.parametrize("options", [{"percent": 0}, {"min_bandwidth": 0.0}, {"bandwidth_factor": -1.0}])
def test_settings_out_of_range_are_refused(options: Any) -> None:
    with pytest.raises(HarnessError, match="must be"):
        ProductKDE(NB201, 1, **options)


def test_a_model_without_enough_observations_is_refused() -> None:
    model = fed(ProductKDE(NB201, 1), *observations(NB201, 13, 0))
    assert not model.ready[0]
    with pytest.raises(ValueError, match="enough observations"):
        model.propose(np.array([0]), np.zeros((1, 64, 7)))


@pytest.mark.parametrize("kind", [ProductKDE, Parzen])
def test_a_parameter_with_too_many_values_is_named(kind: type[ProductKDE] | type[Parzen]) -> None:
    with pytest.raises(HarnessError, match="parameter 'x1' has 8193 values"):
        kind(grid([2, 8193]), 1)


def test_kernels_compile_where_nothing_can_be_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    def njit(**options: Any) -> Callable[[Any], Any]:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available for file")
        return lambda function: function

    monkeypatch.setattr("harness.compiled.numba.njit", njit)
    monkeypatch.setattr("harness.compiled.KERNELS", [])
    assert compiled(len) is len


def test_what_only_kernels_call_is_refused_to_python() -> None:
    @inner
    def doubled(x: float) -> float:
        return 2.0 * x

    @compiled
    def quadrupled(x: float) -> float:
        return doubled(doubled(x))

    for _ in range(2):
        with pytest.raises(TypeError, match="doubled is for compiled functions"):
            doubled(1.0)
        assert quadrupled(1.0) == 4.0


def test_processes_that_start_at_once_compile_a_kernel_once(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import sys\n"
        "from harness.compiled import compiled\n\n"
        "@compiled\n"
        "def kernel(x):\n"
        "    total = 0.0\n"
        "    for i in range(len(x)):\n"
        "        total += x[i] ** 2\n"
        "    return total\n\n"
        "if __name__ == '__main__':\n"
        "    import numpy as np\n"
        "    from mine import kernel\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    kernel(np.ones(3))\n"
        "    print(sum(kernel.stats.cache_misses.values()), sum(kernel.stats.cache_hits.values()))\n"
    )
    command, pipe = [sys.executable, str(tmp_path / "mine.py")], subprocess.PIPE
    run = partial(subprocess.Popen[str], command, stdin=pipe, stdout=pipe, text=True, cwd=tmp_path)
    both = [run(), run()]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120)[0] for process in both]
    assert sorted(said) == ["0 1\n", "1 0\n"]
