"""Applications at the edge of WSGI, by path."""
import array
import os
import sys
import tempfile
import threading

kept = {}


class Mine(Exception):
    pass


class ListOfMine(list):
    pass


class BytesOfMine(bytes):
    pass


class Body:
    """Iterates over items, raising those that are exceptions; `close` as given."""

    def __init__(self, *items, close=None):
        self.items = items
        self.on_close = close

    def __iter__(self):
        for item in self.items:
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self):
        if isinstance(self.on_close, BaseException):
            raise self.on_close
        if self.on_close:
            self.on_close()


class Items:
    def __getitem__(self, index):
        return [b'a', b'b'][index]


class NoClose(Items):
    close = None


def simple(make):
    def app(environ, start_response):
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return make()
    return app


list_ = [b'a', b'b']
SIMPLE = {
    'list': lambda: [b'a', b'b'],
    'list_subclass': lambda: ListOfMine([b'a', b'b']),
    'tuple': lambda: (b'a', b'b'),
    'generator': lambda: (part for part in (b'a', b'b')),
    'set_of_one': lambda: {b'ab'},
    'iter': lambda: Body(b'a', b'b'),
    'getitem': Items,
    'bytes_subclass': lambda: [BytesOfMine(b'a'), BytesOfMine(b'b')],
    'blanks': lambda: Body(b'', b'a', b'', b'', b'b', b''),
    'blanks_only': lambda: Body(b'', b'', b''),
    'empty_list': list,
    'empty_generator': lambda: iter(()),
    'bytearray': lambda: [bytearray(b'ab')],
    'memoryview': lambda: [memoryview(b'xaxb')[1::2]],
    'array': lambda: Body(array.array('B', b'ab')),
    'text_item': lambda: ['ab'],
    'number': lambda: 5,
    'close_raises': lambda: Body(b'a', b'b', close=ValueError('in close')),
    'endless': lambda: iter(lambda: b'x', None),
}


def close_is_none(environ, start_response):
    start_response('200 OK', [])
    body = Items()
    return body


def late_start(environ, start_response):
    start_response('200 OK', [])
    yield b'a'
    yield b'b'


def write_then_generator(environ, start_response):
    start_response('200 OK', [])(b'w')
    return Body(b'a', b'b')


def write_text(environ, start_response):
    start_response('200 OK', [])('text')


def write_bytearray(environ, start_response):
    start_response('200 OK', [])(bytearray(b'ab'))
    return []


def write_before(environ, start_response):
    write(b'x')


def reason_made_up(environ, start_response):
    start_response('299', [])
    return [b'ab']


def header_list_subclass(environ, start_response):
    start_response('200 OK', ListOfMine([('A', 'b')]))
    return [b'ab']


def log_half(environ, start_response):
    environ['wsgi.errors'].write('half \udc80')
    return SIMPLED['list'](environ, start_response)


def keep(environ, start_response):
    write = start_response('200 OK', [])
    kept[environ['QUERY_STRING']] = write if environ['QUERY_STRING'] == 'write' else start_response
    return [b'mine']


def call(what, function):
    try:
        function('500 Stray', []) if what == 'start_response' else function(b'stray')
    except Exception as error:
        return '%s: %s' % (type(error).__name__, error)
    return 'accepted'


def kept_(environ, start_response):
    what = environ['QUERY_STRING']
    early = call(what, kept[what])
    start_response('200 OK', [])
    late = call(what, kept[what])
    assert early == late
    return [late.encode()]


def in_thread(environ, start_response):
    write = start_response('200 OK', [])
    what = environ['QUERY_STRING']
    seen = []
    thread = threading.Thread(
        target=lambda: seen.append(call(what, write if what == 'write' else start_response)))
    thread.start()
    thread.join()
    return [seen[0].encode()]


def in_close(environ, start_response):
    start_response('200 OK', [])

    def close():
        try:
            start_response('500 Late', [], None)
        except OSError:
            pass
    return Body(b'a', b'b', close=close)


def start_response_wrong(environ, start_response):
    seen = []
    for arguments, names in [((), {}), (('200 OK',), {}), (('200 OK', [], None, None), {}),
                             (('200 OK', []), {'what': 1})]:
        try:
            start_response(*arguments, **names)
        except Exception as error:
            seen.append(type(error).__name__)
    start_response('200 OK', [])
    return [' '.join(seen).encode()]


def exception(environ):
    return getattr(__builtins__, environ['QUERY_STRING'], None) or __builtins__[environ['QUERY_STRING']]


def raise_in_call(environ, start_response):
    start_response('200 OK', [])
    raise exception(environ)('at call')


def raise_in_first(environ, start_response):
    start_response('200 OK', [])
    return Body(exception(environ)('at first'))


def raise_in_later(environ, start_response):
    start_response('200 OK', [])
    return Body(b'a', b'b', exception(environ)('later'))


def raise_in_close(environ, start_response):
    start_response('200 OK', [])
    return Body(b'a', b'b', close=exception(environ)('in close'))


def recursion(environ, start_response):
    return recursion(environ, start_response)


def endless_of_three(environ, start_response):
    start_response('200 OK', [('Content-Length', '3')])
    return iter(lambda: b'xx', None)


def exactly_three(environ, start_response):
    start_response('200 OK', [('Content-Length', '3')])
    yield b'ab'
    yield b'c'
    print('went on after the last item', file=environ['wsgi.errors'])


def endless(environ, start_response):
    start_response(environ['QUERY_STRING'] or '200 OK', [])
    return iter(lambda: b'x', None)


def read_twice(environ, start_response):
    seen = []
    for _ in range(3):
        try:
            seen.append(repr(environ['wsgi.input'].read()))
        except Exception as error:
            seen.append(type(error).__name__)
    start_response('200 OK', [])
    return [' '.join(seen).encode()]


def run(environ, start_response):
    exec(environ['QUERY_STRING'])


def sendfile(environ, start_response):
    import uwsgi
    write = start_response('200 OK', [])
    write(b'<')
    with tempfile.NamedTemporaryFile() as file:
        file.write(b'0123456789')
        file.flush()
        how = environ['QUERY_STRING']
        if how == 'path':
            sent = uwsgi.sendfile(file.name)
        elif how == 'bytes':
            sent = uwsgi.sendfile(os.fsencode(file.name))
        elif how == 'object':
            sent = uwsgi.sendfile(file)
        elif how == 'fd':
            sent = uwsgi.sendfile(file.fileno())
        elif how == 'part':
            sent = uwsgi.sendfile(file.name, 0, 3, 4)
        else:
            sent = uwsgi.sendfile(file.name + '.missing')
    return [b'>' if sent is True else b'%r>' % sent]


def chunked_read(environ, start_response):
    import uwsgi
    pieces = [uwsgi.chunked_read() for _ in range(4)] + [uwsgi.chunked_read_nb()]
    start_response('200 OK', [])
    return [repr(pieces).encode()]


def workers(environ, start_response):
    import uwsgi
    start_response('200 OK', [])
    return [repr(uwsgi.workers()).encode()]


SIMPLED = {name: simple(make) for name, make in SIMPLE.items() if name != 'endless'}


def application(environ, start_response):
    name = environ['PATH_INFO'].strip('/')
    app = SIMPLED.get(name) or globals().get(name + '_' if name == 'kept' else name)
    return app(environ, start_response)
