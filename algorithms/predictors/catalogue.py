"""The predictors by name, with their parameters; what they are made of is imported when one is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from harness import Param, Predictor, Problem, Streams
from harness.predictor import MakePredictor, Uses

Device = Annotated[Literal["cpu", "cuda"], Param("where the networks are trained")]
Target = Annotated[
    Literal["log", "raw", "capped"],
    Param("learn the logarithm of the loss, the loss, or the logarithm up to the median"),
]
Loss = Annotated[
    Literal["mse", "hinge", "listwise"],
    Param("what networks are trained on: squared errors, or the order of pairs or of a minibatch"),
]
Schedule = Annotated[Literal["fast", "paper"], Param("how the networks are trained")]
Width = Annotated[int, Param("of the hidden layers", low=1)]
Layers = Annotated[int, Param("graph convolutions", low=1)]

F = TypeVar("F", bound=Callable[..., Predictor])


def sharing(module: str) -> Callable[[F], F]:
    """What is decorated gets a note that the processes of a pool share the import of `module`."""

    def noted(made: F) -> F:
        vars(made)["preload"] = (module,)
        return made

    return noted


with_torch = sharing("algorithms.predictors.early")


@sharing("algorithms.predictors.graph")
def gcn(
    problem: Problem,
    streams: Streams,
    *,
    width: Width = 64,
    layers: Layers = 2,
    target: Target = "log",
    loss: Loss = "mse",
    device: Device = "cpu",
) -> Predictor:
    """GPNAS's graph-convolutional network, warm after its first fit."""
    from algorithms.predictors.graph import GraphPredictor

    return GraphPredictor(problem, streams, width=width, layers=layers, target=target, loss=loss, device=device)


@sharing("algorithms.predictors.neural")
def neural(
    problem: Problem, streams: Streams, *, schedule: Schedule = "fast", loss: Loss = "mse", device: Device = "cpu"
) -> Predictor:
    """The neural predictor's bidirectional graph-convolutional network (Wen et al. 2020)."""
    from algorithms.predictors.neural import NeuralPredictor

    return NeuralPredictor(problem, streams, schedule=schedule, loss=loss, device=device)


@sharing("algorithms.predictors.neural")
def neural2(
    problem: Problem,
    streams: Streams,
    *,
    schedule: Schedule = "fast",
    threshold: Annotated[float, Param("loss at which the first stage rejects", low=1e-9)] = 0.09,
    loss: Loss = "mse",
    device: Device = "cpu",
) -> Predictor:
    """The neural predictor with its first stage, a classifier of what is worth a prediction."""
    from algorithms.predictors.neural import NeuralPredictor

    return NeuralPredictor(problem, streams, schedule=schedule, threshold=threshold, loss=loss, device=device)


@with_torch
def pyg(
    problem: Problem,
    streams: Streams,
    *,
    conv: Annotated[str, Param("convolution of torch_geometric.nn: GINConv, GATv2Conv, SAGEConv, ...")] = "GINConv",
    edges: Annotated[Literal["both", "pair"], Param("in both directions, or a pair of convolutions")] = "both",
    width: Width = 64,
    layers: Layers = 2,
    target: Target = "log",
    loss: Loss = "mse",
    device: Device = "cpu",
) -> Predictor:
    """GPNAS's network of any convolution of PyTorch Geometric, one seed at a time."""
    from algorithms.predictors.geometric import GeometricPredictor

    return GeometricPredictor(
        problem, streams, conv=conv, edges=edges, width=width, layers=layers, target=target, loss=loss, device=device
    )


@with_torch
def mlp(
    problem: Problem,
    streams: Streams,
    *,
    width: Width = 64,
    target: Target = "log",
    loss: Loss = "mse",
    device: Device = "cpu",
) -> Predictor:
    """A multilayer perceptron on one-hot and scaled features."""
    from algorithms.predictors.features import FeaturePredictor

    return FeaturePredictor(problem, streams, width=width, target=target, loss=loss, device=device)


@with_torch
def paths(
    problem: Problem,
    streams: Streams,
    *,
    width: Width = 64,
    target: Target = "log",
    loss: Loss = "mse",
    device: Device = "cpu",
) -> Predictor:
    """A multilayer perceptron on the paths of graphs, the encoding of BANANAS (White et al. 2021)."""
    from algorithms.predictors.features import PathPredictor

    return PathPredictor(problem, streams, width=width, target=target, loss=loss, device=device)


def ensemble(
    problem: Problem,
    streams: Streams,
    member: Annotated[MakePredictor, Uses("predictor that it is made of", "gcn")],
    *,
    members: Annotated[int, Param("how many", low=2)] = 5,
) -> Predictor:
    """The mean of several predictors of one kind, which differ in their random numbers."""
    from algorithms.predictors.ensemble import Ensemble

    return Ensemble(problem, streams, member, members)


def naswot(problem: Problem, streams: Streams) -> Predictor:
    """No model: the training-free score naswot (Mellor et al. 2021), scaled to the losses seen."""
    from algorithms.predictors.scores import ByScore

    return ByScore(problem, "naswot")


def synflow(problem: Problem, streams: Streams) -> Predictor:
    """No model: the training-free score synflow (Tanaka et al. 2020), scaled to the losses seen."""
    from algorithms.predictors.scores import ByScore

    return ByScore(problem, "synflow")


def logsynflow(problem: Problem, streams: Streams) -> Predictor:
    """No model: the training-free score logsynflow (Cavagnero et al. 2023), scaled to the losses seen."""
    from algorithms.predictors.scores import ByScore

    return ByScore(problem, "logsynflow")


def regions(problem: Problem, streams: Streams) -> Predictor:
    """No model: the number of linear regions (Xiong et al. 2020), scaled to the losses seen."""
    from algorithms.predictors.scores import ByScore

    return ByScore(problem, "regions")


def ridge(
    problem: Problem,
    streams: Streams,
    *,
    penalty: Annotated[float, Param("on the squared weights", low=1e-9)] = 1.0,
    target: Target = "log",
) -> Predictor:
    """Ridge regression on one-hot and scaled features."""
    from algorithms.predictors.features import Ridge

    return Ridge(problem, streams, penalty=penalty, target=target)


def gp(problem: Problem, streams: Streams, *, target: Target = "log") -> Predictor:
    """A Gaussian process on one-hot and scaled features."""
    from algorithms.predictors.features import GaussianProcess

    return GaussianProcess(problem, streams, target=target)


def gpwl(
    problem: Problem,
    streams: Streams,
    *,
    depth: Annotated[int, Param("edges that a subtree is long at most", low=1)] = 2,
    target: Target = "log",
) -> Predictor:
    """A Gaussian process with a Weisfeiler-Lehman kernel on graphs, that of NAS-BOWL (Ru et al. 2021)."""
    from algorithms.predictors.subtrees import SubtreeProcess

    return SubtreeProcess(problem, streams, depth=depth, target=target)


def forest(
    problem: Problem,
    streams: Streams,
    *,
    trees: Annotated[int, Param("of each forest", low=1)] = 100,
    target: Target = "log",
) -> Predictor:
    """A random forest on one-hot and scaled features."""
    from algorithms.predictors.features import Forest

    return Forest(problem, streams, trees=trees, target=target)
