"""The program's door: decided here, once, is what must hold before anything is imported."""

from __future__ import annotations

import os
import signal
import sys

SWITCH_SECONDS = 0.0002
BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def main() -> None:
    """Run `ss` as a process: one BLAS thread, quiet ends for pipes and signals, an exit code from the table."""
    for name in BLAS_THREADS:
        os.environ.setdefault(name, "1")
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    _keep_freed_memory()
    # Workers hold the interpreter for moments between long calls into C. By default one that is done waits 5 ms for it.
    sys.setswitchinterval(SWITCH_SECONDS)
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if usual:  # a Ctrl-C while modules load ends the process at once, without a traceback
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from studentsuccess.cli.app import run_process

    if usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(run_process())


def _keep_freed_memory() -> None:
    """Let glibc reuse large blocks: returned to the kernel and faulted in again they cost a sixth of a load's CPU."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    m_trim_threshold, m_mmap_threshold, limit = -1, -3, 256 << 20
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(m_mmap_threshold, limit)
        mallopt(m_trim_threshold, limit)


if __name__ == "__main__":
    main()
