"""What a recogniser needs to know of a model on disk, whatever layout it has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ['Dims', 'Layout', 'ModelFiles', 'SpecialTokens']

Layout = Literal['own', 'hub']


@dataclass(frozen=True)
class Dims:
    """Sizes of one Whisper.

    Attributes:
        mel_bins: bins of the log-mel.
        width: width of the residual stream.
        heads: attention heads of the decoder; each is width / heads wide.
        decoder_layers: layers of the decoder.
        vocabulary: tokens, that is logits.
        audio_positions: longest encoder output; twice as many mel frames.
        text_positions: longest token sequence, prompt included.
    """

    mel_bins: int
    width: int
    heads: int
    decoder_layers: int
    vocabulary: int
    audio_positions: int
    text_positions: int

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads

    @property
    def frames(self) -> int:
        """Longest window in mel frames of 10 ms."""
        return 2 * self.audio_positions


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of the tokens that steer Whisper.

    Attributes:
        end_of_text: ends a transcript.
        start_of_transcript: begins every prompt.
        translate: task: translate into English.
        transcribe: task: transcribe.
        start_of_previous: begins the text before, if one is given.
        no_speech: its probability after start_of_transcript is the no-speech probability.
        no_timestamps: last token of a prompt without timestamps; ids above it are timestamps of 20
            ms steps.
        languages: pairs of ISO 639 code and token; multilingual models want one in the prompt.
    """

    end_of_text: int
    start_of_transcript: int
    translate: int
    transcribe: int
    start_of_previous: int
    no_speech: int
    no_timestamps: int
    languages: tuple[tuple[str, int], ...]

    def language(self, code: str) -> int | None:
        """The token of a language, or None."""
        return dict(self.languages).get(code)


@dataclass(frozen=True)
class ModelFiles:
    """A Whisper that lies on disk and was checked.

    Attributes:
        name: name in the catalog, or of its directory.
        family: `whisper`.
        layout: `own` (docs/models.md) or `hub` (encoder_model.onnx and decoder_model*.onnx).
        encoder: graph of the encoder.
        decoder: graph of the decoder; in the hub layout the merged one, or the one without a
            cache.
        decoder_with_past: hub layout only: the decoder of every step after the first; None if
            merged or missing.
        decoder_is_merged: hub layout only: the decoder has the input use_cache_branch.
        tokenizer: tokenizer.json.
        dims: sizes.
        tokens: special tokens.
        multilingual: the prompt wants a language and a task.
        languages: ISO 639 codes that the model understands.
        suppress: tokens that are never part of a transcript.
        suppress_at_begin: tokens that are not its first.
        digest: BLAKE2b-256 over names and hashes of all its files.
    """

    name: str
    family: Literal['whisper']
    layout: Layout
    encoder: Path
    decoder: Path
    decoder_with_past: Path | None
    decoder_is_merged: bool
    tokenizer: Path
    dims: Dims
    tokens: SpecialTokens
    multilingual: bool
    languages: tuple[str, ...]
    suppress: tuple[int, ...]
    suppress_at_begin: tuple[int, ...]
    digest: bytes
