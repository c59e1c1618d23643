"""One function for each thing an application may do with its answer (PEP 3333); the path chooses."""
import array
import io
import os
import sys
import threading

TEXT = [("Content-Type", "text/plain")]


def start(start_response, *headers, status="200 OK"):
    return start_response(status, TEXT + list(headers))


# Lengths ------------------------------------------------------------------------------------------


def more_than_announced(environ, start_response):
    start(start_response, ("Content-Length", "3"))
    return [b"abc", b"def"]


def more_in_one_piece(environ, start_response):
    start(start_response, ("Content-Length", "3"))
    return [b"abcdef"]


def more_by_generator(environ, start_response):
    start(start_response, ("Content-Length", "3"))
    yield b"ab"
    yield b"cdef"
    yield b"ghi"


def less_than_announced(environ, start_response):
    start(start_response, ("Content-Length", "10"))
    return [b"abc"]


def less_by_generator(environ, start_response):
    start(start_response, ("Content-Length", "10"))
    yield b"a"
    yield b"bc"


def nothing_of_what_was_announced(environ, start_response):
    start(start_response, ("Content-Length", "10"))
    return []


def length_of_zero(environ, start_response):
    start(start_response, ("Content-Length", "0"))
    return [b""]


def same_length_twice(environ, start_response):
    start(start_response, ("Content-Length", "3"), ("content-length", "3"))
    return [b"abc"]


def two_lengths(environ, start_response):
    start(start_response, ("Content-Length", "3"), ("Content-Length", "4"))
    return [b"abc"]


def length_is_text(environ, start_response):
    start(start_response, ("Content-Length", "three"))
    return [b"abc"]


def length_is_negative(environ, start_response):
    start(start_response, ("Content-Length", "-3"))
    return [b"abc"]


def length_is_huge(environ, start_response):
    start(start_response, ("Content-Length", "99999999999999999999999"))
    return [b"abc"]


def no_content_with_a_body(environ, start_response):
    start(start_response, status="204 No Content")
    return [b"abc"]


def not_modified_with_a_body(environ, start_response):
    start(start_response, ("Content-Length", "3"), status="304 Not Modified")
    return [b"abc"]


def interim_status(environ, start_response):
    start(start_response, status="103 Early Hints")
    return [b""]


# Fields of the connection -------------------------------------------------------------------------


def chunks_of_its_own(environ, start_response):
    start(start_response, ("Transfer-Encoding", "chunked"))
    return [b"abc"]


def closes_the_connection(environ, start_response):
    start(start_response, ("Connection", "close"))
    return [b"abc"]


