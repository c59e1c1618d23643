import atexit
import threading

import uwsgi

state = []


def post_fork():
    state.append('post_fork %d' % uwsgi.worker_id())


def at_end():
    uwsgi.log('uwsgi.atexit')
    done.set()


done = threading.Event()
uwsgi.post_fork_hook = post_fork
uwsgi.atexit = at_end
uwsgi.after_req_hook = lambda: uwsgi.log('after the request')
atexit.register(uwsgi.log, 'atexit')


def background():
    done.wait()
    uwsgi.log('thread')


def application(environ, start_response):
    if len(state) == 1:
        threading.Thread(target=background).start()
    start_response('200 OK', [])
    return [state[0].encode()]


def fast(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', '5')])
    return [b'hello']
