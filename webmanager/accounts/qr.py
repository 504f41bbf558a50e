"""A QR code (ISO/IEC 18004) of a short text as a picture: byte mode, error correction L, versions 1 to 10.

Rules of this file
- A matrix is rows of booleans, dark is True; `None` is a place that data may take.
- Data runs in columns of two from the right bottom, up and down in turn, and leaves out the timing column.
- All eight masks are tried; the one that the standard's four penalties like best is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

Matrix = list[list[bool]]


class _Version(NamedTuple):
    data: int  # codewords of data
    correction: int  # codewords of error correction in each block
    blocks: int
    centres: tuple[int, ...]  # of the alignment patterns, in both directions


_VERSIONS = (
    _Version(19, 7, 1, ()), _Version(34, 10, 1, (6, 18)), _Version(55, 15, 1, (6, 22)), _Version(80, 20, 1, (6, 26)),
    _Version(108, 26, 1, (6, 30)), _Version(136, 18, 2, (6, 34)), _Version(156, 20, 2, (6, 22, 38)),
    _Version(194, 24, 2, (6, 24, 42)), _Version(232, 30, 2, (6, 26, 46)), _Version(274, 18, 4, (6, 28, 50)),
)  # fmt: skip
_MASKS: tuple[Callable[[int, int], bool], ...] = (
    lambda y, x: (y + x) % 2 == 0,
    lambda y, x: y % 2 == 0,
    lambda y, x: x % 3 == 0,
    lambda y, x: (y + x) % 3 == 0,
    lambda y, x: (y // 2 + x // 3) % 2 == 0,
    lambda y, x: y * x % 2 + y * x % 3 == 0,
    lambda y, x: (y * x % 2 + y * x % 3) % 2 == 0,
    lambda y, x: ((y + x) % 2 + y * x % 3) % 2 == 0,
)
_QUIET = 4  # modules of white around it


def matrix(text: str) -> Matrix | None:
    """None when the text is too long."""
    data = text.encode()
    for number, version in enumerate(_VERSIONS, 1):
        counter = 8 if number < 10 else 16
        if 4 + counter + 8 * len(data) <= 8 * version.data:
            return _drawn(number, version, _codewords(version, data, counter))
    return None


def svg(text: str) -> str:
    """ "" when the text is too long. Without style, script and outside things, so that it may stand in a page."""
    found = matrix(text)
    if found is None:
        return ""
    size = len(found) + 2 * _QUIET
    dots = "".join(
        f"M{x + _QUIET},{y + _QUIET}h1v1h-1z" for y, row in enumerate(found) for x, dark in enumerate(row) if dark
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" role="img" aria-label="QR" '
        f'shape-rendering="crispEdges"><path fill="#fff" d="M0,0h{size}v{size}h-{size}z"/>'
        f'<path fill="#000" d="{dots}"/></svg>'
    )


# Codewords.


def _codewords(version: _Version, data: bytes, counter: int) -> bytes:
    bits = f"0100{len(data):0{counter}b}" + "".join(f"{byte:08b}" for byte in data)
    bits += "0" * min(4, 8 * version.data - len(bits))
    bits += "0" * (-len(bits) % 8)
    words = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    words += bytes((0xEC, 0x11)[n % 2] for n in range(version.data - len(words)))
    return _interleaved(version, words)


def _interleaved(version: _Version, words: bytes) -> bytes:
    short, longer = divmod(version.data, version.blocks)
    blocks, at = [], 0
    for number in range(version.blocks):
        size = short + (number >= version.blocks - longer)
        blocks.append(words[at : at + size])
        at += size
    corrections = [_correction(block, version.correction) for block in blocks]
    mixed = bytes(block[n] for n in range(short + 1) for block in blocks if n < len(block))
    return mixed + bytes(one[n] for n in range(version.correction) for one in corrections)


def _multiplied(a: int, b: int) -> int:
    """In GF(256) over x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    for shift in range(7, -1, -1):
        product = (product << 1) ^ ((product >> 7) * 0x11D)
        product ^= ((b >> shift) & 1) * a
    return product


def _correction(block: bytes, count: int) -> bytes:
    """The remainder of Reed and Solomon."""
    generator, root = [0] * (count - 1) + [1], 1
    for _ in range(count):
        for n in range(count):
            generator[n] = _multiplied(generator[n], root) ^ (generator[n + 1] if n + 1 < count else 0)
        root = _multiplied(root, 2)
    rest = [0] * count
    for word in block:
        factor = word ^ rest[0]
        rest = [one ^ _multiplied(part, factor) for one, part in zip([*rest[1:], 0], generator, strict=True)]
    return bytes(rest)


# Drawing.


