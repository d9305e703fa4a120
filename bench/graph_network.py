"""How fast the graph network over all architectures is, beside torch's sparse product: `python -m bench.graph_network`.

The graph of 6^7 = 279,936 architectures with 10,077,696 entries, width 512, 1,800 labels, one thread unless more are
asked for. An epoch of the sparse product propagates at every vertex; ours, in the field of the labels. Both in one run;
quote the ratio. What bounds an epoch is told beside it: its products alone, and the hidden numbers of the field, which
are written and read again by every step between them.
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from harness.sharing.product_graph import GraphRegression, ProductGraph

LABELS = 1800


def seconds(work: Any, times: int = 1) -> float:
    """CPU seconds, or with a GPU those of the wall."""

    def now() -> float:
        if not torch.cuda.is_initialized():
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    began = now()
    for _ in range(times):
        work()
    return (now() - began) / times


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def bounds(model: GraphRegression, chosen: Any, epoch: float) -> None:
    """The products of an epoch alone: into the hidden layer at every vertex of the field and back, and behind it."""
    rows = len(chosen) * (1 + sum(k - 1 for k in model.graph.sizes))
    first, second = model.weights[0].detach(), model.weights[2].detach()
    x = torch.randn(rows, model.inputs.shape[1], device=first.device)
    hidden, out = x @ first, torch.randn(len(chosen), second.shape[0], device=first.device)
    products = seconds(lambda: (x @ first, x.T @ hidden, out @ second, out @ second.T, out.T @ out))
    passes = seconds(lambda: (hidden.relu(), hidden * hidden, hidden.sum()))
    print(
        f"of an epoch of {epoch:.3f} seconds the products alone take {products:.3f}; three passes over the "
        f"{hidden.numel() * 4 / 2**20:.0f} MiB of hidden numbers take {passes:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=600, help="of the whole fit; 0 to leave it out")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--alone", action="store_true", help="without the sparse product")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(0)
    graph = ProductGraph((6,) * 7, device=arguments.device)
    chosen, accuracy = rng.choice(graph.vertices, LABELS, replace=False), rng.uniform(0.5, 0.7, LABELS)
    model = GraphRegression(graph, width=arguments.width)
    first = [w.clone() for w in model.weights]
    ours = seconds(lambda: model.fit(chosen, accuracy, epochs=5)) / 5
    bounds(model, chosen, ours)
    if arguments.epochs:
        model.weights = [w.clone() for w in first]
        began = time.perf_counter()
        spent = seconds(lambda: model.fit(chosen, accuracy, epochs=arguments.epochs))
        print(f"{arguments.epochs} epochs: {spent:.1f} seconds, {time.perf_counter() - began:.0f} on the wall")
    predicted = seconds(model.predict)
    print(f"an epoch {ours:.3f} seconds, all predictions {predicted:.1f}, peak memory {peak():.1f} GiB")

    if arguments.alone:
        return
    at, weight = graph.neighbours(torch.arange(graph.vertices, device=graph.device))
    row = torch.arange(graph.vertices + 1, device=graph.device) * at.shape[1]
    matrix = torch.sparse_csr_tensor(row, at.ravel(), weight.ravel(), size=(graph.vertices, graph.vertices))
    w1, b1, w2, b2, w3, b3 = (w.requires_grad_() for w in first)
    target = torch.from_numpy(accuracy).float().to(graph.device)

    def epoch() -> None:
        hidden = matrix @ functional.relu(model.inputs @ w1 + b1)
        out = (functional.relu(hidden @ w2 + b2) @ w3 + b3).squeeze(1)
        (out[chosen] - target).abs().mean().backward()

    theirs = seconds(epoch)
    print(f"by torch's sparse product {theirs:.1f}: {theirs / ours:.0f} times; peak memory {peak():.1f} GiB")
    with torch.no_grad():
        sample = torch.randn(graph.vertices, 8, device=graph.device)
        apart = (graph.propagate(sample) - matrix @ sample).abs().max()
    print(f"largest difference of the two propagations {float(apart):.1e}")


if __name__ == "__main__":
    main()
