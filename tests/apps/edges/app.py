"""What applications do at the edges of WSGI, by path."""
import io
import os
import sys
import tempfile

SPARSE = 3 * 1024 ** 3


class Shrinks(io.FileIO):
    """A file that is cut while the client has not read it yet."""

    def close(self):
        if not self.closed:
            os.ftruncate(self.fileno(), 0)
        super().close()


def big_file(file):
    file.write(b"x" * 20_000_000)
    file.flush()
    file.seek(0)
    return file


def file_of(how):
    if how == "/sparse":
        file = tempfile.TemporaryFile()
        file.truncate(SPARSE)
        file.seek(SPARSE - 5)
        file.write(b"the end")
        file.seek(SPARSE - 10)
        return file
    if how == "/sparse_whole":
        file = tempfile.TemporaryFile()
        file.truncate(SPARSE)
        return file
    if how == "/pipe":
        read, write = os.pipe()
        os.write(write, b"out of a pipe")
        os.close(write)
        return os.fdopen(read, "rb")
    if how == "/memory":
        return io.BytesIO(b"out of memory")
    if how == "/shrinks":
        handle, name = tempfile.mkstemp()
        file = Shrinks(handle, "w+")
        os.unlink(name)
        return big_file(file)


def generate(environ, count, size):
    block = b"x" * size
    for _ in range(count):
        yield block


def read_all(stream):
    total = 0
    while True:
        piece = stream.read(65536)
        if not piece:
            return total
        total += len(piece)


def application(environ, start_response):
    how = environ["PATH_INFO"]
    if how == "/exit":
        sys.exit(3)
    if how == "/interrupt":
        raise KeyboardInterrupt
    if how == "/fail":
        raise ValueError("as asked")
    headers = [("Content-Type", "application/octet-stream")]
    if how == "/endless_of_three":
        start_response("200 OK", headers + [("Content-Length", "3")])
        return iter(lambda: b"xx", None)
    if how == "/headers":
        headers += [("X-Long-%d" % n, "v" * 1000) for n in range(60)]
        start_response("200 OK", headers)
        return [str(len(environ["HTTP_X_LONG"])).encode()]
    if how == "/upload":
        try:
            answer = str(read_all(environ["wsgi.input"]))
        except OSError as error:
            print("reading failed:", error, file=sys.stderr, flush=True)
            raise
        start_response("200 OK", headers)
        return [answer.encode()]
    if how in ("/tiny", "/blocks"):
        start_response("200 OK", headers)
        return generate(environ, *((200_000, 1) if how == "/tiny" else (256, 1024 * 1024)))
    if how == "/pid":
        start_response("200 OK", headers)
        return [str(os.getpid()).encode()]
    file = file_of(how)
    start_response("200 OK", headers)
    return environ["wsgi.file_wrapper"](file, 10)
