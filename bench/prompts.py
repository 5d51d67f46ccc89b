"""Recordings of a professional speaker, with what she says, that Debian and Ubuntu carry."""

import gzip
import hashlib
import shutil
import subprocess

from xlerobot_asr_opt.models.speech import LONGEST_S, SHORTEST_S, from_folder

PACKAGE = 'asterisk-core-sounds-en-wav'
"""Prompts of a telephone exchange, spoken by Allison Smith (CC-BY-SA 3.0)."""
_ARCHIVES = {
    PACKAGE: '2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d',
    'asterisk-core-sounds-en': '973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50',
}
"""Packages of version 1.6.1-1 and their SHA-256: the recordings, and what is said in them."""


def prompts(directory, between=(SHORTEST_S, LONGEST_S)):
    """Fetch the prompts of this length [s], unless they are there; empty if they cannot be had."""
    unpacked = directory / 'prompts'
    if not unpacked.is_dir() and not _fetch(directory / 'prompts.partial', unpacked):
        return []
    return from_folder(
        unpacked / 'usr/share/asterisk/sounds/en_US_f_Allison', unpacked / 'texts', between)


def _fetch(partial, unpacked):
    """Download both packages by name, check them, unpack them; whether it could be done."""
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for package, sha256 in _ARCHIVES.items():
        try:
            subprocess.run(['apt-get', 'download', '-q', package], cwd=partial, check=True,
                           capture_output=True, text=True)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            print(f'{package}: {getattr(error, "stderr", "") or error}; on Debian and Ubuntu run '
                  '`apt-get update` first')
            return False
        (archive,) = partial.glob(f'{package}_*.deb')
        if hashlib.sha256(archive.read_bytes()).hexdigest() != sha256:
            print(f'{archive.name} is not the version that this bench knows the texts of')
            return False
        subprocess.run(['dpkg-deb', '-x', archive, partial], check=True)
    texts = partial / 'usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz'
    (partial / 'texts').write_bytes(gzip.decompress(texts.read_bytes()))
    partial.rename(unpacked)
    return True
