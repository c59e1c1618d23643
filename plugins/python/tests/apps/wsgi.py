"""One small application for each behaviour, by path."""
import io
import sys
import tempfile
import threading

closed = []
kept = []


class Body:
    """A body that counts its close()."""

    def __init__(self, items):
        self.items = iter(items)

    def __iter__(self):
        return self

    def __next__(self):
        item = next(self.items)
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self):
        closed.append(1)


def ok(start_response, *headers):
    return start_response('200 OK', [('Content-Type', 'text/plain'), *headers])


def hello(environ, start_response):
    ok(start_response)
    return [b'hello']


def keys(environ, start_response):
    ok(start_response)
    lines = ['%s=%r' % (key, environ[key]) for key in sorted(environ)]
    return ['\n'.join(lines).encode()]


def evil_environ(environ, start_response):
    environ['SECRET'] = 'mine'
    environ['wsgi.version'] = 'changed'
    return hello(environ, start_response)


def generator(environ, start_response):
    ok(start_response)
    yield b''
    yield b'one'
    yield b'two'


def several(environ, start_response):
    ok(start_response)
    return [b'a', b'', b'b']


def plain_bytes(environ, start_response):
    ok(start_response)
    return b'bytes'


def empty(environ, start_response):
    start_response('204', [])
    return []


def odd_items(environ, start_response):
    ok(start_response)
    return Body([None, 'text', b'x'])


def counted(environ, start_response):
    ok(start_response)
    return Body([b'1', b'2', b'3'])


def fails_first(environ, start_response):
    ok(start_response)
    return Body([ValueError('before the first')])


def fails_later(environ, start_response):
    ok(start_response)
    return Body([b'x', ValueError('after the first')])


def raises(environ, start_response):
    raise LookupError('no luck')


def exits(environ, start_response):
    sys.exit(15)


def no_start(environ, start_response):
    return [b'x']


def returns_none(environ, start_response):
    ok(start_response)


def write(environ, start_response):
    out = ok(start_response)
    out(b'w1')
    out(b'w2')
    return [b'w3']


def twice(environ, start_response):
    ok(start_response)
    ok(start_response)


def replaced(environ, start_response):
    ok(start_response)
    try:
        raise KeyError('x')
    except KeyError:
        start_response('500 Oops', [('X-Why', 'key')], sys.exc_info())
    return [b'oops']


def too_late(environ, start_response):
    ok(start_response)
    yield b'sent'
    try:
        raise KeyError('too late')
    except KeyError:
        start_response('500 Oops', [], exc_info=sys.exc_info())


BAD = {
    'status_int': (200, []),
    'status_word': ('OK', []),
    'status_break': ('200 OK\r\nX: y', []),
    'headers_tuple': ('200 OK', (('A', 'b'),)),
    'header_list': ('200 OK', [['A', 'b']]),
    'header_three': ('200 OK', [('A', 'b', 'c')]),
    'name_bytes': ('200 OK', [(b'A', 'b')]),
    'value_int': ('200 OK', [('A', 1)]),
    'value_break': ('200 OK', [('A', 'b\r\nSet-Cookie: x')]),
    'value_nul': ('200 OK', [('A', 'b\0')]),
    'value_control': ('200 OK', [('A', 'b\x07')]),
    'status_delete': ('200 O\x7fK', []),
    'status_wide': ('200 \u20ac', []),
    'status_glued': ('200OK', []),
    'status_low': ('099 Low', []),
    'headers_none': ('200 OK', None),
    'length_minus': ('200 OK', [('Content-Length', '-1')]),
    'length_huge': ('200 OK', [('Content-Length', '99999999999999999999')]),
    'name_blank': ('200 OK', [('A b', 'c')]),
    'name_empty': ('200 OK', [('', 'c')]),
    'value_wide': ('200 OK', [('A', '\u20ac')]),
    'value_surrogate': ('200 OK', [('A', '\udc80')]),
    'length_word': ('200 OK', [('Content-Length', 'x')]),
    'length_two': ('200 OK', [('Content-Length', '1'), ('Content-Length', '2')]),
}


