"""Pictures of densities, of samples beside data and of learning, with matplotlib.

Every function draws into the given axes or figure, or into a new one, and returns it.
Matplotlib is imported by the first picture; ``pip install 'cflows[plot]'`` brings it.

==================  ============================================================================
`density`           a density over the line or the plane
`densities`         several side by side, in the same colours
`conditional`       the density of a feature given contexts: curves, or an image along one column
`pit`               whether a flow of one feature is calibrated: a histogram
`calibration`       the same as observed shares against quantiles
`samples`           data beside samples: histograms, scatters, pairs of features or images
`images`            a sheet of images
`learning_curve`    the loss on training and validation data, epoch by epoch
`grid`              a grid of the plane as a flow of two features carries it, coloured by log|det|
`layers`            the grid after each layer, base to data
`animate`           the grid in motion, through the layers or through the epochs of a fit
`mask`              which features, or pixels, a coupling keeps and which it transforms
==================  ============================================================================
"""

from .calibration import calibration, pit
from .comparison import samples
from .conditional import conditional
from .grids import animate, grid, layers
from .history import learning_curve
from .masks import mask
from .panels import densities
from .plane import density
from .sheet import images

__all__ = [
    "animate",
    "calibration",
    "conditional",
    "densities",
    "density",
    "grid",
    "images",
    "layers",
    "learning_curve",
    "mask",
    "pit",
    "samples",
]
