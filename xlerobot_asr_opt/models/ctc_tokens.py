"""The file of tokens beside a CTC model: tokens.txt of sherpa-onnx, or FunASR's tokens.json.

tokens.txt has a line ``piece id`` for each token; a line with an id alone is the space.
"""

from __future__ import annotations

from pathlib import Path

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.untrusted import parse_json

__all__ = ['read_pieces', 'tokens_file']

_NAMES = ('tokens.txt', 'tokens.json')


def tokens_file(directory: Path) -> Path | None:
    """The file of tokens in a directory; None if there is none."""
    return next((directory / name for name in _NAMES if (directory / name).is_file()), None)


def read_pieces(path: Path) -> tuple[str, ...]:
    """Text of each token by its number.

    Raises:
        ModelError: it cannot be read, a line is no ``piece id``, or a number is missing or twice.
    """
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f'{path}: cannot be read as UTF-8: {error}; get it again') from error
    if path.suffix == '.json':
        return _from_json(path, text)
    pieces: dict[int, str] = {}
    # Only a line feed ends a line: pieces may be other characters that end lines, too.
    for number, line in enumerate(text.split('\n'), 1):
        if line.strip(' \t\r'):
            piece, token = _line(path, number, line)
            if token in pieces:
                raise ModelError(f'{path}, line {number}: token {token} is there twice')
            pieces[token] = piece
    if sorted(pieces) != list(range(len(pieces))) or not pieces:
        raise ModelError(
            f'{path}: got {len(pieces)} tokens, expected each number from 0 to the last; '
            'get it again')
    return tuple(pieces[token] for token in range(len(pieces)))


def _line(path: Path, number: int, line: str) -> tuple[str, int]:
    fields = [field for field in line.replace('\t', ' ').strip(' \r').split(' ') if field]
    piece, token = (' ', fields[0]) if len(fields) == 1 else (fields[0], fields[1])
    if len(fields) > 2 or not (token.isascii() and token.isdigit() and len(token) < 10):
        raise ModelError(f'{path}, line {number}: got {line!r}, expected a piece and its number')
    return piece, int(token)


def _from_json(path: Path, text: str) -> tuple[str, ...]:
    try:
        content = parse_json(text)
    except ValueError as error:
        raise ModelError(f'{path}: cannot be read as JSON: {error}; get it again') from error
    if (not isinstance(content, list) or not content
            or not all(isinstance(piece, str) for piece in content)):
        raise ModelError(f'{path}: expected a JSON list of strings, one a token')
    return tuple(content)
