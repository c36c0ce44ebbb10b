"""Guesses the encoding of a text: UTF-8, UTF-16, a Western one or a Chinese one.

A text that is no UTF-8 may be Western or Chinese, and often both decode it: `Köln` is `K鰈n` in
gb18030. So the runs of bytes beyond ASCII are looked at. In a Western text they are one byte long,
seldom two, and stand within words. In a Chinese text they are pairs of bytes, mostly those of the
common characters, and seldom stand beside ASCII letters.
"""

from __future__ import annotations

import codecs
import re
from itertools import islice

import numpy as np

_BLOCK = 1 << 18
_RUN = re.compile(rb"[\x80-\xff]+")
# The runs that are looked at: each different one counts once, so that no value that many rows have
# outvotes all the others.
_RUNS = 100_000
_CHINESE = "gb18030"
# Encodings that only the name of the label tells.
_FURTHER = ("cp1250", "cp1251", "cp1254", "big5", "shift_jis", "cp949", "mac_roman")
# Of UTF-16, this share of the bytes at even or at odd places is 0, and hardly one at the others.
_ZEROS, _OTHER_ZEROS = 0.25, 0.01
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")
)  # fmt: skip
_ANY, _NO_LETTER, _LETTER = rb"[\x00-\x7f]?", rb"[\x00-@\[-`{-\x7f]?", rb"[A-Za-z]"
_NO_CAPITAL, _NO_SMALL = rb"[\x00-@\[-\x7f]?", rb"[\x00-`{-\x7f]?"
_AFTER_ONE, _AFTER_SMALL = rb"[\x00-?A-Z_a-z|]?", rb"[\x00-?_a-z|]?"
_SMALL, _CAPITAL = rb"[\xdf-\xf6\xf8-\xff]", rb"[\xc0-\xd6\xd8-\xde]"
# Runs of a Western text between their neighbours: one letter or sign, two letters within a word,
# or two or three letters in the case of an ASCII letter beside them.
_WESTERN = re.compile(
    b"|".join(
        (
            _ANY + rb"[\x80\x82\x85\x8a\x8c\x8e\x91-\x97\x99\xa0-\xdf]" + _AFTER_ONE,
            _ANY + rb"[\x9a\x9c\x9e\xe0-\xff]" + _AFTER_SMALL,
            _LETTER + rb"[\x80-\xff]{2}" + _LETTER,
            _LETTER + _SMALL + rb"{2,3}" + _NO_CAPITAL,
            _NO_LETTER + _SMALL + rb"{2,3}[a-z]",
            rb"[A-Z]" + _CAPITAL + rb"{2,3}" + _NO_SMALL,
            _NO_LETTER + _CAPITAL + rb"{2,3}[A-Z]",
            _NO_LETTER + _CAPITAL + _SMALL + rb"{1,2}[a-z]",
        )
    )
)
# Letters of one case, as many as only a word in Cyrillic letters has.
_CYRILLIC = re.compile(_ANY + _CAPITAL + rb"?" + _SMALL + rb"{3,}" + _ANY)
# The common characters and the signs. Others count less, for Western letters often look like them.
_COMMON = re.compile(rb"[\xa1-\xa3\xb0-\xd7][\xa1-\xfe]")
_RARE_VOTE = 0.25


def guess(content: bytes, label: str | int) -> str:
    """The encoding of a text that has the column `label`."""
    for mark, name in _MARKS:
        if content.startswith(mark):
            return name
    if wide := _without_mark(content):
        return wide
    if _decodes(content, "utf-8"):
        return "utf-8"
    western = "cp1252" if _decodes(content, "cp1252") else "latin-1"
    likely = [western]
    if _decodes(content, _CHINESE):
        likely.insert(0 if _chinese(content) else 1, _CHINESE)
    if isinstance(label, str) and not label.isascii():
        for name in (*likely, *_FURTHER):
            if _has(content, label, name) and (name in likely or _decodes(content, name)):
                return name
    return likely[0]


def _has(content: bytes, label: str, encoding: str) -> bool:
    try:
        return label.encode(encoding) in content
    except UnicodeEncodeError:
        return False


def _without_mark(content: bytes) -> str | None:
    """The kind of UTF-16 of a text without a byte order mark, by its zero bytes."""
    first = np.frombuffer(content[:_BLOCK], dtype=np.uint8)
    if len(content) % 2 or not first.shape[0]:
        return None
    even, odd = float((first[::2] == 0).mean()), float((first[1::2] == 0).mean())
    if odd >= _ZEROS and even <= _OTHER_ZEROS:
        return "utf-16-le"
    return "utf-16-be" if even >= _ZEROS and odd <= _OTHER_ZEROS else None


def _chinese(content: bytes) -> bool:
    """Whether a text that both encodings decode is rather Chinese than Western."""
    found = islice(_RUN.finditer(content), _RUNS)
    runs = {(it[0], content[max(0, it.start() - 1) : it.end() + 1]) for it in found}
    votes = 0.0
    for run, beside in runs:
        if _WESTERN.fullmatch(beside):
            votes -= 1.0
        elif len(run) % 2 == 0:
            pairs = [run[i : i + 2] for i in range(0, len(run), 2)]
            common = sum(_COMMON.fullmatch(pair) is not None for pair in pairs)
            if common or not _CYRILLIC.fullmatch(beside):
                votes += common + _RARE_VOTE * (len(pairs) - common)
        elif not _CYRILLIC.fullmatch(beside):
            votes += _RARE_VOTE * (len(run) + 1)
    return votes > 0.0


def _decodes(content: bytes, encoding: str) -> bool:
    """Whether a text is one in this encoding.

    It is decoded in blocks: as one text it would take up to four times the memory.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for start in range(0, len(content) + 1, _BLOCK):
            part = content[start : start + _BLOCK]
            decoder.decode(part, final=start + _BLOCK > len(content))
    except UnicodeDecodeError:
        return False
    return True
