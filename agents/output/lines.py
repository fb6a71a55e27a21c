"""From the bytes of a program's output to lines of text."""

import codecs

# A longer line is split: no reader has to hold more than this at once.
LINE_BYTES = 64 * 1024


class LineSplitter:
    """Cuts one stream's bytes, however they arrive, into lines; keeps the unfinished rest."""

    def __init__(self, rest: bytes = b"") -> None:
        self.rest = rest

    def feed(self, received: bytes) -> list[str]:
        """Return the lines that are complete now."""
        whole, end, rest = (self.rest + received).rpartition(b"\n")
        lines = _lines(whole) if end else []
        # A carriage return right behind a full line may be half of its end.
        while len(rest.removesuffix(b"\r")) > LINE_BYTES:
            cut = _boundary(rest)
            lines.append(decode(rest[:cut]))
            rest = rest[cut:]
        self.rest = rest
        return lines

    def finish(self) -> list[str]:
        """Return what was written without a newline at its end."""
        rest, self.rest = self.rest, b""
        return [decode(rest.removesuffix(b"\r"))] if rest else []


def decode(line: bytes) -> str:
    """Undecodable bytes are replaced, and NUL, which PostgreSQL cannot store."""
    return codecs.decode(line, "utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _lines(whole: bytes) -> list[str]:
    lines = whole.split(b"\n")
    if b"\r\n" not in whole and not whole.endswith(b"\r") and max(map(len, lines)) <= LINE_BYTES:
        # Most of what is ever printed: decoded at once, which is many times faster.
        return decode(whole).split("\n")
    return [decode(piece) for line in lines for piece in _pieces(line.removesuffix(b"\r"))]


def _pieces(line: bytes) -> list[bytes]:
    pieces = []
    while len(line) > LINE_BYTES:
        cut = _boundary(line)
        pieces.append(line[:cut])
        line = line[cut:]
    return [*pieces, line]


def _boundary(line: bytes) -> int:
    """Where to cut a line that is too long: not inside a character of several bytes."""
    cut = LINE_BYTES
    while cut > LINE_BYTES - 4 and line[cut] & 0xC0 == 0x80:
        cut -= 1
    return cut
