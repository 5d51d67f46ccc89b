"""What the head of an HTTP answer says of a download."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message

__all__ = ['Answer', 'read_answer']


_PART = re.compile(r'bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})')


@dataclass(frozen=True)
class Answer:
    """The head of an answer, as far as a download needs it.

    Attributes:
        status: of the answer.
        length: bytes of the body; None if it is not said.
        start: first byte that is sent; -1 unless it is a part that says so.
        total: bytes of the whole file; -1 unless it is a part that says so.
        version: what If-Range takes to ask for the same version again: a strong ETag, else the
            date of the last change; empty if there is neither.
        wait_s: what Retry-After asks for [s]; 0 if it asks for nothing, or for a date.
    """

    status: int
    length: int | None
    start: int
    total: int
    version: str
    wait_s: float


def read_answer(status: int, headers: Message) -> Answer:
    """Read the head of an answer; what is malformed counts as not said (RFC 9110)."""
    part = _PART.fullmatch(headers.get('Content-Range', '').strip())
    tag = headers.get('ETag', '').strip()
    # A weak tag says that two versions mean the same, not that their bytes are the same.
    version = tag if tag.startswith('"') else headers.get('Last-Modified', '').strip()
    return Answer(
        status=status,
        length=_number(headers.get('Content-Length')),
        start=int(part[1]) if part else -1,
        total=int(part[2]) if part else -1,
        version=version,
        wait_s=float(_number(headers.get('Retry-After')) or 0),
    )


def _number(value: str | None) -> int | None:
    value = (value or '').strip()
    return int(value) if re.fullmatch(r'[0-9]{1,18}', value) else None