def wants_an_upgrade(environ, start_response):
    start(start_response, ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Keep-Alive", "timeout=1"))
    return [b"abc"]


def own_date_and_server(environ, start_response):
    start(start_response, ("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("Server", "mine"))
    return [b"abc"]


# Status -------------------------------------------------------------------------------------------


def status_without_reason(environ, start_response):
    start(start_response, status="200")
    return [b"abc"]


def status_with_blank_reason(environ, start_response):
    start(start_response, status="404 ")
    return [b"abc"]


def status_nobody_knows(environ, start_response):
    start(start_response, status="299 Fine With Me")
    return [b"abc"]


def status_run_together(environ, start_response):
    start(start_response, status="200OK")
    return [b"abc"]


def status_of_two_digits(environ, start_response):
    start(start_response, status="20 OK")
    return [b"abc"]


def status_of_four_digits(environ, start_response):
    start(start_response, status="2000 OK")
    return [b"abc"]


def status_below_100(environ, start_response):
    start(start_response, status="099 OK")
    return [b"abc"]


def status_is_a_number(environ, start_response):
    start(start_response, status=200)
    return [b"abc"]


def status_is_bytes(environ, start_response):
    start(start_response, status=b"200 OK")
    return [b"abc"]


def status_is_empty(environ, start_response):
    start(start_response, status="")
    return [b"abc"]


def status_outside_latin1(environ, start_response):
    start(start_response, status="200 \u0416")
    return [b"abc"]


# Headers ------------------------------------------------------------------------------------------


class Text(str):
    """A str of another class, as Django's SafeString."""


class Pair(tuple):
    """A tuple of another class."""


class Fields(list):
    """A list of another class."""


def headers_of_other_classes(environ, start_response):
    start_response(Text("200 OK"), Fields([Pair((Text("X-One"), Text("1")))]))
    return [b"abc"]


def headers_in_a_tuple(environ, start_response):
    start_response("200 OK", (("X-One", "1"),))
    return [b"abc"]


def headers_in_a_generator(environ, start_response):
    start_response("200 OK", (pair for pair in TEXT))
    return [b"abc"]


def header_is_a_list(environ, start_response):
    start_response("200 OK", [["X-One", "1"]])
    return [b"abc"]


def header_of_three(environ, start_response):
    start_response("200 OK", [("X-One", "1", "2")])
    return [b"abc"]


def header_name_is_bytes(environ, start_response):
    start_response("200 OK", [(b"X-One", "1")])
    return [b"abc"]


def header_value_is_bytes(environ, start_response):
    start_response("200 OK", [("X-One", b"1")])
    return [b"abc"]


def header_value_is_none(environ, start_response):
    start_response("200 OK", [("X-One", None)])
    return [b"abc"]


def header_outside_latin1(environ, start_response):
    start_response("200 OK", [("X-One", "\u20ac")])
    return [b"abc"]


def header_is_half_a_character(environ, start_response):
    start_response("200 OK", [("X-One", "\ud800")])
    return [b"abc"]


def header_value_is_empty(environ, start_response):
    start(start_response, ("X-Empty", ""))
    return [b"abc"]


def header_of_64_kib(environ, start_response):
    start(start_response, ("X-Large", "v" * 65536))
    return [b"abc"]


def thousand_headers(environ, start_response):
    start(start_response, *[("X-%d" % n, "v") for n in range(1000)])
    return [b"abc"]


# start_response -----------------------------------------------------------------------------------


def never_started(environ, start_response):
    return [b"abc"]


def never_started_and_empty(environ, start_response):
    return []


def started_in_the_generator(environ, start_response):
    start(start_response)
    yield b"abc"


def started_after_an_empty_piece(environ, start_response):
    yield b""
    start(start_response)
    yield b"abc"


def started_too_late(environ, start_response):
    yield b"abc"
    start(start_response)


def started_twice(environ, start_response):
    start(start_response)
    start(start_response)
    return [b"abc"]


def started_with_too_few(environ, start_response):
    start_response("200 OK")
    return [b"abc"]


def started_by_names(environ, start_response):
    start_response(status="200 OK", headers=TEXT)
    return [b"abc"]


def started_again_after_a_mistake(environ, start_response):
    try:
        start_response("nonsense", TEXT)
    except ValueError:
        start(start_response, status="200 OK")
    return [b"abc"]


def replaced_by_exc_info(environ, start_response):
    start(start_response, ("X-Old", "1"))
    try:
        raise KeyError("gone")
    except KeyError:
        start(start_response, status="500 Oops")
        raise


def exc_info_of_nothing(environ, start_response):
    start_response("200 OK", TEXT, None)
    return [b"abc"]


# Bodies -------------------------------------------------------------------------------------------


class Sequence:
    """Only __getitem__: iterated by index."""

    def __getitem__(self, index):
        return (b"a", b"b", b"c")[index]


class Closing:
    """Says in the log that it was closed."""

    def __init__(self, *parts, error=None):
        self.parts = iter(parts)
        self.error = error

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.parts)

    def close(self):
        print("closed", type(self).__name__, file=sys.stderr, flush=True)
        if self.error:
            raise self.error


def body(make):
    def application(environ, start_response):
        start(start_response)
        return make()

    return application


def written(environ, start_response):
    write = start(start_response)
    write(b"a")
    write(b"")
    write(b"b")
    return [b"c"]


def writes_text(environ, start_response):
    start(start_response)("text")
    return []


class Instance:
    """A callable object; its answer is itself."""

    def __init__(self, environ, start_response):
        start(start_response)

    def __iter__(self):
        return iter([b"a", b"bc"])


# Exceptions ---------------------------------------------------------------------------------------


def raised(error, when):
    def application(environ, start_response):
        if when == "at once":
            raise error
        start(start_response)
        if when == "started":
            raise error
        if when == "close":
            return Closing(b"abc", error=error)

        def parts():
            if when == "first piece":
                raise error
            yield b"abc"
            raise error

        return parts()

    return application


def recursion(environ, start_response):
    return recursion(environ, start_response)


# After the end ------------------------------------------------------------------------------------

KEPT = {}


def keeps_its_functions(environ, start_response):
    KEPT["start"] = start_response
    KEPT["write"] = start(start_response)
    return [b"kept"]


def told(work):
    try:
        work()
    except BaseException as error:
        return type(error).__name__
    return "nothing"


def uses_kept_functions(environ, start_response):
    before = told(lambda: KEPT["start"]("500 Wrong", [])), told(lambda: KEPT["write"](b"wrong"))
    write = start(start_response)
    write(b"mine,")
    after = told(lambda: KEPT["start"]("500 Wrong", [])), told(lambda: KEPT["write"](b"wrong"))
    return [" ".join(before + after).encode()]


def uses_them_in_a_thread(environ, start_response):
    said = []
    write = start(start_response)

    def elsewhere():
        said.append(told(lambda: start_response("500 Wrong", [])))
        said.append(told(lambda: write(b"wrong")))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    return [" ".join(said).encode()]


# Files --------------------------------------------------------------------------------------------


def path_of(environ):
    return environ["QUERY_STRING"]


def sparse_end(environ, start_response):
    """The last ten bytes of a file larger than 32 bits can count."""
    file = open(path_of(environ), "rb")
    file.seek(-10, os.SEEK_END)
    start(start_response)
    return environ["wsgi.file_wrapper"](file)


def deleted_file(environ, start_response):
    file = open(path_of(environ), "rb")
    os.unlink(path_of(environ))
    start(start_response)
    return environ["wsgi.file_wrapper"](file)


def growing_file(environ, start_response):
    """Has grown since the application looked: no more than it announced."""
    file = open(path_of(environ), "rb")
    start(start_response, ("Content-Length", str(os.fstat(file.fileno()).st_size)))
    with open(path_of(environ), "ab") as more:
        more.write(b"more" * 1000)
    return environ["wsgi.file_wrapper"](file)


def shrunk_file(environ, start_response):
    file = open(path_of(environ), "rb")
    start(start_response, ("Content-Length", str(os.fstat(file.fileno()).st_size)))
    os.truncate(path_of(environ), 10)
    return environ["wsgi.file_wrapper"](file)


def file_in_memory(environ, start_response):
    start(start_response)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"abc" * 50_000), 1000)


