"""Student Success: who needs help, why, and what helping is worth."""

__version__ = "0.1.0"
