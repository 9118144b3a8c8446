"""Texts that are hard on a CSV reader: quotes, line ends and letters in any order."""

from __future__ import annotations

import re

# A physical line with its end: LF, CRLF or a CR alone.
LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
LINE_ENDS = ["\n", "\r\n", "\r"]
QUOTES = ['"', '""', '"x"', ',"', '",', '"\n', '"a\nb"']
PIECES = ["a", "bc", " ", "é", "物", ",", *LINE_ENDS, *QUOTES, '"a""b"', '"\r\n']
