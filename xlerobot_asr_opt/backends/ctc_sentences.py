"""Reads the file of a grammar: a list of sentences, or a part of JSGF, written out to sentences.

A file that begins with ``#JSGF`` has rules ``[public] <name> = ... ;`` of words, ``|``, groups in
``( )``, optional parts in ``[ ]`` and names of other rules in ``< >``. What is public may be said.
Repetition (``*``, ``+``), weights, tags and imports are refused: the set of sentences must be
finite. Any other file has one sentence a line; empty lines and those that begin with # are left
out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

from xlerobot_asr_opt.errors import ConfigurationError

__all__ = ['MOST_SENTENCES', 'read_sentences']

MOST_SENTENCES = 20_000
"""Sentences that a grammar may stand for."""

_COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/', re.DOTALL)
_SYMBOL = re.compile(r'\s*(<[^<>\s]+>|[|()\[\]=;]|[^\s|()\[\]=;<>]+|\S)')
_DECLARATION = re.compile(r'\s*grammar\s+[\w.]+\s*;')
_REFUSED = re.compile(r'[*+{}/"<>]|import')


def read_sentences(path: Path) -> tuple[str, ...]:
    """Sentences of a grammar, each once.

    Raises:
        ConfigurationError: the file cannot be read, has no sentence or too many, or its JSGF is
            not valid.
    """
    try:
        text = path.read_text(encoding='utf-8-sig')
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f'grammar {path}: {error}') from error
    if text.startswith('#JSGF'):
        found = _Rules(path, text.partition('\n')[2]).sentences()
    else:
        lines = (line.strip() for line in text.splitlines())
        found = [line for line in lines if line and not line.startswith('#')]
    sentences = tuple(dict.fromkeys(' '.join(sentence.split()) for sentence in found))
    if not any(sentences):
        raise ConfigurationError(f'grammar {path}: got no sentence, expected at least one')
    if len(sentences) > MOST_SENTENCES:
        raise ConfigurationError(
            f'grammar {path}: got {len(sentences)} sentences, expected at most {MOST_SENTENCES}')
    return tuple(filter(None, sentences))


class _Rules:
    """The rules of one JSGF file.

    Args:
        path: for the messages of errors.
        text: without the first line.
    """

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        text = _DECLARATION.sub('', _COMMENT.sub(' ', text), count=1)
        self._rules: dict[str, list[str]] = {}
        self._public: list[str] = []
        for rule in text.split(';')[:-1]:
            self._read(_SYMBOL.findall(rule))
        rest = text.rpartition(';')[2].strip()
        if rest or not self._public:
            self._refuse(f'{rest!r} has no ; at its end' if rest else 'no rule is public')

    def sentences(self) -> list[str]:
        """All sentences of the public rules."""
        return [sentence for name in self._public for sentence in self._rule(name, ())]

    def _refuse(self, why: str) -> NoReturn:
        raise ConfigurationError(f'grammar {self._path}: {why}')

    def _read(self, symbols: list[str]) -> None:
        public = symbols[:1] == ['public']
        name, equals = (*symbols[public:public + 2], '', '')[:2]
        body = symbols[public + 2:]
        if not name.startswith('<') or equals != '=' or not body:
            self._refuse(f'got {" ".join(symbols)!r}, expected <name> = words ;')
        for symbol in body:
            if not symbol.startswith('<') and _REFUSED.search(symbol):
                self._refuse(f'got {symbol!r} in {name}, expected words, |, ( ), [ ] and <names>')
        if name in self._rules:
            self._refuse(f'{name} is defined twice')
        self._rules[name] = body
        if public:
            self._public.append(name)

    def _rule(self, name: str, within: tuple[str, ...]) -> list[str]:
        if name in within:
            self._refuse(f'{name} contains itself, expected a finite set of sentences')
        if name not in self._rules:
            self._refuse(f'{name} is not defined')
        symbols = list(self._rules[name])
        found = self._alternatives(symbols, (*within, name))
        if symbols:
            self._refuse(f'got {symbols[0]!r} in {name} where it closes nothing')
        return found

    def _alternatives(self, symbols: list[str], within: tuple[str, ...]) -> list[str]:
        """Take alternatives off the front, up to what closes them."""
        found = self._sequence(symbols, within)
        while symbols[:1] == ['|']:
            del symbols[0]
            found = found + self._sequence(symbols, within)
        return found

    def _sequence(self, symbols: list[str], within: tuple[str, ...]) -> list[str]:
        found = ['']
        while symbols and symbols[0] not in ('|', ')', ']'):
            parts = self._part(symbols, within)
            if len(found) * len(parts) > MOST_SENTENCES:
                self._refuse(f'stands for more than {MOST_SENTENCES} sentences')
            found = [f'{before} {after}'.strip() for before in found for after in parts]
        return found

    def _part(self, symbols: list[str], within: tuple[str, ...]) -> list[str]:
        symbol = symbols.pop(0)
        if symbol.startswith('<'):
            return self._rule(symbol, within)
        if symbol not in ('(', '['):
            return [symbol]
        parts = self._alternatives(symbols, within)
        closing = ')' if symbol == '(' else ']'
        if symbols[:1] != [closing]:
            self._refuse(f'{symbol} in {within[-1]} is not closed by {closing}')
        del symbols[0]
        return parts if symbol == '(' else [*parts, '']