def _drawn(number: int, version: _Version, words: bytes) -> Matrix:
    patterns = _patterns(number, version)
    bits = [word >> shift & 1 == 1 for word in words for shift in range(7, -1, -1)]
    places = list(_places(patterns))
    made = []
    for mask, is_turned in enumerate(_MASKS):
        full = [[bool(dark) for dark in row] for row in patterns]
        for n, (y, x) in enumerate(places):
            # What is left over after the last codeword is light before it is masked.
            full[y][x] = (bits[n] if n < len(bits) else False) != is_turned(y, x)
        _format(full, mask)
        made.append(full)
    return min(made, key=_penalty)


def _patterns(number: int, version: _Version) -> list[list[bool | None]]:
    size = 17 + 4 * number
    grid: list[list[bool | None]] = [[None] * size for _ in range(size)]
    for n in range(size):
        grid[6][n] = grid[n][6] = n % 2 == 0
    for y, x in ((3, 3), (3, size - 4), (size - 4, 3)):
        _finder(grid, y, x)
    edges = {(6, 6), (6, size - 7), (size - 7, 6)}
    for y in version.centres:
        for x in version.centres:
            if (y, x) not in edges:
                for dy in range(-2, 3):
                    for dx in range(-2, 3):
                        grid[y + dy][x + dx] = max(abs(dy), abs(dx)) != 1
    _reserve(grid, number)
    return grid


def _finder(grid: list[list[bool | None]], y: int, x: int) -> None:
    for dy in range(-4, 5):
        for dx in range(-4, 5):
            if 0 <= y + dy < len(grid) and 0 <= x + dx < len(grid):
                grid[y + dy][x + dx] = max(abs(dy), abs(dx)) not in (2, 4)


def _reserve(grid: list[list[bool | None]], number: int) -> None:
    """Places of the format, which is written with the mask, and the version itself."""
    size = len(grid)
    for n in range(9):
        for y, x in ((8, n), (n, 8)):
            if grid[y][x] is None:
                grid[y][x] = False
    for n in range(8):
        grid[8][size - 1 - n] = grid[size - 1 - n][8] = False
    if number >= 7:
        for n, dark in enumerate(version_bits(number)):
            grid[n // 3][size - 11 + n % 3] = grid[size - 11 + n % 3][n // 3] = dark


def version_bits(number: int) -> list[bool]:
    """Lowest first."""
    rest = number
    for _ in range(12):
        rest = (rest << 1) ^ ((rest >> 11) * 0x1F25)
    return [(number << 12 | rest) >> n & 1 == 1 for n in range(18)]


def format_bits(mask: int) -> list[bool]:
    """Lowest first; of error correction L."""
    what = 0b01 << 3 | mask
    rest = what
    for _ in range(10):
        rest = (rest << 1) ^ ((rest >> 9) * 0x537)
    return [((what << 10 | rest) ^ 0x5412) >> n & 1 == 1 for n in range(15)]


def _format(full: Matrix, mask: int) -> None:
    """Twice: around the finder at the top left, and split over both others."""
    bits, size = format_bits(mask), len(full)
    for n, (y, x) in enumerate(
        [*((n, 8) for n in (0, 1, 2, 3, 4, 5, 7)), (8, 8), (8, 7), *((8, 5 - n) for n in range(6))]
    ):
        full[y][x] = bits[n]
    for n in range(8):
        full[8][size - 1 - n] = bits[n]
    for n in range(8, 15):
        full[size - 15 + n][8] = bits[n]
    full[size - 8][8] = True


def _places(patterns: list[list[bool | None]]) -> Iterator[tuple[int, int]]:
    size, upwards, right = len(patterns), True, len(patterns) - 1
    while right > 0:
        right -= right == 6
        for step in range(size):
            y = size - 1 - step if upwards else step
            for x in (right, right - 1):
                if patterns[y][x] is None:
                    yield y, x
        upwards, right = not upwards, right - 2


def _penalty(full: Matrix) -> int:
    size, total = len(full), 0
    lines = ["".join("01"[dark] for dark in row) for row in (*full, *map(list, zip(*full, strict=True)))]
    for line in lines:
        total += sum(len(run) - 2 for sign in "01" for run in line.split("10"[int(sign)]) if len(run) >= 5)
        padded = f"0000{line}0000"
        total += 40 * sum(padded.startswith(("00001011101", "10111010000"), at) for at in range(len(padded)))
    for y in range(size - 1):
        for x in range(size - 1):
            total += 3 * (full[y][x] == full[y][x + 1] == full[y + 1][x] == full[y + 1][x + 1])
    dark = sum(map(sum, full))
    return total + 10 * (abs(dark * 20 - size * size * 10) // (size * size))
