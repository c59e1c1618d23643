"""Types of the module `uwsgi`, which applications find inside the server. Texts are bytes where uWSGI's are."""

from typing import IO, Any, Callable, Dict, List, Optional, Tuple, TypedDict, Union

_Text = Union[str, bytes]

class _Worker(TypedDict):
    id: int
    pid: int
    requests: int
    delta_requests: int
    signals: int
    exceptions: int
    rss: int
    vsz: int
    running_time: int
    last_spawn: int
    respawn_count: int
    tx: int
    avg_rt: int
    status: bytes
    apps: Tuple[Any, ...]

# The server

version: bytes
version_info: Tuple[int, int, int, int, bytes]
hostname: bytes
opt: Dict[str, Union[bytes, bool]]
magic_table: Dict[str, bytes]
numproc: int
cores: int
threads: int
has_threads: int
buffer_size: int
started_on: int
is_a_reload: bool
sockets: List[int]
spoolers: Tuple[bytes, ...]
loop: Optional[bytes]
unbit: Optional[bool]
mode: Optional[bytes]
pidfile: Optional[bytes]
SPOOL_OK: int
SPOOL_RETRY: int
SPOOL_IGNORE: int

# What the application may set

applications: Optional[Dict[str, Any]]
post_fork_hook: Callable[[], Any]
after_req_hook: Callable[[], Any]
atexit: Callable[[], Any]

# Processes

def worker_id() -> int: ...
def mule_id() -> int: ...
def masterpid() -> int: ...
def mypid() -> int: ...
def reload() -> Optional[bool]: ...
def stop() -> Optional[bool]: ...
def total_requests() -> int: ...
def workers() -> Tuple[_Worker, ...]: ...
def micros() -> int: ...
def mem() -> Tuple[int, int]: ...
def setprocname(name: str) -> None: ...
def i_am_the_spooler() -> Optional[bool]: ...

# Locks

def lock(number: int = 0) -> None: ...
def unlock(number: int = 0) -> None: ...
def is_locked(number: int = 0) -> bool: ...

# The request in hand

env: Dict[str, Any]

def log(line: _Text) -> bool: ...
def request_id() -> int: ...
def set_logvar(name: _Text, value: _Text) -> None: ...
def get_logvar(name: _Text) -> Optional[bytes]: ...
def cl() -> int: ...
def logsize() -> int: ...
def sendfile(file: Union[_Text, int, IO[bytes]], chunk: int = 0, position: int = 0, length: int = 0) -> Optional[bool]: ...
def chunked_read(timeout: int = 0) -> bytes: ...
def chunked_read_nb() -> bytes: ...

# Deadlines

class Harakiri(BaseException): ...

def set_user_harakiri(seconds: int) -> None: ...
