"""`python -m uwring`: the program that was installed together with this package."""

import os
import shutil
import sys
import sysconfig


def find():
    """Its path: where this interpreter's scripts are, or those of the user, or PATH."""
    folders = [sysconfig.get_path("scripts")]
    user = os.name + "_user"
    if user in sysconfig.get_scheme_names():
        folders.append(sysconfig.get_path("scripts", user))
    # pip install --target puts bin beside the packages.
    folders.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bin"))
    for folder in folders:
        program = os.path.join(folder, "uwring")
        if os.path.isfile(program):
            return program
    return shutil.which("uwring")


if __name__ == "__main__":
    program = find()
    if program is None:
        sys.exit("uwring: the program is not where pip installs programs; pip install --force-reinstall uwring")
    os.execv(program, [program] + sys.argv[1:])
