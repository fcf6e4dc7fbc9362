"""Build the one compiled module; `pyproject.toml` holds everything else."""

from Cython.Build import cythonize
from setuptools import Extension, setup

core = Extension(
    "evq_ext._core",
    ["evq_ext/_core.pyx"],
    extra_compile_args=["-O3"],
    optional=True,  # without a compiler the plain-Python twin serves, slower and loudly so
)

setup(ext_modules=cythonize([core], language_level=3))
