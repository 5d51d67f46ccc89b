"""Special tokens out of a tokenizer.json of the `tokenizers` library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.files import SpecialTokens
from xlerobot_asr_opt.untrusted import parse_json

__all__ = ['read_json', 'read_special_tokens']

_NAMES = {
    'end_of_text': ('endoftext',),
    'start_of_transcript': ('startoftranscript',),
    'translate': ('translate',),
    'transcribe': ('transcribe',),
    'start_of_previous': ('startofprev',),
    'no_speech': ('nospeech', 'nocaptions'),
    'no_timestamps': ('notimestamps',),
}


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ModelError: it cannot be read, or is not a JSON object.
    """
    try:
        content = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f'{path}: cannot be read as JSON: {error}') from error
    if not isinstance(content, dict):
        raise ModelError(f'{path}: got a JSON {type(content).__name__}, expected an object')
    return content


def read_special_tokens(path: Path) -> SpecialTokens:
    """The ids of Whisper's special tokens.

    Raises:
        ModelError: not a tokenizer.json, or not one of Whisper.
    """
    ids = _added_tokens(path)
    found = {field: _first(path, ids, names) for field, names in _NAMES.items()}
    # The languages lie between the start of the transcript and the first task.
    first, last = found['start_of_transcript'], found['translate']
    languages = tuple(
        (name, token)
        for name, token in sorted(ids.items(), key=lambda item: item[1])
        if first < token < last
    )
    return SpecialTokens(**found, languages=languages)


def _added_tokens(path: Path) -> dict[str, int]:
    added = read_json(path).get('added_tokens') or []
    if not isinstance(added, list):
        raise ModelError(f'{path}: got added_tokens {added!r}, expected a list')
    tokens: dict[str, int] = {}
    for token in added:
        match token:
            case {'content': str(content), 'id': int(number)}:
                if content.startswith('<|') and content.endswith('|>'):
                    tokens[content[2:-2]] = number
            case _:
                raise ModelError(
                    f'{path}: added_tokens has an entry {token!r}, expected content and id')
    return tokens


def _first(path: Path, ids: dict[str, int], names: tuple[str, ...]) -> int:
    for name in names:
        if name in ids:
            return ids[name]
    wanted = ' or '.join(f'<|{name}|>' for name in names)
    raise ModelError(f'{path}: has no token {wanted}: it is not the tokenizer of a Whisper')
