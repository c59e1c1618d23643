"""nginx in front of a server: one worker, as an ordinary process in a throwaway folder."""

import os
import shutil

from processes import Started
from rows import NGINX_PROXY, NGINX_UWSGI

LINKS = {NGINX_UWSGI, NGINX_PROXY}

# The packaged uwsgi_params, written out: distributions keep the file in different places.
UWSGI_PARAMS = {
    "QUERY_STRING": "$query_string",
    "REQUEST_METHOD": "$request_method",
    "CONTENT_TYPE": "$content_type",
    "CONTENT_LENGTH": "$content_length",
    "REQUEST_URI": "$request_uri",
    "PATH_INFO": "$document_uri",
    "DOCUMENT_ROOT": "$document_root",
    "SERVER_PROTOCOL": "$server_protocol",
    "REQUEST_SCHEME": "$scheme",
    "HTTPS": "$https if_not_empty",
    "REMOTE_ADDR": "$remote_addr",
    "REMOTE_PORT": "$remote_port",
    "SERVER_PORT": "$server_port",
    "SERVER_NAME": "$server_name",
}


def program():
    """nginx, which may be outside an ordinary user's PATH."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def start(site, protocol, upstream, connections, cores):
    """Starts nginx on the site's port, passing to the unix socket `upstream` by the protocol spoken there."""
    text = config(site, protocol, upstream, connections)
    (site.folder / "nginx.conf").write_text(text)
    command = [program(), "-p", site.folder, "-e", "nginx-error.log", "-c", site.folder / "nginx.conf"]
    return Started(command, site.folder, "nginx", cores), text


def config(site, protocol, upstream, connections):
    """The whole configuration. Upstream connections are kept for as many clients as there are."""
    # Started by root, nginx would give its worker another user, who may not enter the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""{user}
worker_processes 1;
daemon off;
pid nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path body; proxy_temp_path proxy; uwsgi_temp_path uwsgi;
    fastcgi_temp_path fastcgi; scgi_temp_path scgi;
    upstream app {{
        server unix:{upstream};
        {f"keepalive {connections}; keepalive_requests 100000000;" if protocol == "http" else ""}
    }}
    server {{
        listen {site.tcp} backlog={site.backlog};
        location / {{
{_pass(protocol)}
        }}
    }}
}}
"""


def _pass(protocol):
    if protocol == "http":
        lines = ["proxy_pass http://app;", "proxy_http_version 1.1;", 'proxy_set_header Connection "";',
                 "proxy_set_header Host $http_host;"]  # fmt: skip
    else:
        lines = ["uwsgi_pass app;", *(f"uwsgi_param {name} {value};" for name, value in UWSGI_PARAMS.items())]
    return "\n".join("            " + line for line in lines)