def file_that_is_a_pipe(environ, start_response):
    read, write = os.pipe()
    os.write(write, b"through a pipe")
    os.close(write)
    start(start_response)
    return environ["wsgi.file_wrapper"](os.fdopen(read, "rb"))


def file_behind_bytes(environ, start_response):
    write = start(start_response)
    write(b"first,")
    return environ["wsgi.file_wrapper"](open(path_of(environ), "rb"))


# Sizes --------------------------------------------------------------------------------------------


def many_small_pieces(environ, start_response):
    start(start_response)
    for _ in range(100_000):
        yield b"x"


def large_in_pieces(environ, start_response):
    start(start_response)
    piece = b"x" * (1 << 20)
    for _ in range(256):
        yield piece


def large_upload(environ, start_response):
    start(start_response)
    total = 0
    while True:
        piece = environ["wsgi.input"].read(1 << 20)
        if not piece:
            return [str(total).encode()]
        total += len(piece)


def memory(environ, start_response):
    start(start_response)
    with open("/proc/self/status") as status:
        peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    return [peak.encode()]


APPLICATIONS = {name: value for name, value in globals().items() if callable(value) and name[0].islower()}
APPLICATIONS.update(
    {
        "list": body(lambda: [b"a", b"bc"]),
        "tuple": body(lambda: (b"a", b"bc")),
        "bytes": body(lambda: b"abc"),
        "generator": body(lambda: (piece for piece in (b"a", b"", b"bc"))),
        "iterator": body(lambda: iter([b"abc"])),
        "map": body(lambda: map(bytes, ([97], [98], [99]))),
        "set": body(lambda: {b"abc"}),
        "dict": body(lambda: {b"abc": 1}),
        "sequence": body(Sequence),
        "file": body(lambda: io.BytesIO(b"ab\nc")),
        "empty_list": body(list),
        "empty_generator": body(lambda: iter(())),
        "empty_pieces": body(lambda: [b"", b"", b""]),
        "closing": body(lambda: Closing(b"a", b"bc")),
        "instance": Instance,
        "none": body(lambda: None),
        "number": body(lambda: 5),
        "text": body(lambda: "abc"),
        "list_of_text": body(lambda: ["abc"]),
        "list_of_numbers": body(lambda: [97, 98]),
        "bytearray": body(lambda: [bytearray(b"a"), bytearray(b"bc")]),
        "memoryview": body(lambda: [memoryview(b"abc")]),
        "array": body(lambda: [array.array("B", [97, 98, 99])]),
    }
)
for _error in SystemExit(3), KeyboardInterrupt(), GeneratorExit(), MemoryError(), StopIteration(), Exception("e"):
    for _when in "at once", "started", "first piece", "second piece", "close":
        APPLICATIONS["%s %s" % (type(_error).__name__, _when)] = raised(_error, _when)


def application(environ, start_response):
    return APPLICATIONS[environ["PATH_INFO"][1:]](environ, start_response)
