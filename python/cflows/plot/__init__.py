"""Pictures of densities, of samples beside data and of learning, with matplotlib.

Every function draws into the axes or the figure it is given, or into a new one, and returns it.
Matplotlib is imported by the first picture; ``pip install cflows[plot]`` brings it.

==================  ============================================================================
`density`           a density over the plane
`samples`           data beside samples: histograms, scatters, pairs of features or images
`images`            a sheet of images
`learning_curve`    the loss on training and validation data, epoch by epoch
==================  ============================================================================
"""

from .comparison import samples
from .history import learning_curve
from .plane import density
from .sheet import images

__all__ = ["density", "images", "learning_curve", "samples"]
