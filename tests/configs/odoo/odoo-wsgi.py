import os

import odoo


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [(odoo.__name__ + " " + os.environ["ODOO_RC"]).encode()]
