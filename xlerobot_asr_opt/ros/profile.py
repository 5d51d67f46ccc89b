"""The environment that makes the middleware share memory: standard library only, for launchers.

Fast DDS reads a profile from an XML file. Data sharing, the true zero copy, is switched on by name
and for the segment topics alone, since it drops the protection that ordinary messages have
(docs/loans.md). A profile's name cannot hold a wildcard, so every graph gets a file with its own
names; config/fastdds.xml is the one of the default names, for use by hand. What Fast DDS logs goes
to standard error: standard output belongs to whoever reads a command's answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from xlerobot_asr_opt.errors import ConfigurationError

__all__ = ['MODES', 'ZERO_COPY_VARIABLE', 'middleware_environment', 'profile_xml', 'shares_data']

MODES = ('data_sharing', 'loan', 'off')
"""data_sharing: segments lie in memory that both processes map; loan: messages lie in the
middleware's memory and are copied once on the way; off: ordinary publish and take."""

ZERO_COPY_VARIABLE = 'XLEROBOT_ASR_ZERO_COPY'
"""The environment variable that holds the mode."""

SEGMENT_BYTES = 4 << 20
"""Shared memory of one process for the messages that are not data-shared: four of the largest.
Fast DDS's 512 KiB are less than one of them, which then takes 10 ms; but it touches all of it at
start, so that every process pays for it."""

ANNOUNCEMENT_S = 1
"""Between two announcements of a process, after the first second [s]. One that is not heard
keeps two processes from finding each other until the next; Fast DDS waits 3 s for that."""
FIRST_ANNOUNCEMENTS = 10
"""A tenth of a second apart."""

_MARK = 'xlerobot_asr'
_NAME = re.compile(r'(/[A-Za-z_][A-Za-z0-9_]*)+')
_PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
_log = logging.getLogger(__name__)

_HEAD = f"""\
<?xml version="1.0" encoding="UTF-8"?>
<!-- Made by xlerobot_asr_opt.ros.profile, which says why each of these is here. -->
<dds>
  <log>
    <use_default>FALSE</use_default>
    <consumer>
      <class>StdoutErrConsumer</class>
      <property><name>stderr_threshold</name><value>Log::Kind::Warning</value></property>
    </consumer>
  </log>
  <profiles>
    <transport_descriptors>
      <transport_descriptor>
        <transport_id>{_MARK}_shm</transport_id>
        <type>SHM</type>
        <segment_size>{SEGMENT_BYTES}</segment_size>
      </transport_descriptor>
    </transport_descriptors>
    <participant profile_name="{_MARK}" is_default_profile="true">
      <rtps>
        <builtin>
          <discovery_config>
            <leaseAnnouncement><sec>{ANNOUNCEMENT_S}</sec></leaseAnnouncement>
            <initialAnnouncements>
              <count>{FIRST_ANNOUNCEMENTS}</count>
              <period><nanosec>100000000</nanosec></period>
            </initialAnnouncements>
          </discovery_config>
          <readerHistoryMemoryPolicy>PREALLOCATED_WITH_REALLOC</readerHistoryMemoryPolicy>
          <writerHistoryMemoryPolicy>PREALLOCATED_WITH_REALLOC</writerHistoryMemoryPolicy>
        </builtin>
        <userTransports><transport_id>{_MARK}_shm</transport_id></userTransports>
        <useBuiltinTransports>true</useBuiltinTransports>
      </rtps>
    </participant>
"""

_ENDPOINTS = """\
    <data_writer profile_name="{name}"{default}>
      <qos>
        <publishMode><kind>SYNCHRONOUS</kind></publishMode>
        <data_sharing><kind>{sharing}</kind></data_sharing>
      </qos>
      <historyMemoryPolicy>PREALLOCATED_WITH_REALLOC</historyMemoryPolicy>
    </data_writer>
    <data_reader profile_name="{name}"{default}>
      <qos><data_sharing><kind>{sharing}</kind></data_sharing></qos>
      <historyMemoryPolicy>PREALLOCATED_WITH_REALLOC</historyMemoryPolicy>
    </data_reader>
"""

_TAIL = """\
  </profiles>
</dds>
"""


