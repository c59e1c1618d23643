import uwsgidecorators

ran = []


@uwsgidecorators.postfork
def after_fork():
    ran.append('postfork')


@uwsgidecorators.lock
def locked():
    return 'locked'


def application(environ, start_response):
    start_response('200 OK', [])
    return [repr((ran, locked())).encode()]