def bad(environ, start_response):
    try:
        start_response(*BAD[environ['QUERY_STRING']])
    except Exception as error:
        ok(start_response)
        return [('%s: %s' % (type(error).__name__, error)).encode()]
    return [b'accepted']


def headers(environ, start_response):
    start_response('200 OK', [
        ('Date', 'now'), ('server', 'me'), ('Connection', 'close'), ('Keep-Alive', 'x'),
        ('Transfer-Encoding', 'chunked'), ('X-Latin', '\xe9'), ('Content-Length', '2')])
    return [b'ok']


def read(environ, start_response):
    stream = environ['wsgi.input']
    result = eval(environ['QUERY_STRING'], {'i': stream})
    ok(start_response)
    return [repr(result).encode()]


def keep_input(environ, start_response):
    kept.append(environ['wsgi.input'])
    return hello(environ, start_response)


def kept_input(environ, start_response):
    ok(start_response)
    stream = kept[-1]
    return [repr((stream.read(), stream.readline(), stream.closed, stream is environ['wsgi.input'])).encode()]


def errors(environ, start_response):
    out = environ['wsgi.errors']
    out.write('part ')
    out.write('one\nand ')
    out.writelines(['two\n', 'three'])
    out.flush()
    return hello(environ, start_response)


def file(environ, start_response):
    out = tempfile.TemporaryFile()
    out.write(b'0123456789')
    out.seek(2)
    assert out.read(1) == b'2'
    ok(start_response)
    return environ['wsgi.file_wrapper'](out, 4)


def file_part(environ, start_response):
    out = tempfile.TemporaryFile()
    out.write(b'0123456789')
    out.seek(0)
    ok(start_response, ('Content-Length', '4'))
    return environ['wsgi.file_wrapper'](out)


class Memory:
    """A file that is none to the kernel. (A subclass of io's would close itself when it is collected.)"""

    def __init__(self, data):
        self.read = io.BytesIO(data).read

    def close(self):
        closed.append(1)


def file_memory(environ, start_response):
    ok(start_response)
    return environ['wsgi.file_wrapper'](Memory(b'0123456789'), 4)


def file_gzip(environ, start_response):
    import gzip
    packed = tempfile.TemporaryFile()
    packed.write(gzip.compress(b'unpacked'))
    packed.seek(0)
    ok(start_response)
    return environ['wsgi.file_wrapper'](gzip.GzipFile(fileobj=packed))


def module(environ, start_response):
    import uwsgi
    uwsgi.set_logvar('user', 'me')
    uwsgi.log('logged')
    uwsgi.lock()
    facts = {
        'env': uwsgi.env is environ,
        'worker_id': uwsgi.worker_id(),
        'master': uwsgi.masterpid(),
        'version': uwsgi.version,
        'info': uwsgi.version_info,
        'opt': uwsgi.opt,
        'logvar': uwsgi.get_logvar('user'),
        'locked': uwsgi.is_locked(0),
        'total': uwsgi.total_requests(),
        'queue': hasattr(uwsgi, 'queue_push'),
        'mem': uwsgi.mem()[0] > 0,
    }
    try:
        uwsgi.spool
    except AttributeError as error:
        facts['spool'] = str(error)
    try:
        uwsgi.lock(99)
    except ValueError as error:
        facts['lock'] = str(error)
    ok(start_response)
    return [repr(facts).encode()]


def process(environ, start_response):
    import random
    facts = {
        'executable': sys.executable,
        'prefix': sys.prefix,
        'argv': sys.argv,
        'path0': sys.path[:2],
        'thread': threading.current_thread() is threading.main_thread(),
        'encoding': sys.getfilesystemencoding(),
        'file': __file__,
        'name': __name__,
        'random': random.random() >= 0,
    }
    ok(start_response)
    return [repr(facts).encode()]


def child(environ, start_response):
    import subprocess
    ok(start_response)
    return [subprocess.check_output([sys.executable, '-c', 'import sys; print(sys.prefix, end="")'])]


def closes(environ, start_response):
    ok(start_response)
    count = len(closed)
    del closed[:]
    return [str(count).encode()]


def application(environ, start_response):
    return globals()[environ['PATH_INFO'].strip('/')](environ, start_response)
