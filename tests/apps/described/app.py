"""What the packages beside it, made after PasteDeploy and Pecan, make of a description."""


def application_of(name):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [name.encode()]

    return application
