"""One HTTP request of a download: what it may be answered with, and what may be tried again."""

from __future__ import annotations

import contextlib
import http.client
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import IO

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.http_answer import read_answer

__all__ = ['InterruptionError', 'RefusalError', 'from_mirror', 'read_piece', 'requested']

_PIECE = 1 << 16
_PASSING = frozenset({408, 416, 425, 429, 500, 502, 503, 504})
"""Statuses that may be another one next time (416: for another range); every other is final."""
_AGENT = 'xlerobot_asr_opt'
_HUB = 'https://huggingface.co'


class InterruptionError(Exception):
    """This request is over; the next one may go on.

    Args:
        reason: in words.
        status: of the answer; 0: there was none.
        wait_s: what the server asked to wait [s].
    """

    def __init__(self, reason: str, status: int = 0, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.wait_s = wait_s


class RefusalError(Exception):
    """The server will not answer otherwise; the message says why."""


@contextlib.contextmanager
def requested(
    address: str, headers: Mapping[str, str], stall_s: float,
) -> Iterator[http.client.HTTPResponse]:
    """Ask for an address, through the proxy that the usual variables name.

    Args:
        address: http or https.
        headers: beside those that every request has.
        stall_s: a server that says nothing for so long has stalled [s].

    Returns:
        The answer of status 200 or 206; closed at the end.

    Raises:
        InterruptionError: the network failed, or the status may pass.
        RefusalError: any other status, or a certificate that is not valid.
        ModelError: a redirect that is not followed.
    """
    # What is compressed has another length, and no ranges.
    always = {'User-Agent': _AGENT, 'Accept-Encoding': 'identity'}
    request = urllib.request.Request(address, headers={**always, **headers})  # noqa: S310
    opener = urllib.request.build_opener(_SameScheme)
    try:
        response = opener.open(request, timeout=stall_s)
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(error) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise RefusalError(f'its certificate is not valid ({error.reason})') from error
        raise InterruptionError(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise InterruptionError(_told(error)) from error
    with response:
        yield response


def read_piece(response: http.client.HTTPResponse) -> bytes:
    """What has come of a body, a piece at most; empty at its end.

    Raises:
        InterruptionError: nothing more comes.
    """
    try:
        # read() would wait for the whole piece, and lose its begin if the rest stalls.
        return response.read1(_PIECE)
    except (OSError, http.client.HTTPException) as error:
        raise InterruptionError(_told(error)) from error


def from_mirror(address: str) -> str:
    """The address at the mirror that HF_ENDPOINT names, as the hub's own tools take it.

    Where huggingface.co cannot be reached, in mainland China above all, people have it set.
    """
    mirror = os.environ.get('HF_ENDPOINT', '').rstrip('/')
    if mirror and address.startswith(_HUB):
        return mirror + address[len(_HUB):]
    return address


def _refused(error: urllib.error.HTTPError) -> Exception:
    """What to raise for a status that is no success."""
    said = f'the server answered {error.code} {error.reason}'
    if error.code in _PASSING:
        wait_s = read_answer(error.code, error.headers).wait_s
        return InterruptionError(said, error.code, wait_s)
    return RefusalError(said)


def _told(error: Exception) -> str:
    """An error of the network, in words."""
    if isinstance(error, TimeoutError):
        return 'the server stalled'
    return f'the connection broke ({error or type(error).__name__})'


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows a redirect to another place, but not from https to http, nor to a file."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str,
        headers: http.client.HTTPMessage, newurl: str,
    ) -> urllib.request.Request | None:
        """Make the request of the new place."""
        old, new = (urllib.parse.urlsplit(url).scheme for url in (req.full_url, newurl))
        if old != new:
            raise ModelError(
                f'{req.full_url} redirects to {newurl}: from {old} to {new} is not followed; '
                'look whether a proxy or a login page answers in its place.')
        return super().redirect_request(req, fp, code, msg, headers, newurl)
