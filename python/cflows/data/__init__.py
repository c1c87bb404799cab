"""Data sets to try flows on, and files of tables and images. Only PNG files need more than
NumPy.

==================  ============================================================================
`toy`, `TOYS`       the papers' two-dimensional densities, with samples and exact log-densities
`digits`            real images that come with the package
`load_table`        numbers from ``.npy``, ``.npz``, ``.csv`` or ``.tsv``
`save_table`        writes them
`load_idx`          images and labels of the MNIST family
`load_cifar`        those of CIFAR-10 and CIFAR-100, in their binary version
`load_pngs`         a folder of PNG images, with sub-folders as labels; needs Pillow
`batches`           rows in shuffled minibatches, also of arrays larger than memory
`augmented`         images changed by `Flip`, `Shift`, `QuarterTurns`, as `Flow.fit` does
`split`             disjoint shuffled parts, such as for training, validation and test
==================  ============================================================================
"""

from .augmentation import Flip, QuarterTurns, Shift, augmented
from .batches import batches
from .embedded import digits
from .image_files import load_cifar, load_idx, load_pngs
from .splits import split
from .tables import load_table, save_table
from .toys import TOYS, ToyDensity, toy

__all__ = [
    "TOYS",
    "Flip",
    "QuarterTurns",
    "Shift",
    "ToyDensity",
    "augmented",
    "batches",
    "digits",
    "load_cifar",
    "load_idx",
    "load_pngs",
    "load_table",
    "save_table",
    "split",
    "toy",
]
