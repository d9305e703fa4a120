"""Densities of good and bad configurations on finite grids, batched over seeds.

Two models of one idea: split the observations by loss, estimate the density `l` of the good ones and `g` of the
others, draw candidates from `l` and keep the one with the best ratio.

- `ProductKDE`, one joint density: BOHB, and models over part of a space.
- `Parzen`, one density per parameter: TPE; `FrontParzen` where fronts of several objectives say what is good: MOTPE.

A bandwidth is always the kernel's own parameter: Aitchison and Aitken's probability of leaving the datum's category,
or the standard deviation of a Gaussian in the coordinates that the class states.

Axes: S seeds, B seeds of one call (positions, each once), d parameters, C candidates. All draws enter as uniforms in
[0, 1) and every seed is computed by itself, so a seed alone equals the seed in a batch bit for bit. What is kept of
the observations is exact integers, and no term of a density is dropped.
"""

from algorithms.density.parzen import Parzen as Parzen
from algorithms.density.product import ProductKDE as ProductKDE
from algorithms.density.several import FrontParzen as FrontParzen
