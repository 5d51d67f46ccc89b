"""A web server on this machine that serves one file, and does wrong on demand."""

import contextlib
import http.server
import threading

CONTENT = bytes(range(256)) * 400
"""What is published, 102,400 bytes."""
PATIENCE_S = 60.0


class FaultyServer(http.server.ThreadingHTTPServer):
    """Serves CONTENT at /file; what comes next can be set for each request.

    Attributes:
        faults: one for each of the next requests, then none: a callable that gets the Answer and
            answers it, or a number, the bytes after which the connection is cut.
        content: what is served.
        tag: the ETag; empty: none.
        ranges: whether Range is understood.
        asked: path and headers of every request.
        released: set at the end: lets go of a connection that stalls.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Answer)
        self.faults = []
        self.content = CONTENT
        self.tag = '"one"'
        self.ranges = True
        self.asked = []
        self.released = threading.Event()

    @property
    def address(self):
        return f'http://127.0.0.1:{self.server_port}/file'

    def handle_error(self, request, client_address):
        """A client that goes away is no error here."""


class Answer(http.server.BaseHTTPRequestHandler):
    """One answer."""

    def log_message(self, *_arguments):
        """Say nothing."""

    def do_GET(self):
        server = self.server
        server.asked.append((self.path, dict(self.headers)))
        fault = server.faults.pop(0) if server.faults else None
        if callable(fault):
            fault(self)
        else:
            self.send(cut=fault)

    def send(self, *, cut=None, content=None, length=None, then=lambda: None, chunked=False):
        """Send the file, or what Range asks for.

        Args:
            cut: bytes after which to stop; None: all.
            content: instead of the server's.
            length: what Content-Length says, instead of the truth.
            then: called when all is sent.
            chunked: do not say the length.
        """
        server = self.server
        content = server.content if content is None else content
        start = self.start(len(content))
        if start == len(content):
            self.send_response(416)
            self.send_header('Content-Length', '0')
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if server.tag:
            self.send_header('ETag', server.tag)
        if start:
            self.send_header('Content-Range', f'bytes {start}-{len(content) - 1}/{len(content)}')
        if not chunked:
            self.send_header('Content-Length', str(length or len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][:cut])
        self.wfile.flush()
        then()

    def start(self, size):
        """The first byte that is asked for of this version, at most size."""
        asked = self.headers.get('Range', '')
        if not self.server.ranges or not asked:
            return 0
        if self.headers.get('If-Range', self.server.tag) != self.server.tag:
            return 0
        return min(int(asked.removeprefix('bytes=').removesuffix('-')), size)


def status(code, **headers):
    """A fault: this status and these headers, nothing else."""
    def answer(handler):
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace('_', '-'), value)
        handler.send_header('Content-Length', '0')
        handler.end_headers()
    return answer


def stall(after):
    """A fault: nothing comes after so many bytes, and the connection stays."""
    def answer(handler):
        handler.send(cut=after, then=lambda: handler.server.released.wait(PATIENCE_S))
    return answer


@contextlib.contextmanager
def serving():
    """A server that runs."""
    with FaultyServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()
