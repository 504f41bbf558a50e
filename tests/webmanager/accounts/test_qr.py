"""The picture for the authenticator, read back by another way than it was drawn."""

from __future__ import annotations

import pytest

from webmanager.accounts import qr

# ISO/IEC 18004, tables C.1 and D.1.
FORMATS = ["111011111000100", "111001011110011", "111110110101010", "111100010011101", "110011000101111",
           "110001100011000", "110110001000001", "110100101110110"]  # fmt: skip
VERSIONS = {7: "000111110010010100", 8: "001000010110111100", 9: "001001101010011001", 10: "001010010011010011"}
# (data, correction, blocks), table 9.
BLOCKS = {1: (19, 7, 1), 2: (34, 10, 1), 3: (55, 15, 1), 4: (80, 20, 1), 5: (108, 26, 1), 6: (136, 18, 2),
          7: (156, 20, 2), 8: (194, 24, 2), 9: (232, 30, 2), 10: (274, 18, 4)}  # fmt: skip


def shown(bits: list[bool]) -> str:
    return "".join("01"[bit] for bit in reversed(bits))


def test_words_about_itself_are_those_of_the_standard():
    assert [shown(qr.format_bits(mask)) for mask in range(8)] == FORMATS
    assert {number: shown(qr.version_bits(number)) for number in VERSIONS} == VERSIONS


def read(grid: qr.Matrix) -> bytes:
    """What a reader does when nothing is dirty."""
    size = len(grid)
    number = (size - 17) // 4
    around = [(8, x) for x in (0, 1, 2, 3, 4, 5, 7)] + [(8, 8)] + [(y, 8) for y in (7, 5, 4, 3, 2, 1, 0)]
    split = [(size - 1 - n, 8) for n in range(7)] + [(8, size - 8 + n) for n in range(8)]
    first, second = ("".join("01"[grid[y][x]] for y, x in places) for places in (around, split))
    assert first == second
    mask = FORMATS.index(first)
    free = free_places(number, size)
    turned = [
        lambda i, j: (i + j) % 2, lambda i, j: i % 2, lambda i, j: j % 3, lambda i, j: (i + j) % 3,
        lambda i, j: (i // 2 + j // 3) % 2, lambda i, j: (i * j) % 2 + (i * j) % 3,
        lambda i, j: ((i * j) % 2 + (i * j) % 3) % 2, lambda i, j: ((i + j) % 2 + (i * j) % 3) % 2,
    ][mask]  # fmt: skip
    bits = "".join("01"[grid[y][x] ^ (turned(y, x) == 0)] for y, x in free)
    words = [int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8)]
    data = deinterleaved(number, words)
    text = "".join(f"{word:08b}" for word in data)
    assert text[:4] == "0100"
    counter = 8 if number < 10 else 16
    length = int(text[4 : 4 + counter], 2)
    body = text[4 + counter : 4 + counter + 8 * length]
    return bytes(int(body[at : at + 8], 2) for at in range(0, len(body), 8))


def free_places(number: int, size: int) -> list[tuple[int, int]]:
    centres = {1: [], 2: [6, 18], 3: [6, 22], 4: [6, 26], 5: [6, 30], 6: [6, 34], 7: [6, 22, 38], 8: [6, 24, 42],
               9: [6, 26, 46], 10: [6, 28, 50]}[number]  # fmt: skip
    taken = {(y, 6) for y in range(size)} | {(6, x) for x in range(size)}
    for y0, x0 in ((0, 0), (0, size - 8), (size - 8, 0)):
        taken |= {(y, x) for y in range(y0, y0 + 8) for x in range(x0, x0 + 8)}
    taken |= {(8, x) for x in (*range(9), *range(size - 8, size))} | {
        (y, 8) for y in (*range(9), *range(size - 8, size))
    }
    for cy in centres:
        for cx in centres:
            if (cy, cx) not in ((6, 6), (6, size - 7), (size - 7, 6)):
                taken |= {(cy + dy, cx + dx) for dy in range(-2, 3) for dx in range(-2, 3)}
    if number >= 7:
        taken |= {(y, x) for y in range(6) for x in range(size - 11, size - 8)}
        taken |= {(y, x) for y in range(size - 11, size - 8) for x in range(6)}
    columns = [*range(size - 1, 6, -2), 5, 3, 1]
    found = []
    for n, right in enumerate(columns):
        rows = range(size - 1, -1, -1) if n % 2 == 0 else range(size)
        found += [(y, x) for y in rows for x in (right, right - 1) if (y, x) not in taken]
    return found


def deinterleaved(number: int, words: list[int]) -> list[int]:
    """Also checks that each block is divisible by the generator: all syndromes are 0."""
    data, correction, count = BLOCKS[number]
    sizes = [data // count + (n >= count - data % count) for n in range(count)]
    blocks: list[list[int]] = [[] for _ in range(count)]
    at = 0
    for n in range(max(sizes)):
        for block, size in zip(blocks, sizes, strict=True):
            if n < size:
                block.append(words[at])
                at += 1
    whole = [list(block) for block in blocks]
    for _ in range(correction):
        for block in whole:
            block.append(words[at])
            at += 1
    assert at == len(words)
    powers = [1]
    for _ in range(254):
        doubled = powers[-1] << 1
        powers.append(doubled ^ 0x11D if doubled & 0x100 else doubled)
    logs = {value: n for n, value in enumerate(powers)}
    for block in whole:
        for root in range(correction):
            syndrome = 0
            for word in block:
                syndrome = (powers[(logs[syndrome] + root) % 255] if syndrome else 0) ^ word
            assert syndrome == 0
    return [word for block in blocks for word in block]


@pytest.mark.parametrize("length", [1, 17, 32, 53, 78, 106, 134, 154, 192, 230, 271])
def test_text_is_read_back(length):
    """The longest text of each version."""
    text = "".join(chr(33 + n * 7 % 90) for n in range(length))
    found = qr.matrix(text)
    assert found is not None
    assert read(found) == text.encode()


def test_what_is_too_long_has_no_picture():
    assert qr.matrix("x" * 272) is None
    assert qr.svg("x" * 272) == ""


def test_picture_is_plain():
    picture = qr.svg("otpauth://totp/x?secret=ABC")
    assert picture.startswith("<svg ")
    assert "style=" not in picture
    assert "otpauth" not in picture
