"""Predictors of a configuration's loss, one model for each seed, fitted in batches.

- `GraphPredictor`, GPNAS's graph-convolutional network, and `NeuralPredictor`, the bidirectional one: architectures.
- `FeaturePredictor`: a multilayer perceptron on one-hot and scaled features, for any space; `PathPredictor`: on the
  paths of graphs.
- `Ridge`, `GaussianProcess`, `Forest`: what a reviewer asks for.

All of them learn from the codes, fidelities and losses that a seed has observed, and predict losses at the largest
fidelity. Whatever a model draws comes from its seed's own stream, and seeds are never mixed, so a seed alone equals the
seed in a batch. GPNAS's network is compiled loops, one seed after the other. Other networks are numbers [S, P] that are
trained as batched matrix products over blocks of seeds, with one thread: processes, not threads, share the work; on
another machine or device they are equal to rounding only.

Axes: S seeds, k seeds of one call (positions, each once), n observations, d parameters.
"""
