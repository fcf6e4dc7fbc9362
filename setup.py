"""Build the compiled modules; `pyproject.toml` holds everything else."""

import sys

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FAILED = """
************************************************************************
*  The compiled core of evq_ext could not be built (see above).        *
*  evq works without it, but reads participants many times slower.     *
*  Install a C compiler and the headers of Python, and install again.  *
************************************************************************
"""


class LoudBuild(build_ext):
    """Say what it means that the core is not built, and leave the rest to `optional`."""

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except Exception:
            print(FAILED, file=sys.stderr)  # noqa: T201  there is no logging in an installation
            raise


extensions = cythonize(
    [Extension("evq_ext.*", ["evq_ext/*/*.pyx"], include_dirs=["evq_ext"], extra_compile_args=["-O3"])]
)
for extension in extensions:
    extension.optional = True  # cythonize does not pass it on

setup(ext_modules=extensions, cmdclass={"build_ext": LoudBuild})
