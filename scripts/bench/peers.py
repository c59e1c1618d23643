"""The peers and where they come from: one virtual environment, fixed versions, one pip run each, so that a peer
that does not build here costs only itself."""

import shutil
import subprocess
from dataclasses import dataclass

# The interpreter of every server in a run. Debian's has the shared library that an embedding server needs.
PYTHON = "/usr/bin/python3"


@dataclass(frozen=True)
class Package:
    """A distribution on PyPI, and what building it asks of the system."""

    name: str
    version: str
    needs: str = ""

    @property
    def requirement(self):
        """As pip reads it."""
        return f"{self.name}=={self.version}"


PACKAGES = {
    "uwsgi": (Package("uwsgi", "2.0.31", "gcc python3-dev"),),
    "bjoern": (Package("bjoern", "3.2.2", "gcc python3-dev libev-dev"),),
    "fastwsgi": (Package("setuptools", "69.5.1"), Package("fastwsgi", "0.0.9", "gcc python3-dev")),
    "granian": (Package("granian", "2.8.7"),),
    "gunicorn": (Package("gunicorn", "27.0.1"),),
    "flask": (Package("flask", "3.1.3"),),
    "django": (Package("django", "5.2.19"),),
}


class Peers:
    """The virtual environment and what is in it."""

    def __init__(self, folder, may_install=True):
        self.folder = folder
        self.may_install = may_install
        self.problems = {}
        self._versions = {}

    @property
    def python(self):
        """The environment's interpreter."""
        return self.folder / "bin" / "python"

    def program(self, name):
        """An installed program."""
        return self.folder / "bin" / name

    def prepare(self, names):
        """Installs what is missing of `names`, or there in another version; what fails is remembered in `problems` and left out of the run."""
        if not self.python.exists():
            base = PYTHON if shutil.which(PYTHON) else shutil.which("python3")
            subprocess.run([base, "-m", "venv", str(self.folder)], check=True)
        for name in names:
            for package in PACKAGES.get(name, ()):
                if self.version(package.name) != package.version:
                    self._install(name, package)

    def version(self, name):
        """The installed version, or None."""
        if name not in self._versions:
            code = f"import importlib.metadata as m; print(m.version({name!r}))"
            done = subprocess.run([self.python, "-c", code], capture_output=True, text=True)
            self._versions[name] = done.stdout.strip() if done.returncode == 0 else None
        return self._versions[name]

    def _install(self, name, package):
        if not self.may_install:
            self.problems[name] = f"{package.requirement} is not in {self.folder.name}"
            return
        print(f"installing {package.requirement} …", flush=True)
        command = [self.python, "-m", "pip", "install", "--quiet", "--no-input", package.requirement]
        done = subprocess.run(command, capture_output=True, text=True)
        self._versions.pop(package.name, None)
        if done.returncode != 0:
            hint = f" (needs {package.needs})" if package.needs else ""
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            self.problems[name] = f"{package.requirement} did not install{hint}: {last}"
