"""Student Success: who needs help, why, and what helping is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from studentsuccess.api import (
        compare,
        etl,
        etl_generated,
        etl_mended,
        explain,
        explain_row,
        list_models,
        model,
        process_student_batching,
        promote,
        quick_batch_processing,
        score,
        train,
        validate_batch_processing_inputs,
        verify,
        verify_batches,
    )
    from studentsuccess.errors import ExitCode, SsError

# Where each public name lives: imported when it is first used, so that `ss --help` pays for none of them.
_PLACES = {
    "compare": "studentsuccess.api",
    "etl": "studentsuccess.api",
    "etl_generated": "studentsuccess.api",
    "etl_mended": "studentsuccess.api",
    "explain": "studentsuccess.api",
    "explain_row": "studentsuccess.api",
    "list_models": "studentsuccess.api",
    "model": "studentsuccess.api",
    "process_student_batching": "studentsuccess.api",
    "promote": "studentsuccess.api",
    "quick_batch_processing": "studentsuccess.api",
    "score": "studentsuccess.api",
    "train": "studentsuccess.api",
    "validate_batch_processing_inputs": "studentsuccess.api",
    "verify": "studentsuccess.api",
    "verify_batches": "studentsuccess.api",
    "ExitCode": "studentsuccess.errors",
    "SsError": "studentsuccess.errors",
}
__all__ = [
    "ExitCode",
    "SsError",
    "__version__",
    "compare",
    "etl",
    "etl_generated",
    "etl_mended",
    "explain",
    "explain_row",
    "list_models",
    "model",
    "process_student_batching",
    "promote",
    "quick_batch_processing",
    "score",
    "train",
    "validate_batch_processing_inputs",
    "verify",
    "verify_batches",
]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
