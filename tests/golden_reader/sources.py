"""Which numbers of theirs a parameter holds, and how gradients compare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


class Copied:
    """A parameter that holds numbers of theirs as they are, so that gradients are the same too."""

    def read(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        raise NotImplementedError

    def gradients(
        self, ours: np.ndarray, arrays: dict[str, np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Pairs that are equal: ours, carried on to what theirs differentiates, and theirs."""
        return [(ours, self.read(arrays, "grad/").reshape(ours.shape))]


@dataclass(frozen=True)
class Source(Copied):
    """Which part of which golden array a parameter is."""

    key: str
    rows: np.ndarray | None = None  # None: all, in their order
    columns: np.ndarray | None = None

    def read(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        array = arrays[prefix + self.key]
        array = array if self.rows is None else array[self.rows]
        return array if self.columns is None else array[:, self.columns]

    def unread(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        """The numbers of the array that are not copied."""
        array = arrays[prefix + self.key]
        used = np.zeros(array.shape, bool)
        rows = slice(None) if self.rows is None else self.rows
        if self.columns is None:
            used[rows] = True
        else:
            column = np.isin(np.arange(array.shape[1]), self.columns)
            used[rows] = column.reshape(-1, *(1,) * (array.ndim - 2))
        return array[~used]


@dataclass(frozen=True)
class Places(Copied):
    """Where the numbers of some golden arrays lie in a parameter, which is 0 elsewhere."""

    size: int
    places: dict[str, np.ndarray]  # by key: the place of each number of the array

    def read(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        out = np.zeros(self.size)
        for key, places in self.places.items():
            inside = places.ravel() < self.size
            out[places.ravel()[inside]] = arrays[prefix + key].ravel()[inside]
        return out

    def unread(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        return np.concatenate(
            [
                arrays[prefix + key].ravel()[places.ravel() >= self.size]
                for key, places in self.places.items()
            ]
        )


@dataclass(frozen=True)
class Masked(Places):
    """As `Places`, of weights that theirs multiplies by a mask: 0 where that is."""

    masks: dict[str, str]  # by key of a weight: that of its mask, if it has one

    def _mask(self, arrays: dict[str, np.ndarray], key: str) -> np.ndarray:
        return arrays[self.masks[key]] if key in self.masks else np.ones(arrays[key].shape)

    def _placed(self, numbers: dict[str, np.ndarray]) -> np.ndarray:
        return Places(self.size, self.places).read(numbers)

    def read(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        keys = self.places
        return self._placed({key: arrays[prefix + key] * self._mask(arrays, key) for key in keys})

    def gradients(
        self, ours: np.ndarray, arrays: dict[str, np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """As `Copied.gradients`: theirs are 0 where the mask is, ours need not be."""
        hidden = self._placed({key: 1 - self._mask(arrays, key) for key in self.places})
        ((ours, theirs),) = super().gradients(ours, arrays)
        return [(ours * (1 - hidden.reshape(ours.shape)), theirs)]


@dataclass(frozen=True)
class Part(Places):
    """As `Places`, of arrays whose other numbers are in other parameters."""

    def unread(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        return np.zeros(0)


@dataclass(frozen=True)
class Sum(Copied):
    """The sum of arrays: theirs are several terms where ours is one."""

    terms: tuple[Places, ...]

    def read(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        parts = [term.read(arrays, prefix) for term in self.terms]
        if prefix:  # each has the gradient of the sum
            for part in parts[1:]:
                np.testing.assert_allclose(part, parts[0], rtol=1e-9, atol=1e-12)
            return parts[0]
        return sum(parts[1:], parts[0])

    def unread(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        return np.zeros(0)


@dataclass(frozen=True)
class Periodic:
    """A first weight that reads cosine and sine of each feature, where theirs reads one mixture of
    the two: ours[:, (2 j, 2 j + 1)] = weight[:, j] mixture[j, (1, 0)]."""

    weight: Places  # [rows, features]
    features: int
    mixture: str  # key of [features, (sine, cosine)]

    def _parts(self, arrays: dict[str, np.ndarray], prefix: str) -> tuple[np.ndarray, np.ndarray]:
        weight = self.weight.read(arrays, prefix).reshape(-1, self.features)
        return weight, arrays[prefix + self.mixture][: self.features, ::-1]

    def read(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        weight, mixture = self._parts(arrays, prefix)
        return weight[:, :, None] * mixture

    def gradients(
        self, ours: np.ndarray, arrays: dict[str, np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """As `Copied.gradients`: on to their weight and mixture, by the product rule."""
        weight, mixture = self._parts(arrays, "")
        ours = ours.reshape(-1, self.features, 2)
        carried = (ours * mixture).sum(axis=2), (ours * weight[:, :, None]).sum(axis=0)
        return list(zip(carried, self._parts(arrays, "grad/"), strict=True))

    def unread(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        return arrays[prefix + self.mixture][self.features :].ravel()


@dataclass(frozen=True)
class LogDiagonal:
    """Logarithms of the magnitudes of a matrix's diagonal, or of those of several."""

    key: str

    def read(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        return np.log(np.abs(self._diagonal(arrays, prefix)))

    def _diagonal(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        return arrays[prefix + self.key].diagonal(axis1=-2, axis2=-1)

    def gradients(
        self, ours: np.ndarray, arrays: dict[str, np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """As `Copied.gradients`: d log|a| = da / a."""
        theirs = self._diagonal(arrays, "grad/")
        return [((ours.reshape(theirs.shape) / self._diagonal(arrays)), theirs)]

    def unread(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        return np.zeros(0)


@dataclass(frozen=True)
class Zeros(Copied):
    """No number of theirs: ours is 0, whatever its gradient."""

    shape: tuple[int, ...]

    def read(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        return np.zeros(self.shape)

    def gradients(
        self, ours: np.ndarray, arrays: dict[str, np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        return []

    def unread(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        return np.zeros(0)


Sources = dict[
    str, "Source | Places | Sum | Periodic | LogDiagonal | Zeros"
]  # by parameter name within the layer
