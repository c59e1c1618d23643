"""uwring, a Python application server. It is a program: `uwring --help`, or `python -m uwring --help`.

Inside the server applications `import uwsgi`, as under uWSGI.
"""
