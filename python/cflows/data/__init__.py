"""Data to try flows on, and tables in and out of files. Needs NumPy alone.

==================  ============================================================================
`toy`, `TOYS`       the papers' two-dimensional densities, with samples and exact log-densities
`digits`            real images that come with the package
`load_table`        numbers from ``.npy``, ``.npz``, ``.csv`` or ``.tsv``
`save_table`        and back into them
`split`             disjoint shuffled parts, such as for training, validation and test
==================  ============================================================================
"""

from .embedded import digits
from .splits import split
from .tables import load_table, save_table
from .toys import TOYS, ToyDensity, toy

__all__ = ["TOYS", "ToyDensity", "digits", "load_table", "save_table", "split", "toy"]
