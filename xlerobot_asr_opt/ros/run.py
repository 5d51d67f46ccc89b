"""Runs one node as one process: logging, the lock of its name, the executor, the exit status."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator

import rclpy
from rclpy.exceptions import NotInitializedException
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from xlerobot_asr_opt.core.respawning import EXIT_CONFIGURATION
from xlerobot_asr_opt.errors import AsrError, ConfigurationError
from xlerobot_asr_opt.private_files import open_private
from xlerobot_asr_opt.ros.executor import DirectExecutor
from xlerobot_asr_opt.ros.instance import lock_path

try:
    from rclpy.logging_service import LoggingService
except ImportError:  # before Jazzy, levels are set when a process starts
    LoggingService = None

__all__ = ['LogBridge', 'run']

PACKAGE = 'xlerobot_asr_opt'


class LogBridge(logging.Handler):
    """Hands the records of Python's logging, which the core uses, to a node's logger."""

    def __init__(self, node: Node) -> None:
        """Bridge to the logger of node."""
        super().__init__()
        logger = node.get_logger()
        # rclpy refuses one call site with changing severities: each severity has its own.
        self._write = {
            logging.DEBUG: lambda text: logger.debug(text),
            logging.INFO: lambda text: logger.info(text),
            logging.WARNING: lambda text: logger.warning(text),
            logging.ERROR: lambda text: logger.error(text),
            logging.CRITICAL: lambda text: logger.fatal(text),
        }

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self._write.get(record.levelno, self._write[logging.INFO])(self.format(record))


@contextlib.contextmanager
def single_instance(node: Node) -> Iterator[None]:
    """Hold the lock of this node's full name in this domain while the block runs.

    Raises:
        ConfigurationError: another process of this machine holds it.
    """
    path = lock_path(node.get_fully_qualified_name())
    with os.fdopen(open_private(path, os.O_RDWR | os.O_CREAT), 'r+') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise ConfigurationError(
                f'{node.get_fully_qualified_name()} runs already (process {lock.read().strip()}); '
                'end that one, or choose another namespace') from None
        lock.seek(0)
        lock.truncate()
        lock.write(f'{os.getpid()}\n')
        lock.flush()
        yield


def run(make_node: Callable[[], Node]) -> int:
    """Make the node and spin it until the process is asked to end; return the exit status.

    Args:
        make_node: called after rclpy is up; its AsrError ends the process with a message.
    """
    # rclpy ends the context on a signal, and then calls the handler that was there before. With
    # Python's own, a KeyboardInterrupt would come in the midst of a callback, or of the clean-up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    rclpy.init(args=sys.argv)
    node = None
    try:
        node = make_node()
        logging.basicConfig(level=logging.INFO, handlers=[LogBridge(node)], format='%(message)s')
        # The node's logger decides, whose level can be changed while it runs.
        logging.getLogger(PACKAGE).setLevel(logging.DEBUG)
        if LoggingService is not None:
            LoggingService(node)
        with single_instance(node):
            spin(node)
    except AsrError as error:
        if not rclpy.ok():
            return 0  # what was under way failed since the context has ended
        logger = node.get_logger() if node else rclpy.logging.get_logger(make_node.__name__)
        logger.fatal(str(error))
        return EXIT_CONFIGURATION if isinstance(error, ConfigurationError) else 1
    except (ExternalShutdownException, NotInitializedException, RuntimeError):
        # Whatever was under way, making a node or a wait set or publishing, fails when the
        # context ends.
        if rclpy.ok():
            raise
    finally:
        if node is not None:
            close = getattr(node, 'cleanup', None)
            if close is not None:
                close()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def spin(node: Node) -> None:
    """Spin until an exception ends it: out of a callback, or since the context has ended."""
    # What start-up made stays: the collector need not look at it again in mid-utterance.
    gc.collect()
    gc.freeze()
    executor = DirectExecutor()
    executor.add_node(node)
    try:
        executor.spin()
    finally:
        executor.shutdown()
