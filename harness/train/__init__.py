"""Training for real: networks out of codes, image sets, recipes, and the loop. Torch is imported by this package only.

`architectures`, `recipes`, `results`, `incumbents` and `validation` know nothing of torch.
"""
