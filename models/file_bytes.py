"""The bytes of a data file: unpacked, hashed, and in UTF-8."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import lzma
import zlib
from pathlib import Path
from typing import NamedTuple

from models.errors import DatasetError
from models.spec_data import Data

NEWLINE = b"\n"
_BLOCK = 1 << 22
# The first bytes of files that are no text, and the advice.
_KINDS = (
    (b"\x1f\x8b", 'is packed by gzip: write compression = "gz"'),
    (b"\xfd7zXZ\x00", 'is packed by xz: write compression = "xz"'),
    (b"PK\x03\x04", "is a zip archive or an Excel workbook: unpack it, or save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "is an Excel workbook: save it as CSV"),
    (b"PAR1", 'is a Parquet file: write format = "parquet"'),
    (b"SQLite format 3\0", "is a SQLite database: write its table as CSV or Parquet"),
    (b"ARROW1\0\0", "is an Arrow file: convert it to Parquet"),
    (b"\x89HDF\r\n", "is an HDF5 file: convert it to CSV or Parquet"),
    (b"<stata_dta>", "is a Stata file: convert it to CSV or Parquet"),
    (b"%PDF-", "is a PDF document: convert it to CSV"),
    (b"BZh", "is packed by bzip2: unpack it"),
    (b"\x28\xb5\x2f\xfd", "is packed by zstd: unpack it"),
)


class FileBytes(NamedTuple):
    """The content of a data file, and the sha256 of the unpacked file."""

    content: bytes
    sha256: str


def read(data: Data) -> FileBytes:
    """Read the file, unpack it, and check its sha256 if the spec has one.

    Raises DatasetError for a file that cannot be read, breaks off, or differs.
    """
    content = _unpacked(data.path, data.compression)
    digest = hashlib.sha256(content).hexdigest()
    if data.sha256 is not None and digest != data.sha256:
        raise DatasetError(f"{data.path.name}: sha256 is {digest}, the spec expects {data.sha256}")
    return FileBytes(content, digest)


def text(data: Data, content: bytes) -> bytes:
    """The content of a text file in UTF-8, without a byte order mark and with plain line ends."""
    for start, advice in _KINDS:
        if content.startswith(start):
            raise DatasetError(f"{data.path.name}: {advice}")
    try:
        encoding = codecs.lookup(data.encoding).name
        decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)()
    except (LookupError, ValueError, TypeError) as error:
        raise DatasetError(
            f"{data.path.name}: data.encoding {data.encoding!r} is not a known encoding"
        ) from error
    keep = encoding == "utf-8" and not content.startswith(codecs.BOM_UTF8)
    recoded = _recoded(data, content, decoder, keep)
    content = content if keep else recoded
    if b"\0" in content[:_BLOCK]:
        raise DatasetError(
            f'{data.path.name}: is not text; if it is UTF-16, write encoding = "utf-16"'
        )
    if b"\n" not in content and b"\r" in content:
        content = content.replace(b"\r", b"\n")
    return content


def _recoded(
    data: Data, content: bytes, decoder: codecs.IncrementalDecoder, only_check: bool
) -> bytes:
    """The content in UTF-8, or only a check of it, in blocks: a text of its own would take up to
    four times the file."""
    out = io.BytesIO()
    for start in range(0, len(content) + 1, _BLOCK):
        try:
            block = decoder.decode(content[start : start + _BLOCK], start + _BLOCK > len(content))
            if not only_check:
                out.write(block.encode("utf-8"))
        except ValueError as error:
            at = start + (error.start if isinstance(error, UnicodeDecodeError) else 0)
            raise DatasetError(
                f"{data.path.name}: line {content.count(NEWLINE, 0, at) + 1} is not text in "
                f'{data.encoding}; write the encoding of the file, such as encoding = "cp1252" or '
                '"gb18030"'
            ) from error
    return out.getvalue()


def _unpacked(path: Path, compression: str) -> bytes:
    try:
        if compression == "xz":
            with lzma.open(path) as packed:
                return packed.read()
        if compression == "gz":
            with gzip.open(path) as packed:
                return packed.read()
        return path.read_bytes()
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise DatasetError(
            f"{path}: cannot be read: it breaks off or is damaged ({error}); fetch it again"
        ) from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from error