def profile_xml(topics: Sequence[str]) -> str:
    """Write the Fast DDS profile (2.6 and later) that shares the data of the named topics.

    Args:
        topics: Fully qualified topic names; none gives a profile without data sharing.

    Raises:
        ConfigurationError: A name is not a fully qualified ROS name.
    """
    for topic in topics:
        if not _NAME.fullmatch(topic):
            raise ConfigurationError(
                f'{topic!r} is not a full topic name: expected something like /asr/worker/segments'
            )
    # The defaults are what rmw_fastrtps sets when it does not read the endpoints' QoS from XML.
    default = _ENDPOINTS.format(name=_MARK, default=' is_default_profile="true"', sharing='OFF')
    shared = [_ENDPOINTS.format(name=name, default='', sharing='AUTOMATIC') for name in topics]
    return ''.join([_HEAD, default, *shared, _TAIL])


def shares_data(topic: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Say whether the profile in force, being one of ours, shares the data of a topic.

    Args:
        topic: Fully qualified topic name.
        environment: What names the profile.
    """
    if environment.get('RMW_FASTRTPS_USE_QOS_FROM_XML') != '1':
        return False
    paths = [environment[name] for name in _PROFILE_VARIABLES if environment.get(name)]
    profile = f'<data_reader profile_name="{topic}">'
    return any(Path(path).is_file() and profile in _text(path) for path in paths)


def middleware_environment(
    mode: str,
    namespace: str,
    workers: Sequence[str],
    environment: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Give the variables that every process of one graph must have for a mode.

    Writes the graph's profile into the user's runtime directory. A profile of somebody else that
    the environment names is left in force, and so is another middleware.

    Args:
        mode: One of MODES.
        namespace: The graph's namespace, e.g. /asr.
        workers: Names of its inference nodes, e.g. inference_0.
        environment: What is set already.

    Returns:
        Variables to set; everything else stays as it is.

    Raises:
        ConfigurationError: The mode or a name is not valid.
        OSError: The profile cannot be written.
    """
    if mode not in MODES:
        raise ConfigurationError(f'{mode!r} is not a zero-copy mode: expected {", ".join(MODES)}')
    variables = {ZERO_COPY_VARIABLE: mode}
    middleware = environment.get('RMW_IMPLEMENTATION')
    if middleware is None:
        variables['RMW_IMPLEMENTATION'] = 'rmw_fastrtps_cpp'
    elif not middleware.startswith('rmw_fastrtps'):
        return variables
    foreign = _foreign_profile(environment)
    if foreign is not None:
        _log.warning(
            '%s is in force: nothing is data-shared unless it says so (see docs/loans.md)', foreign
        )
        return variables
    shared = mode == 'data_sharing'
    topics = ['/'.join([namespace.rstrip('/'), worker, 'segments']) for worker in workers]
    path = str(_write(profile_xml(topics if shared else [])))
    variables.update(dict.fromkeys(_PROFILE_VARIABLES, path))
    variables['RMW_FASTRTPS_USE_QOS_FROM_XML'] = '1' if shared else '0'
    return variables


def _foreign_profile(environment: Mapping[str, str]) -> str | None:
    """Give the path of a profile that the environment names and that we did not write."""
    for variable in _PROFILE_VARIABLES:
        path = environment.get(variable)
        if path and Path(path).is_file() and _MARK not in _text(path):
            return path
    return None


def _text(path: str) -> str:
    return Path(path).read_text(errors='replace')


def _write(profile: str) -> Path:
    """Write a profile under a name that is its content's, whole or not at all."""
    digest = hashlib.sha256(profile.encode()).hexdigest()[:16]
    path = _runtime_directory() / f'{_MARK}-fastdds-{digest}.xml'
    if not path.is_file():
        unfinished = path.with_suffix(f'.{os.getpid()}')
        unfinished.write_text(profile)
        unfinished.replace(path)
    return path


def _runtime_directory() -> Path:
    """Give a directory that only this user writes."""
    given = os.environ.get('XDG_RUNTIME_DIR')
    if given and os.access(given, os.W_OK):
        return Path(given)
    directory = Path(tempfile.gettempdir()) / f'{_MARK}-{os.getuid()}'
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    # Anybody can make a directory, or a link to one, under this name.
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f'{directory} belongs to somebody else: set XDG_RUNTIME_DIR')
    return directory
