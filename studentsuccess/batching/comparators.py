"""What others do, to be compared with: their clusters, brought to the sizes that are allowed."""

from __future__ import annotations

import numpy as np

from studentsuccess.batching.group_part import Part, batch_sums
from studentsuccess.batching.instance import Floats, Ints
from studentsuccess.batching.kmeans import fit_sizes, kmeans
from studentsuccess.batching.sizes import near_equal
from studentsuccess.batching.swaps import Patience

# Beyond so many students in a cell, a table of all pairs takes gigabytes and its eigenvectors minutes.
MOST = 6000


def compared(name: str, part: Part, batches: int, rng: np.random.Generator, patience: Patience) -> Ints:
    """Labels by k-means with sizes, by spectral or by hierarchical clustering."""
    if name == "kmeans" or part.count > MOST:
        return kmeans(part, batches, rng, patience.iterations)[0]
    found = (_spectral if name == "spectral" else _hierarchical)(part, batches, rng)
    return to_sizes(part, found, batches)


def to_sizes(part: Part, labels: Ints, batches: int) -> Ints:
    """Everyone where the mean of the cluster is nearest, with sizes as equal as can be."""
    means = batch_sums(part, labels, batches) / np.maximum(np.bincount(labels, minlength=batches), 1)[:, None]
    return fit_sizes(part.vectors @ means.T, near_equal(part.count, batches))


def _spectral(part: Part, batches: int, rng: np.random.Generator) -> Ints:
    """k-means on the leading eigenvectors of the normalised cosines."""
    from scipy.linalg import eigh
    from sklearn.cluster import KMeans

    alike = part.vectors @ part.vectors.T
    degree = 1 / np.sqrt(np.maximum(alike.sum(axis=1), 1e-12))
    last = part.count - 1
    leading = eigh(degree[:, None] * alike * degree, subset_by_index=[max(0, last - batches + 1), last])[1]
    length = np.maximum(np.linalg.norm(leading, axis=1, keepdims=True), 1e-12)
    means = KMeans(batches, n_init=4, random_state=int(rng.integers(2**31))).fit(leading / length)
    return np.asarray(means.labels_, np.int64)


def _hierarchical(part: Part, batches: int, rng: np.random.Generator) -> Ints:  # noqa: ARG001 - nothing is drawn
    """Average linkage on cosine distances."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    far: Floats = np.maximum(1 - part.vectors @ part.vectors.T, 0.0)
    np.fill_diagonal(far, 0.0)
    tree = linkage(squareform(far, checks=False), "average")
    return np.asarray(fcluster(tree, batches, "maxclust"), np.int64) - 1
