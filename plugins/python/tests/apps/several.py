def one(environ, start_response):
    start_response('200 OK', [])
    return [b'one ' + environ['SCRIPT_NAME'].encode() + b' ' + environ['PATH_INFO'].encode()]


def two(environ, start_response):
    start_response('200 OK', [])
    return [b'two ' + environ['SCRIPT_NAME'].encode() + b' ' + environ['PATH_INFO'].encode()]


def factory():
    return two


applications = {'/one': one, b'/two': 'two'}
