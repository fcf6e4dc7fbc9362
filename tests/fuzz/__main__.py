"""`python -m tests.fuzz`: build the core with sanitizers, and let libFuzzer look for what breaks it.

AddressSanitizer and UndefinedBehaviorSanitizer watch the compiled modules; every input is also read by the twin, and a
difference counts as a crash. What was found is left in `build/fuzz/found`, and given to the next run first.
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
BUILD: Final = ROOT / "build" / "fuzz"
TARGETS: Final = ("encoding", "order", "qr", "rows", "sheet", "strings")
SANITIZE: Final = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -g -O1"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("target", nargs="*", help=f"of {', '.join(TARGETS)} (default: all)")
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    options = parser.parse_args()
    targets = options.target or TARGETS
    if unknown := set(targets) - set(TARGETS):
        parser.error(f"there is no target {', '.join(unknown)}; choose of {', '.join(TARGETS)}")
    if not shutil.which("clang"):
        parser.error("clang is not installed; it brings libFuzzer (Debian: apt-get install clang)")
    build()
    for target in targets:
        fuzz(target, max(1, options.seconds // len(targets)))


def build() -> None:
    """Compile the core and the fuzzer with sanitizers; the interpreter is the one that runs this."""
    package = BUILD / "evq_ext"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(ROOT / "evq_ext", package, ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__"))
    environment = os.environ | {
        "CC": "clang",
        "LDSHARED": "clang -shared",
        "CFLAGS": f"{SANITIZE} -fsanitize=fuzzer-no-link",
        "LDFLAGS": "-fsanitize=fuzzer-no-link",
    }
    shutil.copy(ROOT / "setup.py", BUILD)
    run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=BUILD, env=environment)
    if len(list(package.rglob("*.so"))) < len(list(package.rglob("*.pyx"))):
        sys.exit("The core could not be built with sanitizers; see above.")
    include, library = sysconfig.get_path("include"), sysconfig.get_config_var("LIBDIR")
    name = f"python{sysconfig.get_config_var('LDVERSION')}"
    flags = [
        *SANITIZE.split(),
        "-fsanitize=fuzzer",
        "-rdynamic",
        f"-I{include}",
        f"-L{library}",
        f"-Wl,-rpath,{library}",
    ]
    run(["clang", *flags, str(Path(__file__).with_name("fuzzer.c")), f"-l{name}", "-o", str(BUILD / "fuzzer")])


def fuzz(target: str, seconds: int) -> None:
    found = BUILD / "found" / target
    found.mkdir(parents=True, exist_ok=True)
    corpus = Path(__file__).with_name("corpus") / target
    environment = os.environ | {
        "EVQ_FUZZ_TARGET": target,
        "PYTHONPATH": os.pathsep.join([str(BUILD), str(ROOT), sysconfig.get_path("purelib")]),
        "PYTHONHOME": sys.base_prefix,
        "PYTHONMALLOC": "malloc",  # so that the sanitizer knows the bounds of Python's own bytes
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
    }
    print(f"== {target}: {seconds} s", flush=True)
    limits = [
        f"-max_total_time={seconds}",
        "-max_len=4096",
        "-timeout=20",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
    ]
    run([str(BUILD / "fuzzer"), *limits, f"-artifact_prefix={found}/crash-", str(found), str(corpus)], env=environment)


def run(command: list[str], *, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, env=env, check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
