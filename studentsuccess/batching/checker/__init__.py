"""A second opinion on batches: everything recomputed from the written files, by code that shares nothing with what made
them. The standard library and numpy, and pyarrow only where a file is Parquet or zstd."""

from studentsuccess.batching.checker.judge import Broken, Verified, verify

__all__ = ["Broken", "Verified", "verify"]
